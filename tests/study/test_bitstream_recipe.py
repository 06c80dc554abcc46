"""The recipe that reads masks from a codec's own files, in plan, rows and report."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from bitstream_examples import SketchCodec, mask_of, registered
from study_examples import MINIATURE, write_study

from ratewise import codecs
from ratewise.codecs.base import predicts
from ratewise.codecs.bdrate import has_operating_point
from ratewise.data.store import Store, open_store
from ratewise.errors import InputError
from ratewise.execution import Resources
from ratewise.report.analysis.contexts import contexts
from ratewise.report.analysis.recipes import compare
from ratewise.report.bitstreams import from_bitstreams
from ratewise.report.bytes_plot import curves
from ratewise.report.plots import accuracy_panels
from ratewise.report.run_report import report_run, write_pictures
from ratewise.report.tables import configuration_table, with_missing
from ratewise.study.advise.cost import cost_points
from ratewise.study.engine import PlannedStudy, plan_study, run_study
from ratewise.study.graph import Contents
from ratewise.study.plan import Plan
from ratewise.study.planner import make_plan
from ratewise.study.results import read_results
from ratewise.study.settings import StudySettings, load_study
from ratewise.validation import validate

LOW, HIGH, JPEG = "sketch:weights=above-90", "sketch:weights=above-140", "jpeg:quality=5"
STUDY: dict[str, Any] = MINIATURE | {
    "name": "sketches",
    "task": MINIATURE["task"]
    | {"training": {"steps": 1, "batch_size": 2, "precision": "fp32", "checkpoint_seconds": None}},
    "codecs": [LOW, HIGH, JPEG],
    "configurations": ["OO", "OC", "CC"],
    "recipes": ["standard", "bitstream", {"kind": "bitstream", "part": "semantic"}],
}


@pytest.fixture(scope="module", autouse=True)
def sketches() -> Iterator[None]:
    """The example codecs are registered."""
    yield from registered()


@pytest.fixture(scope="module")
def planned(sketches: None, tmp_path_factory: pytest.TempPathFactory) -> PlannedStudy:
    """The study, run once."""
    folder = tmp_path_factory.mktemp("sketches")
    first = load_study(write_study(folder, STUDY))
    key = plan_study(first, folder / "plan").dataset.items("val")[1].key
    study = load_study(write_study(folder, STUDY | {"subsets": {"one": key}}))
    planned = plan_study(study, folder / "out")
    run_study(planned, resources=Resources(1), quiet=True)
    return planned


def _settings(**changes: Any) -> StudySettings:
    return validate(StudySettings, STUDY | changes, "test")


def _plan(**changes: Any) -> Plan:
    return make_plan(_settings(**changes), Contents({"train": "a", "val": "b"}))


# Codecs ----------------------------------------------------------------------------------------


def test_codecs_that_predict_are_known_by_their_methods() -> None:
    assert predicts(codecs.codec(LOW))
    assert not predicts(codecs.codec("jpeg"))
    image = np.zeros((5, 7, 3), np.uint8)
    codec = SketchCodec(weights="10")
    assert sum(codec.parts(codec.encode(image)).values()) == len(codec.encode(image))


def test_weights_numbered_in_their_names_are_one_family() -> None:
    assert codecs.family(LOW) == codecs.family(HIGH) == "sketch:weights=above"
    assert codecs.family("msh:weights=a.safetensors") == "msh:weights=a.safetensors"
    assert codecs.family("joint:weights=out/B+Q-256.safetensors") == "joint:weights=out/B+Q"
    assert has_operating_point("joint:weights=out/B+Q")
    assert not has_operating_point("png")


# Planning --------------------------------------------------------------------------------------


def test_it_is_planned_for_the_codecs_that_predict_and_trains_nothing() -> None:
    plan = _plan(recipes=["bitstream", {"kind": "bitstream", "part": "semantic"}], seeds=[0, 1])
    assert {(r.recipe, r.configuration, r.train_codec, r.test_codec) for r in plan.runs} == {
        (recipe, "OC", "png", codec)
        for recipe in ("bitstream", "bitstream-semantic")
        for codec in (LOW, HIGH)
    }
    assert len(plan.runs) == 2 * 2 * 2
    assert plan.count("train") == plan.count("evaluate") == 0
    assert plan.count("predict_bitstreams") == 2  # both parts and all seeds share it
    stage = plan.stages[plan.runs[0].evaluate]
    assert stage.params["codec_fingerprint"] == codecs.codec(LOW).fingerprint
    assert stage.inputs == {"images": plan.runs[0].test_store}
    assert plan == Plan.from_json(plan.to_json())


def test_other_recipes_are_planned_as_without_it() -> None:
    both, alone = _plan(), _plan(recipes=["standard"])
    assert [run for run in both.runs if run.recipe == "standard"] == list(alone.runs)


def test_a_pair_of_codecs_and_budgets_stand_beside_it() -> None:
    own = {"kind": "bitstream", "configurations": [{"train": "png", "test": LOW}]}
    (run,) = _plan(recipes=[own]).runs
    assert (run.configuration, run.test_codec) == ("OC", LOW)
    plan = _plan(budgets={"bytes": ["500kB"], "codecs": [JPEG]})
    assert {run.configuration for run in plan.runs if "bitstream" in run.recipe} == {"OC"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"recipes": [{"kind": "bitstream", "configurations": ["CC"]}]}, "is for OC alone.* CC"),
        ({"recipes": [{"kind": "bitstream", "configurations": ["OC#50%"]}]}, "is for OC alone"),
        ({"recipes": [{"kind": "bitstream", "part": "image"}]}, "'all' or 'semantic'"),
        ({"recipes": ["bitstream", "bitstream"]}, "stands twice in recipes"),
        (
            {"recipes": ["bitstream"], "analysis": {"timing": {}}},
            "analysis.timing needs a model of the task",
        ),
        (
            {"task": {"kind": "classification", "model": "mobilenetv3_small_050"}},
            "recipe bitstream reads masks, so it is for segmentation, not classification",
        ),
    ],
)
def test_what_does_not_fit_is_said_in_a_sentence(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        _settings(**changes)


def test_a_study_without_a_codec_that_predicts_is_refused_when_planned() -> None:
    with pytest.raises(
        InputError, match=r"recipe bitstream: none of the study's codecs .* \(jpeg:quality=5\)"
    ):
        _plan(codecs=[JPEG])


def test_a_codec_of_other_classes_is_refused_when_planned(tmp_path: Path) -> None:
    study = STUDY | {"codecs": ["stranger:weights=9"]}
    with pytest.raises(
        InputError, match=r"stranger:weights=9: .* the data set lacks cat; the model lacks sky"
    ):
        plan_study(load_study(write_study(tmp_path, study)), tmp_path / "out")


def test_analyses_use_a_model_of_the_task_whatever_the_order_of_the_recipes() -> None:
    plan = _plan(recipes=["bitstream", "standard"], analysis={"features": {}})
    models = {plan.stages[one.stage].inputs["model"] for one in plan.analyses}
    assert {plan.stages[model].kind for model in models} == {"train"}


def test_planning_imports_no_torch() -> None:
    script = (
        "import sys, ratewise.study.planner, ratewise.codecs.base;"
        "print(sorted({'torch', 'timm'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


# Rows ------------------------------------------------------------------------------------------


def _store(planned: PlannedStudy, codec: str) -> Store:
    run = next(run for run in planned.plan.runs if run.test_codec == codec)
    return open_store(planned.cache.folder(planned.plan.stages[run.test_store]) / "store")


def _originals(planned: PlannedStudy) -> Store:
    return _store(planned, "png")


def _iou_by_hand(pairs: list[tuple[np.ndarray, np.ndarray]], classes: int) -> list[float]:
    """Of each class that the masks show."""
    found = []
    for class_ in range(classes):
        kept = [((true == class_), (said == class_) & (true != 255)) for true, said in pairs]
        if any(true.any() for true, _ in kept):
            both = sum(int((true & said).sum()) for true, said in kept)
            found.append(both / sum(int((true | said).sum()) for true, said in kept))
    return found


@pytest.mark.parametrize("codec", [LOW, HIGH])
@pytest.mark.parametrize("recipe", ["bitstream", "bitstream-semantic"])
def test_scores_are_those_of_the_masks_in_the_files(
    planned: PlannedStudy, recipe: str, codec: str
) -> None:
    rows = read_results(planned.folder)
    (row,) = rows[(rows["recipe"] == recipe) & (rows["test_codec"] == codec)].to_dict("records")
    originals, threshold = _originals(planned), int(codec.rpartition("-")[2])
    pairs = [
        (originals.mask(i), mask_of(originals.image(i), threshold)) for i in range(len(originals))
    ]
    ious = _iou_by_hand(pairs, 11)
    assert row["miou"] == pytest.approx(np.mean(ious))
    assert row["miou@one"] == pytest.approx(np.mean(_iou_by_hand(pairs[1:2], 11)))
    assert row["iou:sky"] == pytest.approx(ious[0])
    assert row["pixel_accuracy"] == pytest.approx(
        sum((t == p).sum() for t, p in pairs) / sum((t != 255).sum() for t, _ in pairs)
    )


def test_the_bytes_are_those_of_the_files_or_of_what_the_masks_need(planned: PlannedStudy) -> None:
    rows = read_results(planned.folder).set_index(["recipe", "test_codec", "train_channel"])
    pixels = 64 * 48
    for codec in (LOW, HIGH):
        store = _store(planned, codec)
        files = [store.data(i) for i in range(len(store))]
        whole = sum(map(len, files)) / len(files)
        semantic = sum(8 + int.from_bytes(data[4:8], "big") for data in files) / len(files)
        assert semantic < whole
        for recipe, size in (("bitstream", whole), ("bitstream-semantic", semantic)):
            row = rows.loc[(recipe, codec, "O")]
            assert row["test_bytes_per_image"] == pytest.approx(size)
            assert row["test_bpp"] == pytest.approx(8 * size / pixels)
        for train in "OC":  # a model of the task on its pictures, as with any codec
            assert rows.loc[("standard", codec, train), "test_bytes_per_image"] == whole


def test_nothing_was_collected_and_the_model_is_the_codec(planned: PlannedStudy) -> None:
    rows = read_results(planned.folder)
    own = rows[rows["recipe"].str.startswith("bitstream")]
    assert len(own) == 4
    assert set(own["model"]) == {"sketch"}
    assert (own["train_images"] == 0).all()
    assert own["train_bpp"].isna().all()
    for kind in ("compressed", "privileged", "auxiliary"):
        assert (own[f"bytes_{kind}"] == 0).all()
    assert set(zip(own["train_channel"], own["test_channel"], strict=True)) == {("O", "C")}
    assert own["test_psnr"].between(10, 60).all()
    assert from_bitstreams(rows).sum() == 4


def test_a_finished_study_runs_nothing_again(planned: PlannedStudy) -> None:
    assert not run_study(planned, resources=Resources(1), quiet=True).ran


# Report ----------------------------------------------------------------------------------------


def test_the_plot_against_rate_has_its_curves_over_the_points_of_the_codec(
    planned: PlannedStudy,
) -> None:
    rows = read_results(planned.folder)
    table = configuration_table(rows)
    for recipe in ("bitstream", "bitstream-semantic"):
        own = table[table["configuration"] == f"OC · sketch · {recipe}"]
        assert set(own["family"]) == {"sketch:weights=above"}
        assert sorted(own["codec"]) == sorted([LOW, HIGH])
        assert own["rate"].tolist() == own["test_bpp"].tolist()
    assert own["rate"].max() < table.loc[table["recipe"] == "bitstream", "rate"].min()
    ((group, panels),) = accuracy_panels(rows)
    assert {"OC · sketch · bitstream", "OC · sketch · bitstream-semantic"} <= set(group.names)
    assert [name for name, _ in panels] == ["sketch:weights=above", "jpeg"]


def test_one_plot_shows_masks_in_files_beside_models_on_decoded_images(
    planned: PlannedStudy,
) -> None:
    (drawn,) = curves(read_results(planned.folder))
    lines = {line.name: line for line in drawn.lines}
    assert set(lines) == {
        "sketch:weights=above, bitstream",
        "sketch:weights=above, bitstream-semantic",
        "sketch:weights=above, standard, OC",
        "sketch:weights=above, standard, CC",
        "jpeg, standard, OC",
        "jpeg, standard, CC",
    }
    assert len(lines["sketch:weights=above, bitstream"].rows) == 2
    looks = {(line.style.colour, line.style.line) for line in drawn.lines}
    assert len(looks) == len(lines)


def test_models_of_two_studies_are_told_apart_in_one_plot(planned: PlannedStudy) -> None:
    rows = read_results(planned.folder)
    read = rows["model"] == "sketch"
    others = rows[~read].assign(model="DeepLabV3Plus tu-mobilenetv2_100")
    rows.loc[~read, "model"] = "ERFNet"
    (drawn,) = curves(pd.concat([rows, others]))
    names = {line.name for line in drawn.lines}
    assert {"jpeg, ERFNet, OC", "jpeg, DeepLabV3Plus, OC"} < names
    assert "sketch:weights=above, bitstream" in names


def test_it_is_missed_at_no_other_codec_and_compared_with_no_training(
    planned: PlannedStudy,
) -> None:
    rows = read_results(planned.folder)
    table = with_missing(configuration_table(rows), [LOW, HIGH, JPEG])
    assert (table["seeds"] > 0).all()
    assert compare(rows) == []
    assert [context.label for context in contexts(rows)] == [""]
    assert all("bitstream" not in point.curve for point in cost_points(rows))


def test_what_is_missed_has_the_rate_of_whole_files(planned: PlannedStudy) -> None:
    table = configuration_table(read_results(planned.folder))
    read = table[(table["codec"] == LOW) & (table["model"] == "sketch")]
    (whole,) = read[read["recipe"] == "bitstream"]["rate"]

    full = with_missing(read, [LOW], ["CC · model · standard"])

    (missed,) = full[full["seeds"] == 0]["rate"]
    assert missed == whole > read["rate"].mean()


def test_the_report_and_its_pictures_say_where_the_masks_come_from(
    planned: PlannedStudy, tmp_path: Path
) -> None:
    text = report_run(planned.folder).read_text()
    assert "OC · sketch · bitstream-semantic" in text
    assert "Rows whose model is a codec are masks read from its files" in text
    assert "own files hold. Bytes are the mean" in text  # under the plot against bytes
    assert any(f"OC {codec}, masks in the files" in text for codec in (LOW, HIGH))
    store = _store(planned, LOW)
    assert f"{LOW}, {store.bpp:.2f} bpp" in text  # and not that of the semantic part
    assert write_pictures(planned.folder, tmp_path)
