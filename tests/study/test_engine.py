"""Running a study: what it leaves behind, what it does not do twice, and what it refuses."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from ratewise.data.store import open_store
from ratewise.errors import InputError, StageError
from ratewise.execution import Resources
from ratewise.images import write_png
from ratewise.metrics.segmentation import confusion_matrix, mean_iou
from ratewise.report.run_report import report_run, write_pictures
from ratewise.study.cache import Cache, locked
from ratewise.study.engine import open_run, plan_study, run_study
from ratewise.study.plan import Stage
from ratewise.study.results import COLUMNS, MODEL, STORE, read_results
from ratewise.study.settings import load_study
from ratewise.tasks.predictor import load_predictor


def _row(table: pd.DataFrame, train: str, test: str, share: str = "") -> Any:
    letters = (table.train_channel == train) & (table.test_channel == test)
    (row,) = table[letters & (table.train_share == share)].itertuples()
    return row


def test_every_configuration_has_a_row_with_the_fixed_columns(finished_run: Path) -> None:
    table = pd.read_parquet(finished_run / "results.parquet")
    assert tuple(table.columns[: len(COLUMNS)]) == COLUMNS
    names = table.train_channel + table.test_channel + table.train_share
    assert list(names) == ["OO", "CO", "OC", "CC", "CO#50%"]
    assert pd.read_csv(finished_run / "results.csv").shape == table.shape


def test_rates_and_bytes_are_those_of_the_files(finished_run: Path) -> None:
    table = pd.read_parquet(finished_run / "results.parquet")
    _, plan, cache = open_run(finished_run)
    run = next(run for run in plan.runs if run.configuration == "CC")
    sizes = {}
    for side, name in (("train", run.train_store), ("test", run.test_store)):
        folder = cache.folder(plan.stages[name]) / STORE
        sizes[side] = [path.stat().st_size for path in folder.rglob("*.jpg")]
    row = _row(table, "C", "C")
    assert len(sizes["train"]) == 6
    assert row.bytes_compressed == sum(sizes["train"])
    assert row.bytes_privileged == 0
    assert row.train_bpp == pytest.approx(8 * sum(sizes["train"]) / (6 * 64 * 48))
    assert row.test_bpp == pytest.approx(8 * sum(sizes["test"]) / (3 * 64 * 48))
    original = _row(table, "O", "O")
    assert original.bytes_compressed == 0
    assert original.bytes_privileged > row.bytes_compressed


def test_a_share_uses_that_many_images(finished_run: Path) -> None:
    table = pd.read_parquet(finished_run / "results.parquet")
    half, whole = _row(table, "C", "O", "#50%"), _row(table, "C", "O")
    assert (half.train_images, whole.train_images) == (3, 6)
    assert 0 < half.bytes_compressed < whole.bytes_compressed


def test_the_numbers_are_those_of_the_saved_model_on_the_store(finished_run: Path) -> None:
    table = pd.read_parquet(finished_run / "results.parquet")
    _, plan, cache = open_run(finished_run)
    run = next(run for run in plan.runs if run.configuration == "OC")
    predictor = load_predictor(cache.folder(plan.stages[run.train]) / MODEL, device="cpu")
    store = open_store(cache.folder(plan.stages[run.test_store]) / STORE)
    assert store.classes is not None
    matrix = sum(
        confusion_matrix(store.mask(i), predictor.predict([store.image(i)])[0], len(store.classes))
        for i in range(len(store))
    )
    assert _row(table, "O", "C").miou == pytest.approx(mean_iou(np.asarray(matrix)), abs=1e-6)


def test_a_finished_study_is_not_touched_again(finished_run: Path) -> None:
    study = load_study(finished_run.parent / "miniature.yaml")
    before = {p: p.stat().st_mtime_ns for p in finished_run.rglob("*") if p.suffix != ".sqlite"}
    done = run_study(plan_study(study, finished_run), resources=Resources(1), quiet=True)
    assert done.ran == []
    after = {p: p.stat().st_mtime_ns for p in finished_run.rglob("*") if p.suffix != ".sqlite"}
    assert {path for path in before if before[path] != after[path]} <= {finished_run / ".lock"}


def test_the_report_opens_offline_and_names_every_configuration(finished_run: Path) -> None:
    text = (finished_run / "report.html").read_text()
    assert not re.search(r"""(src|href)=["']?https?:""", text)
    for name in ("OO", "CO", "OC", "CC", "CO#50%"):
        assert name in text


def test_the_report_can_be_written_again_from_the_folder_alone(
    finished_run: Path, tmp_path: Path
) -> None:
    before = (finished_run / "report.html").read_bytes()
    assert report_run(finished_run).read_bytes() == before
    assert len(write_pictures(finished_run, tmp_path)) == 3


def test_the_command_prints_the_table_and_says_where_the_report_is(finished_run: Path) -> None:
    printed = (finished_run.parent / "printed.txt").read_text()
    assert "CO#50%" in printed
    assert f"report: {finished_run / 'report.html'}" in printed


