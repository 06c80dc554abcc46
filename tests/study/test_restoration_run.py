"""Running studies with restored and mixed channels: rows, bytes, images, and being killed."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from study_examples import RESTORATION, RESTORED, write_study
from typer.testing import CliRunner

from ratewise.cli.main import app
from ratewise.data.store import Store, open_store
from ratewise.errors import StageError
from ratewise.execution import Resources
from ratewise.files import read_json
from ratewise.images import write_png
from ratewise.restoration.objective import Restoration
from ratewise.study.engine import PlannedStudy, open_run, plan_study, run_study
from ratewise.study.outputs import QUALITY, RESTORER, SEEN, STORE
from ratewise.study.plan import Run, Stage
from ratewise.study.privileged import PrivilegedShare
from ratewise.study.quality import read_quality
from ratewise.study.results import COLUMNS, rates_table, read_results
from ratewise.study.settings import load_study
from ratewise.study.stages import evaluate, train
from ratewise.tasks.samples import StoreSource

_COUNT = 20


def _run(planned: PlannedStudy, configuration: str) -> Run:
    (found,) = [run for run in planned.plan.runs if run.configuration == configuration]
    return found


def _folder(planned: PlannedStudy, name: str) -> Path:
    return planned.cache.folder(planned.plan.stages[name])


def _store(planned: PlannedStudy, name: str) -> Store:
    return open_store(_folder(planned, name) / STORE)


def _originals(planned: PlannedStudy) -> Store:
    return _store(planned, _run(planned, "OO").train_store)


def _members(planned: PlannedStudy, share: str) -> set[int]:
    frames = [(r.source, r.group) for r in _originals(planned).records]
    return set(PrivilegedShare(Fraction(share)).members(frames))


def _rows(planned: PlannedStudy) -> dict[str, Any]:
    table = read_results(planned.folder)
    names = table.train_channel + table.test_channel + table.train_share
    return dict(zip(names, table.itertuples(), strict=True))


def _sizes(store: Store) -> list[int]:
    return [(store.path / record.path).stat().st_size for record in store.records]


def test_every_configuration_has_a_row(restored_run: PlannedStudy) -> None:
    table = read_results(restored_run.folder)
    assert tuple(table.columns[: len(COLUMNS)]) == COLUMNS
    rows = _rows(restored_run)
    assert list(rows) == RESTORED["configurations"]
    assert list(table.restorer) == ["", "", *["tiny"] * 2, "", *["tiny"] * 2, "", *["tiny"] * 3]
    assert table.miou.between(0, 1).all()
    assert rows["o+rO@50%"].train_codec == "jpeg:quality=5"
    assert rows["oO@50%"].train_codec == "png"
    assert rows["RO"].miou == rows["rO@50%"].miou


def test_every_row_counts_the_bytes_of_the_files_that_were_collected(
    restored_run: PlannedStudy,
) -> None:
    originals = _sizes(_originals(restored_run))
    compressed = _sizes(_store(restored_run, _run(restored_run, "CO").train_store))
    (auxiliary,) = [
        stage
        for stage in restored_run.plan.stages.values()
        if stage.title.startswith("prepare auxiliary")
    ]
    of_auxiliary = sum(_sizes(_store(restored_run, auxiliary.fingerprint)))
    half, quarter = (_members(restored_run, share) for share in ("1/2", "1/4"))
    whole = sum(originals)
    of_half, of_quarter = (sum(originals[i] for i in chosen) for chosen in (half, quarter))
    all_compressed = sum(compressed)
    rest = sum(compressed[i] for i in range(_COUNT) if i not in half)
    expected = {
        "OO": (0, whole, 0),
        "CO": (all_compressed, 0, 0),
        "RO": (all_compressed, of_half, 0),
        "AO": (all_compressed, 0, of_auxiliary),
        "oO@50%": (0, of_half, 0),
        "rO@50%": (all_compressed, of_half, 0),
        "rO@25%": (all_compressed, of_quarter, 0),
        "o+cO@50%": (rest, of_half, 0),
        "o+rO@50%": (rest, of_half, 0),
        "OR": (0, whole, 0),
        "RR": (all_compressed, of_half, 0),
    }
    found = {
        name: (row.bytes_compressed, row.bytes_privileged, row.bytes_auxiliary)
        for name, row in _rows(restored_run).items()
    }
    assert found == expected


def test_a_restored_image_has_the_rate_of_the_file_it_was_made_from(
    restored_run: PlannedStudy,
) -> None:
    rows, pixels = _rows(restored_run), 64 * 48
    compressed = _sizes(_store(restored_run, _run(restored_run, "CO").train_store))
    originals = _sizes(_originals(restored_run))
    assert rows["RO"].train_bpp == pytest.approx(8 * sum(compressed) / _COUNT / pixels)
    assert rows["RO"].train_bpp == rows["AO"].train_bpp == rows["CO"].train_bpp
    half = _members(restored_run, "1/2")
    mixed = sum(originals[i] if i in half else compressed[i] for i in range(_COUNT))
    assert rows["o+rO@50%"].train_bpp == pytest.approx(8 * mixed / _COUNT / pixels)
    restored = _store(restored_run, _run(restored_run, "OR").test_store)
    assert rows["OR"].test_bpp == pytest.approx(
        8 * sum(r.source_bytes for r in restored.records) / len(restored) / pixels
    )
    assert rows["OR"].test_bpp < restored.bpp


def test_the_quality_of_restored_images_is_against_the_originals(
    restored_run: PlannedStudy,
) -> None:
    name = _run(restored_run, "rO@25%").train_store
    originals, restored = _originals(restored_run), _store(restored_run, name)
    compressed = _store(restored_run, _run(restored_run, "CO").train_store)

    def psnr(index: int, store: Store) -> float:
        difference = originals.image(index).astype(float) - store.image(index)
        return float(10 * np.log10(255**2 / np.mean(difference**2)))

    rows = read_quality(_folder(restored_run, name) / QUALITY)
    assert [row.key for row in rows] == [record.key for record in originals.records]
    for index in (0, 7, 19):
        assert rows[index].psnr_before == pytest.approx(psnr(index, compressed), abs=1e-3)
        assert rows[index].psnr_after == pytest.approx(psnr(index, restored), abs=1e-3)
    assert all(np.isnan(row.ms_ssim_db_after) for row in rows)  # too small for five scales
    mean = np.mean([psnr(i, restored) for i in range(_COUNT)])
    assert _rows(restored_run)["rO@25%"].train_psnr == pytest.approx(mean, abs=1e-3)


def test_restored_stores_stand_in_the_rates_when_asked_for(restored_run: PlannedStudy) -> None:
    settings, plan, cache = open_run(restored_run.folder)
    plain = rates_table(settings, plan, cache)
    assert list(zip(plain.codec, plain.split, strict=True)) == [
        ("png", "train"),
        ("png", "val"),
        ("jpeg:quality=5", "train"),
        ("jpeg:quality=5", "val"),
    ]
    table = rates_table(settings, plan, cache, restored=True)
    restored = table[table.restorer != ""]
    assert sorted(zip(restored.channel, restored.split, strict=True)) == [
        ("A", "train"),
        ("R", "train"),
        ("R", "val"),
        ("o+r@50%", "train"),
        ("r@25%", "train"),
    ]
    on_train = table[(table.codec == "jpeg:quality=5") & (table.split == "train")]
    assert on_train.bpp.nunique() == 1
    assert on_train.psnr.nunique() == len(on_train)


def test_no_image_is_restored_by_a_restorer_that_saw_it(restored_run: PlannedStudy) -> None:
    assert all(row.restorer_overlap == 0 for row in _rows(restored_run).values())
    for name in ("RO", "rO@25%"):
        folder = _folder(restored_run, _run(restored_run, name).train_store)
        rows = read_quality(folder / QUALITY)
        assert {row.restorer for row in rows} == {0, 1, 2}
        assert not any(row.seen for row in rows)


def test_two_shares_have_image_lists_of_their_own(restored_run: PlannedStudy) -> None:
    def seen(configuration: str) -> set[str]:
        store = restored_run.plan.stages[_run(restored_run, configuration).train_store]
        return {
            row["key"]
            for row in read_json(_folder(restored_run, store.inputs["restorer 0"]) / SEEN)
        }

    keys = [record.key for record in _originals(restored_run).records]
    assert seen("rO@25%") < {keys[i] for i in _members(restored_run, "1/4")}
    assert seen("RO") < {keys[i] for i in _members(restored_run, "1/2")}
    assert seen("RO") != seen("rO@25%")


def test_a_restorer_leaves_its_log_and_pictures(restored_run: PlannedStudy) -> None:
    stages = [s for s in restored_run.plan.stages.values() if s.kind == "restorer"]
    assert len(stages) == 3 + 3 + 1
    for stage in stages:
        folder = restored_run.cache.folder(stage)
        assert list((folder / "pictures").glob("*.png"))
        assert set(restored_run.cache.manifest(stage)["files"]) == {RESTORER, SEEN}


def test_the_command_counts_restorers_beside_trainings(restored_run: PlannedStudy) -> None:
    study = str(restored_run.folder.parent / "restored.yaml")
    command = ["study", "plan", study, "--out", str(restored_run.folder)]
    printed = CliRunner().invoke(app, command).stdout
    assert "11 results from 36 stages, 8 of them trainings and 7 of restorers; 36" in printed
    shown = CliRunner().invoke(app, ["study", "show", str(restored_run.folder)]).stdout
    assert all(name in shown for name in ("RO", "o+cO", "rO"))


def test_a_finished_study_with_restoration_is_not_touched_again(
    restored_run: PlannedStudy,
) -> None:
    study = load_study(restored_run.folder.parent / "restored.yaml")
    again = plan_study(study, restored_run.folder)
    assert run_study(again, resources=Resources(1), quiet=True).ran == []


class _KilledError(BaseException):
    """What no code catches, as a kill."""


def test_a_restorer_that_is_killed_ends_like_one_that_is_not(
    restored_run: PlannedStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = RESTORATION["restorers"]["tiny"]
    often = tiny | {"training": tiny["training"] | {"checkpoint_seconds": 0}}
    study = RESTORED | {
        "configurations": ["RO"],
        "restoration": RESTORATION | {"restorers": {"tiny": often}},
    }
    planned = plan_study(load_study(write_study(tmp_path, study)), tmp_path / "out")
    restorers = [stage for stage in planned.plan.stages.values() if stage.kind == "restorer"]
    assert set(planned.plan.stages) <= set(restored_run.plan.stages)
    losses, steps = Restoration.losses, iter(range(100))

    def dies_in_the_second_step(*arguments: Any) -> Any:
        if next(steps) == 1:
            raise _KilledError
        return losses(*arguments)

    stand_in(monkeypatch)
    monkeypatch.setattr(Restoration, "losses", dies_in_the_second_step)
    with pytest.raises(_KilledError):
        run_study(planned, resources=Resources(1), quiet=True)
    assert [planned.cache.state(stage) for stage in restorers] == ["started", "to do", "to do"]
    run_study(planned, resources=Resources(1), quiet=True)
    assert next(steps) == 2 + 3 * 2 - 1  # the killed step again, and no other
    for stage in restorers:
        files = planned.cache.manifest(stage)["files"]
        assert files == restored_run.cache.manifest(stage)["files"]


def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trains and evaluates nothing: what is tested comes before that."""

    def run(stage: Stage, inputs: Any, folder: Path, context: Any) -> list[Path]:
        (folder / "metrics.json").write_text(json.dumps({"miou": 0.5}))
        return [folder / "metrics.json"]

    monkeypatch.setattr(train, "run", run)
    monkeypatch.setattr(evaluate, "run", run)


