"""Running a study that asks for every analysis: numbers against other ways, resuming, failing."""

from __future__ import annotations

import json
import math
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from analysis_examples import ANALYSED, write_files
from scipy.optimize import minimize_scalar
from study_examples import write_study

from ratewise.data.store import Store, open_store
from ratewise.errors import StageError
from ratewise.execution import Resources
from ratewise.files import read_json
from ratewise.metrics.distortion import psnr
from ratewise.metrics.perception import success_rate
from ratewise.metrics.perception.hosa import load_hosa
from ratewise.report.run_report import report_run
from ratewise.study.analysis.findings import Findings, read_findings
from ratewise.study.engine import PlannedStudy, open_run, plan_study, run_study
from ratewise.study.outputs import ANALYSIS, MODEL, STORE
from ratewise.study.plan import Analysis
from ratewise.study.settings import load_study
from ratewise.study.stages import perception, timing
from ratewise.study.stages.cross_entropy import contiguous_halves
from ratewise.tasks.inspection import channel_averages
from ratewise.tasks.predictor import load_model

_TILES = 10
"""Of five test frames."""


@pytest.fixture(scope="module")
def analysed_run(tmp_path_factory: pytest.TempPathFactory) -> PlannedStudy:
    """The miniature with every analysis, run once: first without them, then with."""
    folder = tmp_path_factory.mktemp("analysed")
    write_files(folder)
    plain = {k: v for k, v in ANALYSED.items() if k != "analysis"}
    run_study(_planned(folder, plain), resources=Resources(1), quiet=True)
    planned = _planned(folder, ANALYSED)
    with pytest.MonkeyPatch.context() as patch:  # a short look: its numbers are tested elsewhere
        patch.setattr(perception, "success_rate", partial(success_rate, steps=30, patches=128))
        report = run_study(planned, resources=Resources(1), quiet=True)
    kinds = {planned.plan.stages[name].kind for name in report.ran}
    assert kinds == {"compress", "restore", "perception", "features", "cross_entropy", "timing"}
    return planned


def _planned(folder: Path, study: dict[str, Any]) -> PlannedStudy:
    return plan_study(load_study(write_study(folder, study)), folder / "out")


def _findings(planned: PlannedStudy) -> Findings:
    return read_findings(planned.study.settings, planned.plan, planned.cache)


def _one(planned: PlannedStudy, kind: str, channel: str, seed: int | None = None) -> Analysis:
    wanted = (kind, channel, seed)
    (one,) = [a for a in planned.plan.analyses if (a.kind, a.channel, a.seed) == wanted]
    return one


def _folder(planned: PlannedStudy, name: str) -> Path:
    return planned.cache.folder(planned.plan.stages[name])


def _store(planned: PlannedStudy, one: Analysis) -> Store:
    return open_store(_folder(planned, one.images) / STORE)


def test_indices_are_those_of_the_images(analysed_run: PlannedStudy) -> None:
    hosa = load_hosa(analysed_run.study.base / "iqa")
    table = _findings(analysed_run).perception.set_index("channel")
    originals = _store(analysed_run, _one(analysed_run, "perception", "O"))
    assert list(table.index) == ["O", "C", "R"]
    for channel in table.index:
        store = _store(analysed_run, _one(analysed_run, "perception", channel))
        images = [store.image(i) for i in range(_TILES)]
        scores = [hosa(image) for image in images]
        assert table.hosa[channel] == pytest.approx(np.mean(scores), rel=1e-9)
        if channel != "O":
            expected = [psnr(originals.image(i), image) for i, image in enumerate(images)]
            assert table.psnr[channel] == pytest.approx(np.mean(expected))
            errors = [
                np.sqrt(np.mean((originals.image(i).astype(float) - image) ** 2))
                for i, image in enumerate(images)
            ]
            assert table.rmse[channel] == pytest.approx(np.mean(errors))
    assert table.rmse["O"] == 0
    assert list(table.adversarial) == [False, False, True]
    assert (table["size"] == "64x48").all()