def test_damaged_results_are_named_and_made_again(finished_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(finished_run, out)
    (out / "results.parquet").write_bytes(b"junk")
    with pytest.raises(InputError, match=r"results\.parquet: is damaged"):
        read_results(out)
    study = load_study(finished_run.parent / "miniature.yaml")
    assert run_study(plan_study(study, out), resources=Resources(1), quiet=True).ran == []
    pd.testing.assert_frame_equal(read_results(out), read_results(finished_run))


def test_a_failed_stage_keeps_the_others_and_names_what_is_lost(
    miniature: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ratewise.study.stages import compress, evaluate, train

    def fails(stage: Stage, *rest: Any) -> list[Path]:
        raise RuntimeError("the disk is on fire")

    def stands_in(stage: Stage, inputs: Any, folder: Path, context: Any) -> list[Path]:
        (folder / "metrics.json").write_text('{"miou": 0.5}')
        return [folder / "metrics.json"]

    monkeypatch.setattr(compress, "run", fails)
    monkeypatch.setattr(train, "run", stands_in)
    monkeypatch.setattr(evaluate, "run", stands_in)
    planned = plan_study(load_study(miniature), tmp_path / "out")
    with pytest.raises(StageError, match=r"compress train.*disk is on fire.*no results for: CC"):
        run_study(planned, resources=Resources(1), quiet=True)
    table = pd.read_parquet(tmp_path / "out" / "results.parquet")
    assert list(table.train_channel + table.test_channel) == ["OO"]


def test_two_runs_cannot_use_one_folder_at_once(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(InputError, match="another run"), locked(tmp_path):
        pass


def test_a_stage_without_its_manifest_is_not_complete(tmp_path: Path) -> None:
    cache, stage = Cache(tmp_path), Stage("train", "t", {})
    assert cache.state(stage) == "to do"
    cache.folder(stage).mkdir(parents=True)
    (cache.folder(stage) / "weights").write_bytes(b"half")
    assert cache.state(stage) == "started"
    cache.complete(stage, [cache.folder(stage) / "weights"], 1.0)
    assert cache.state(stage) == "done"
    assert list(cache.manifest(stage)["files"]) == ["weights"]


def _folder_data(root: Path, mask_shape: tuple[int, int] = (8, 8), value: int = 0) -> None:
    for split in ("train", "val"):
        write_png(root / "images" / split / "a.png", np.zeros((8, 8, 3), np.uint8))
        write_png(root / "masks" / split / "a.png", np.full(mask_shape, value, np.uint8))
    (root / "classes.yaml").write_text(yaml.safe_dump({"names": ["road", "sky"]}))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"mask_shape": (8, 9)}, r"mask is 9x8 but its image .* is 8x8"),
        ({"value": 7}, r"class id 7 is out of range"),
    ],
)
def test_wrong_masks_are_refused_before_any_work(
    tmp_path: Path, miniature: Path, data: dict[str, Any], message: str
) -> None:
    _folder_data(tmp_path / "photos", **data)
    study = load_study(miniature, {"data": "{name: folder, root: photos}"})
    with pytest.raises(InputError, match=message):
        plan_study(study, tmp_path / "out")
    assert not list((tmp_path / "out").rglob("prepare-*"))


def test_an_image_without_a_mask_is_named(tmp_path: Path, miniature: Path) -> None:
    write_png(tmp_path / "bare" / "images" / "train" / "a.png", np.zeros((8, 8, 3), np.uint8))
    write_png(tmp_path / "bare" / "images" / "val" / "a.png", np.zeros((8, 8, 3), np.uint8))
    study = load_study(miniature, {"data": "{name: folder, root: bare}"})
    with pytest.raises(InputError, match=r"images/train/a\.png in split 'train' has no mask"):
        plan_study(study, tmp_path / "out")


def test_missing_data_and_unknown_splits_are_named(miniature: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere"):
        plan_study(load_study(miniature, {"data": "{name: camvid, root: nowhere}"}), tmp_path)
    with pytest.raises(InputError, match=r"train_split: streets has no split 'trian'"):
        plan_study(load_study(miniature, {"train_split": "trian"}), tmp_path)


def test_a_wrong_encoder_is_refused_before_any_stage(miniature: Path, tmp_path: Path) -> None:
    planned = plan_study(load_study(miniature, {"task.encoder": "resnet19"}), tmp_path / "out")
    with pytest.raises(InputError, match="encoder = 'resnet19' is not known"):
        run_study(planned, quiet=True)
    assert not list((tmp_path / "out" / "cache").glob("prepare-*"))


def test_the_weights_file_counts_by_content(miniature: Path, tmp_path: Path) -> None:
    def fingerprints(name: str) -> set[str]:
        study = load_study(miniature, {"task.encoder_weights": name})
        return set(plan_study(study, tmp_path / "out").plan.stages)

    for name, content in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        (miniature.parent / f"{name}.safetensors").write_bytes(content)
    assert fingerprints("a.safetensors") == fingerprints("b.safetensors")
    assert fingerprints("a.safetensors") != fingerprints("c.safetensors")
    with pytest.raises(InputError, match=r"encoder_weights.*d\.safetensors: no such file"):
        fingerprints("d.safetensors")


def test_a_training_of_a_study_uses_one_device(miniature: Path, tmp_path: Path) -> None:
    study = load_study(miniature, {"task.training.devices": "2"})
    with pytest.raises(InputError, match=r"task\.training: a training of a study uses one device"):
        plan_study(study, tmp_path / "out")