def _ran(folder: Path, monkeypatch: pytest.MonkeyPatch, **restoration: Any) -> PlannedStudy:
    stand_in(monkeypatch)
    study = RESTORED | {
        "configurations": ["OO", "CO", "RO", "rR@25%"],
        "restoration": RESTORATION | restoration,
    }
    planned = plan_study(load_study(write_study(folder, study)), folder / "out")
    run_study(planned, resources=Resources(1), quiet=True)
    return planned


def test_allowed_overlap_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planned = _ran(tmp_path, monkeypatch, overlap="allow")
    rows = _rows(planned)
    found = {name: (row.train_images, row.restorer_overlap) for name, row in rows.items()}
    assert found == {"OO": (20, 0), "CO": (20, 0), "RO": (20, 10), "rR@25%": (20, 5)}


def test_excluded_images_train_no_model_of_the_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = _ran(tmp_path, monkeypatch, overlap="exclude")
    rows = _rows(planned)
    assert (rows["RO"].train_images, rows["rR@25%"].train_images) == (10, 15)
    assert all(row.restorer_overlap == 0 for row in rows.values())
    compressed = _sizes(_store(planned, _run(planned, "CO").train_store))
    outside = set(range(_COUNT)) - _members(planned, "1/2")
    assert rows["RO"].bytes_compressed == sum(compressed[i] for i in outside)