def test_distances_are_from_the_originals(analysed_run: PlannedStudy) -> None:
    table = _findings(analysed_run).perception.set_index("channel")
    assert math.isnan(table.kid["O"])
    assert table.kid[["C", "R"]].notna().all()
    assert (table.success_low[["C", "R"]] <= table.success_rate[["C", "R"]]).all()
    assert table.success_rate["C"] > 0.5


def test_what_is_missing_is_said(analysed_run: PlannedStudy) -> None:
    assert _findings(analysed_run).notes == ("No NIQE: its parameters are not there.",)
    assert _findings(analysed_run).perception.niqe.isna().all()


def test_features_are_the_models_on_the_same_images(analysed_run: PlannedStudy) -> None:
    findings = _findings(analysed_run)
    one = _one(analysed_run, "features", "R")
    stage = analysed_run.plan.stages[one.stage]
    model: Any = load_model(_folder(analysed_run, stage.inputs["model"]) / MODEL).model
    sets = [_one(analysed_run, "features", channel) for channel in ("O", "R")]
    x, y = (
        np.array(channel_averages(model, map(_store(analysed_run, s).image, range(_TILES))).values)
        for s in sets
    )
    rows = findings.channels[findings.channels.channel == "R"]
    np.testing.assert_allclose(rows.original, x, atol=1e-6)
    np.testing.assert_allclose(rows.value, y, atol=1e-6)
    table = findings.features.set_index("channel")
    assert list(table.index) == ["C", "R"]
    assert table.deviation["R"] == pytest.approx(np.abs(x - y).mean() / x.std(), rel=1e-4)


def _bits(planned: PlannedStudy, channel: str) -> float:
    """Cross-fitted bits per pixel of seed 0, by torch's cross-entropy and scipy's minimum."""
    one = _one(planned, "cross_entropy", channel, 0)
    stage, store = planned.plan.stages[one.stage], _store(planned, one)
    model = load_model(_folder(planned, stage.inputs["model"]) / MODEL).model
    halves: list[list[tuple[torch.Tensor, torch.Tensor]]] = [[], []]
    for index in range(_TILES):
        image = torch.from_numpy(store.image(index).transpose(2, 0, 1).copy())[None] / 255
        with torch.no_grad():
            logits = model(image).double()
        halves[int(index >= 6)].append((logits, torch.from_numpy(store.mask(index)).long()[None]))

    def total(half: list[tuple[torch.Tensor, torch.Tensor]], t: float) -> float:
        return sum(
            float(F.cross_entropy(x / t, y, ignore_index=255, reduction="sum")) for x, y in half
        )

    bits = 0.0
    for own, other in (halves, halves[::-1]):
        fit = minimize_scalar(
            lambda log, other=other: total(other, math.exp(log)), bounds=(-4, 4), method="bounded"
        )
        bits += total(own, math.exp(fit.x)) / math.log(2)
    pixels = sum(int((y != 255).sum()) for half in halves for _, y in half)
    return bits / pixels


def test_information_loss_is_the_difference_of_cross_fitted_cross_entropies(
    analysed_run: PlannedStudy,
) -> None:
    expected = {channel: _bits(analysed_run, channel) for channel in ("O", "C")}
    for channel, bits in expected.items():
        one = _one(analysed_run, "cross_entropy", channel, 0)
        rows = pd.read_csv(_folder(analysed_run, one.stage) / "images.csv")
        assert list(rows.half) == [0] * 6 + [1] * 4
        assert rows.bits.sum() / rows.pixels.sum() == pytest.approx(bits, rel=1e-5)
    (row,) = _findings(analysed_run).information.to_dict("records")
    assert (row["seeds"], row["images"], row["codec"]) == (2, 10, "jpeg:quality=5")
    assert row["frames"] == 5
    assert row["loss"] == pytest.approx(row["cross_entropy_cc"] - row["cross_entropy_oo"])
    assert row["low"] < row["loss"] < row["high"]


def test_halves_are_contiguous_and_cut_no_frame() -> None:
    assert contiguous_halves(["a", "a", "b", "c", "c", "d"]) == [0, 0, 0, 1, 1, 1]
    assert contiguous_halves(["a", "b", "b", "b"]) == [0, 1, 1, 1]
    with pytest.raises(StageError, match="one test frame"):
        contiguous_halves(["a", "a"])


