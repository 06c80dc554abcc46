"""Which stages analyses need, what makes them differ, and what a study file may ask for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from analysis_examples import ANALYSED, write_hosa_parameters
from study_examples import write_study

from ratewise.errors import InputError
from ratewise.study.engine import plan_study
from ratewise.study.graph import Contents
from ratewise.study.plan import Analysis, Plan, Stage
from ratewise.study.planner import make_plan
from ratewise.study.settings import StudySettings, load_study
from ratewise.validation import validate

_CONTENTS = Contents(
    {"train": "a", "val": "b"},
    others={"auxiliary": "c"},
    indices={"hosa": "d"},
    backbone="e",
)
_KINDS = ("perception", "features", "cross_entropy", "timing")


def _plan(contents: Contents = _CONTENTS, **changes: Any) -> Plan:
    return make_plan(validate(StudySettings, ANALYSED | changes, "test"), contents)


_ASKED = _plan()


def _sets(plan: Plan, kind: str) -> list[tuple[str, str, str]]:
    return [(a.channel, a.codec, a.restorer) for a in plan.analyses if a.kind == kind]


def _found(plan: Plan, kind: str, channel: str) -> tuple[Analysis, Stage]:
    (one,) = [a for a in plan.analyses if (a.kind, a.channel) == (kind, channel)]
    return one, plan.stages[one.stage]


def _fingerprints(plan: Plan, *kinds: str) -> set[str]:
    return {name for name, stage in plan.stages.items() if stage.kind in kinds}


def test_restored_test_images_are_made_though_no_configuration_is_tested_on_them() -> None:
    plan = _ASKED
    expected = [("O", "png", ""), ("C", "jpeg:quality=5", ""), ("R", "jpeg:quality=5", "tiny")]
    assert _sets(plan, "perception") == _sets(plan, "features") == expected
    assert _sets(plan, "timing") == expected
    one, _ = _found(plan, "perception", "R")
    restored = plan.stages[one.images]
    assert restored.kind == "restore"
    assert plan.stages[restored.inputs["originals"]].params["split"] == "val"
    assert one.images not in {run.test_store for run in plan.runs}


def test_analysed_images_need_no_restorer_of_their_own() -> None:
    for overlap in ("allow", "exclude", "cross_fit"):
        restoration = ANALYSED["restoration"] | {"overlap": overlap}
        asked = _plan(restoration=restoration)
        assert asked.count("restorer") == _plan(restoration=restoration, analysis=None).count(
            "restorer"
        )


def test_every_way_of_restoring_is_looked_at_once() -> None:
    names = ["OO", "CO", "RO", "rO@50%", "OR", "rO@25%", "o+rO@25%", "AO", "RO(plain)", "AA"]
    codecs = ["png", "jpeg:quality=5,10"]
    found = _sets(_plan(configurations=names, codecs=codecs, seeds=[0]), "features")
    ways = [("C", ""), ("r@25%", "tiny"), ("R", "tiny"), ("R", "plain"), ("A", "tiny")]
    assert sorted(found) == sorted(
        [("O", "png", "")]
        + [(letter, f"jpeg:quality={q}", name) for q in (5, 10) for letter, name in ways]
    )


def test_cross_entropies_are_those_of_models_without_shift_for_every_seed() -> None:
    plan = _ASKED
    for run in plan.runs:
        if run.configuration == "RO":
            continue
        letter, store = ("O", run.test_store) if run.configuration == "OO" else ("C", None)
        (one,) = [
            a
            for a in plan.analyses
            if (a.kind, a.channel, a.seed) == ("cross_entropy", letter, run.seed)
        ]
        inputs = plan.stages[one.stage].inputs
        assert inputs["model"] == run.train
        assert store is None or inputs["images"] == store
        assert inputs.get("originals") == (None if store else _ASKED.runs[0].test_store)
        assert plan.stages[inputs["images"]].kind == ("prepare" if letter == "O" else "compress")


def test_features_and_times_are_those_of_the_first_model_on_originals() -> None:
    plan = _ASKED
    model = next(run.train for run in plan.runs if (run.configuration, run.seed) == ("OO", 0))
    for kind in ("features", "timing"):
        for channel in ("O", "C", "R"):
            assert _found(plan, kind, channel)[1].inputs["model"] == model


def test_asking_for_analyses_changes_nothing_that_was_there() -> None:
    without, asked = _plan(analysis=None), _ASKED
    assert asked.runs == without.runs
    assert without.analyses == ()
    assert list(asked.stages)[: len(without.stages)] == list(without.stages)
    added = {asked.stages[name].kind for name in set(asked.stages) - set(without.stages)}
    assert added == {"compress", "restore", *_KINDS}


def test_files_count_by_content_and_only_where_they_are_used() -> None:
    other = Contents(_CONTENTS.splits, others=_CONTENTS.others, indices={"hosa": "x"}, backbone="e")
    weights = Contents(
        _CONTENTS.splits, others=_CONTENTS.others, indices={"hosa": "d"}, backbone="x"
    )
    for changed in (other, weights):
        assert not _fingerprints(_plan(changed), "perception") & _fingerprints(_ASKED, "perception")
        assert set(_plan(changed).stages) - _fingerprints(_plan(changed), "perception") == set(
            _ASKED.stages
        ) - _fingerprints(_ASKED, "perception")
    analysis = ANALYSED["analysis"]
    perception = analysis["perception"] | {"iqa": "elsewhere"}
    moved = _plan(analysis=analysis | {"perception": perception})
    assert set(moved.stages) == set(_ASKED.stages)


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("perception", {"images": 3}),
        ("perception", {"success_rate": False}),
        ("features", {"layer": "blocks.0"}),
        ("information", {"pixels": 7}),
        ("timing", {"repeats": 9}),
    ],
)
def test_a_setting_changes_the_stages_of_its_analysis_alone(part: str, value: Any) -> None:
    kind = {"information": "cross_entropy"}.get(part, part)
    analysis = ANALYSED["analysis"]
    changed = _plan(analysis=analysis | {part: analysis[part] | value})
    assert not _fingerprints(changed, kind) & _fingerprints(_ASKED, kind)
    rest = [other for other in _KINDS if other != kind]
    assert _fingerprints(changed, *rest) == _fingerprints(_ASKED, *rest)


def test_a_plan_with_analyses_survives_being_written_down() -> None:
    plan = _ASKED
    assert Plan.from_json(json.loads(json.dumps(plan.to_json()))) == plan
    assert plan.fingerprint != _plan(analysis=None).fingerprint


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"analysis": {}}, "give at least one of perception"),
        ({"codecs": ["png"], "configurations": ["OO"]}, "analysis needs a codec"),
        ({"configurations": ["CO"]}, r"analysis.features needs a model .* on originals"),
        ({"configurations": ["OO", "CO#50%"]}, "information needs a model .* compressed"),
        ({"analysis": {"perception": {"images": 0}}}, "analysis.perception.images = 0"),
        ({"analysis": {"timing": {"repeat": 2}}}, "did you mean repeats"),
        ({"analysis": {"perception": {"backbone": {}}}}, "'analysis.perception.backbone.weights'"),
    ],
)
def test_what_cannot_be_analysed_is_said(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        _plan(**changes)


def test_a_file_that_is_named_and_not_there_is_said_before_any_work(tmp_path: Path) -> None:
    study = load_study(write_study(tmp_path, ANALYSED))
    with pytest.raises(InputError, match=r"analysis\.perception\.iqa: .*iqa: not a folder"):
        plan_study(study, tmp_path / "out")
    write_hosa_parameters(tmp_path / "iqa" / "hosa")
    with pytest.raises(InputError, match=r"backbone\.weights: .*no such file"):
        plan_study(study, tmp_path / "out")


def test_planning_analyses_imports_neither_torch_nor_timm(tmp_path: Path) -> None:
    write_hosa_parameters(tmp_path / "iqa" / "hosa")
    (tmp_path / "classifier.safetensors").write_bytes(b"weights")
    study = write_study(tmp_path, ANALYSED)
    code = (
        "import sys; from pathlib import Path; import ratewise.study.engine as e;"
        "from ratewise.study.settings import load_study;"
        f"p = e.plan_study(load_study({str(study)!r}), Path({str(tmp_path / 'out')!r}));"
        "assert p.plan.analyses;"
        "print(sorted({'torch', 'timm', 'torchvision', 'lightning'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