def test_privileged_groups_train_the_restorer_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    privileged = {"privileged": {"groups": ["train0001"]}, "overlap": "exclude", "margin": 0}
    planned = _ran(tmp_path, monkeypatch, **privileged)
    rows, originals = _rows(planned), _sizes(_originals(planned))
    assert [row.train_images for row in rows.values()] == [10, 10, 10, 7]
    assert rows["OO"].bytes_privileged == sum(originals[:10])
    assert rows["RO"].bytes_privileged == sum(originals[10:])
    assert rows["RO"].bytes_compressed == rows["CO"].bytes_compressed
    # a quarter of the ten images that are left, none of the group that is set apart
    frames = [(r.source, r.group) for r in _originals(planned).records]
    members = PrivilegedShare(Fraction(1, 4), without=("train0001",)).members(frames)
    assert max(members) < 10
    assert rows["rR@25%"].bytes_privileged == sum(originals[i] for i in members)


def test_another_data_set_can_be_privileged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = {"name": "streets", "train": 4, "val": 0, "width": 64, "height": 48, "seed": 5}
    planned = _ran(tmp_path, monkeypatch, privileged={"data": data, "split": "train"})
    rows = _rows(planned)
    (prepared,) = [
        stage
        for stage in planned.plan.stages.values()
        if stage.title == "prepare privileged streets (train)"
    ]
    store = _store(planned, prepared.fingerprint)
    assert len(store) == 4
    assert rows["RO"].bytes_privileged == store.total_bytes
    assert rows["RO"].train_images == _COUNT