def test_times_have_their_steps_and_the_machine(analysed_run: PlannedStudy) -> None:
    table = _findings(analysed_run).timing.set_index("channel")
    steps = {"O": [], "C": ["encode", "decode"], "R": ["encode", "decode", "restore"]}
    for channel, expected in steps.items():
        known = [s for s in ("encode", "decode", "restore") if not math.isnan(table[s][channel])]
        assert known == expected
        assert table.total[channel] == pytest.approx(
            table.loc[channel, [*expected, "segment"]].astype(float).sum()
        )
    assert table.machine.str.contains("1 threads, cpu, torch").all() or len(set(table.machine)) == 1


def test_a_step_is_timed_by_the_median_of_its_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 5.0, 10.0, 11.0, 20.0, 22.0])
    monkeypatch.setattr(timing, "_now", lambda device: next(clock))
    assert timing._timed(lambda: "value", 3, "cpu") == (2.0, "value")


def test_the_tables_are_left_beside_the_results(analysed_run: PlannedStudy) -> None:
    for name, table in _findings(analysed_run).tables.items():
        left = pd.read_csv(analysed_run.folder / "analysis" / f"{name}.csv")
        assert list(left.columns) == list(table.columns)
        assert len(left) == len(table)
    assert set(_findings(analysed_run).tables) == {
        *("perception", "perception_images", "features", "channels", "information", "timing"),
    }


def test_a_second_run_does_nothing_and_a_lost_stage_is_run_alone(
    analysed_run: PlannedStudy, tmp_path: Path
) -> None:
    shutil.copytree(analysed_run.folder.parent, tmp_path / "copy")
    planned = _planned(tmp_path / "copy", ANALYSED)
    assert run_study(planned, resources=Resources(1), quiet=True).ran == []
    lost = _one(planned, "features", "C").stage
    before = (_folder(planned, lost) / ANALYSIS).read_text()
    shutil.rmtree(_folder(planned, lost))
    assert run_study(planned, resources=Resources(1), quiet=True).ran == [lost]
    assert (_folder(planned, lost) / ANALYSIS).read_text() == before


def test_an_analysis_fails_alone(
    analysed_run: PlannedStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ratewise.study.stages import features

    shutil.copytree(analysed_run.folder.parent, tmp_path / "copy")
    analysis = ANALYSED["analysis"] | {"features": {"images": 2}, "timing": {"images": 1}}
    planned = _planned(tmp_path / "copy", ANALYSED | {"analysis": analysis})

    def breaks(*args: Any) -> None:
        raise StageError("broken")

    monkeypatch.setattr(features, "channel_averages", breaks)
    with pytest.raises(StageError, match="broken; no results for: features of jpeg:quality=5, fea"):
        run_study(planned, resources=Resources(1), quiet=True)
    found = _findings(planned)
    assert len(found.absent) == 3
    assert {"perception", "information", "timing"} < set(found.tables)
    assert set(found.timing.images) == {1}


def test_the_report_shows_what_was_asked_for(analysed_run: PlannedStudy) -> None:
    html = report_run(analysed_run.folder).read_text()
    for title in (
        "What the images look like",
        "What the model's first layers see",
        "How much of what the labels tell is lost",
        "What inference takes",
    ):
        assert title.replace("'", "&#x27;") in html
    (row,) = _findings(analysed_run).information.to_dict("records")
    assert f"{row['cross_entropy_cc']:.4f}</td>" in html
    assert "it is itself no bound" in html


def test_a_run_without_analyses_can_still_be_read(analysed_run: PlannedStudy) -> None:
    settings, plan, _ = open_run(analysed_run.folder)
    described = json.loads(json.dumps(plan.to_json()))
    del described["analyses"]
    assert type(plan).from_json(described).analyses == ()
    assert settings.analysis is not None
    stage = _one(analysed_run, "timing", "O").stage
    assert set(read_json(_folder(analysed_run, stage) / ANALYSIS)["machine"]) == {
        *("processor", "threads", "device", "torch"),
    }