def test_an_auxiliary_folder_needs_no_masks_and_is_prepared_in_its_own_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        picture = np.random.default_rng(number).integers(0, 256, (50, 60, 3), np.uint8)
        write_png(tmp_path / "elsewhere" / "images" / "train" / f"{number}.png", picture)
    auxiliary = {
        "data": {"name": "folder", "root": "elsewhere"},
        "prepare": {"resize": [48, 40]},
    }
    stand_in(monkeypatch)
    study = RESTORED | {
        "configurations": ["AA"],
        "restoration": RESTORATION | {"auxiliary": auxiliary},
    }
    planned = plan_study(load_study(write_study(tmp_path, study)), tmp_path / "out")
    run_study(planned, resources=Resources(1), quiet=True)
    (prepared,) = [
        s
        for s in planned.plan.stages.values()
        if "auxiliary folder" in s.title and s.kind == "prepare"
    ]
    store = _store(planned, prepared.fingerprint)
    assert {(record.width, record.height) for record in store.records} == {(48, 40)}
    assert _rows(planned)["AA"].bytes_auxiliary == store.total_bytes
    assert _rows(planned)["AA"].bytes_privileged == 0


def test_restored_images_of_the_wrong_store_fail_the_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ratewise.study.stages import restore

    def restores_originals(source: Store, destination: Path, *rest: Any, **options: Any) -> Any:
        from ratewise.data.compress import compress_store
        from ratewise.data.sources import StoreSource as Decoded

        originals = open_store(next(tmp_path.glob("out/cache/prepare-*")) / STORE)
        return compress_store(Decoded(originals), destination, "png")

    monkeypatch.setattr(restore, "restore_store", restores_originals)
    with pytest.raises(StageError, match="does not hold the images of"):
        _ran(tmp_path, monkeypatch, overlap="allow")


def test_originals_weigh_five_times_as_much_in_a_mixture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[StoreSource] = []

    def captures(ingredients: Any) -> Any:
        seen.append(
            StoreSource(
                ingredients.stores,
                form=ingredients.task.form,
                indices=ingredients.indices,
                pick=ingredients.pick,
            )
        )
        raise StageError("captured")

    monkeypatch.setattr(train, "recipe", lambda name: captures)
    study = RESTORED | {"configurations": ["o+cO@25%#50%", "OO", "CO"]}
    planned = plan_study(load_study(write_study(tmp_path, study)), tmp_path / "out")
    with pytest.raises(StageError, match="captured"):
        run_study(planned, resources=Resources(1), quiet=True)
    mixture, originals, compressed = seen
    members = _members(planned, "1/4")
    weights = []
    for index in range(len(mixture)):
        sample = mixture.whole(index)
        (which,) = [
            i for i in range(_COUNT) if np.array_equal(sample.target, originals.whole(i).target)
        ]
        source = originals if which in members else compressed
        assert len(sample.images) == 1
        np.testing.assert_array_equal(sample.images[0], source.whole(which).images[0])
        weights.append(sample.weight)
        assert sample.weight == (5 if which in members else 1)
    assert sorted(weights) == [1] * 8 + [5] * 2


def test_results_survive_as_csv(restored_run: PlannedStudy) -> None:
    table = pd.read_csv(restored_run.folder / "results.csv")
    assert table.restorer.fillna("").tolist() == read_results(restored_run.folder).restorer.tolist()
