"""The loop: it learns, accumulates, selects, stops, and refuses what would go wrong."""

from __future__ import annotations

import csv
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from training_examples import Line, Pictures, Regression, SmallGan

from ratewise.errors import InputError, TrainingError
from ratewise.training.checkpoint import NAME
from ratewise.training.device import resolve_precision
from ratewise.training.loop import FitResult, fit
from ratewise.training.objective import Loss, ParameterGroup, Selection, Trainable
from ratewise.training.settings import OptimiserSettings, TrainingSettings

SGD = OptimiserSettings(kind="sgd", lr=0.1, momentum=0)


def _settings(**values: Any) -> TrainingSettings:
    length = {} if "steps" in values else {"epochs": 3}
    return TrainingSettings(**{**length, "device": "cpu", "precision": "fp32", **values})


def _fit(objective: Any, folder: Path, source: Any = None, **values: Any) -> FitResult:
    return fit(objective, source or Line(), _settings(**values), folder, quiet=True)


def _rows(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "log.csv").read_text().splitlines()))


@pytest.mark.parametrize("kind", ["adamw", "adam", "sgd"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_line_is_learnt(tmp_path: Path, kind: Any, precision: str) -> None:
    settings = OptimiserSettings(kind=kind, lr=0.05 if kind == "sgd" else 0.3, schedule="poly")
    result = _fit(Regression(settings), tmp_path, epochs=30, precision=precision)
    weight = result.weights["model"]["weight"]
    assert torch.allclose(weight, torch.tensor([[3.0, -2.0]]), atol=0.1)
    losses = [float(row["loss_main"]) for row in _rows(tmp_path)]
    assert losses[-1] < 0.1 * losses[0]
    assert (result.steps, len(losses)) == (90, 30)
    columns = ["epoch", "step", "loss_main", "absolute", "lr_main", "seconds"]
    assert list(_rows(tmp_path)[0]) == columns


def test_a_step_is_torchs_step(tmp_path: Path) -> None:
    settings = OptimiserSettings(kind="adamw", lr=0.1, weight_decay=0.2, schedule="poly")
    result = _fit(Regression(settings), tmp_path, Line(4, noise=0), steps=5, clip_norm=0.5)
    model = Regression(settings).model
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.2)
    samples = [Line(4, noise=0).get(i, np.random.default_rng(0)) for i in range(4)]
    x = torch.tensor([s[0].tolist() for s in samples])
    y = torch.tensor([s[1].tolist() for s in samples])
    for step in range(5):
        optimiser.param_groups[0]["lr"] = 0.1 * (1 - step / 5) ** 0.9
        optimiser.zero_grad()
        nn.functional.mse_loss(model(x), y).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimiser.step()
    assert torch.allclose(result.weights["model"]["weight"], model.weight, atol=1e-5)


def test_accumulation_is_the_larger_batch(tmp_path: Path) -> None:
    whole = _fit(Regression(SGD), tmp_path / "1", batch_size=8)
    parts = _fit(Regression(SGD), tmp_path / "3", batch_size=8, accumulate=3)
    for key, value in whole.weights["model"].items():
        assert torch.allclose(value, parts.weights["model"][key], atol=1e-6)
    first, second = whole.history[-1]["loss_main"], parts.history[-1]["loss_main"]
    assert first == pytest.approx(second, rel=1e-5)


def test_two_runs_are_equal_bit_for_bit_and_another_seed_is_not(tmp_path: Path) -> None:
    first, second, other = (
        _fit(SmallGan(), tmp_path / str(i), Pictures(), batch_size=4, seed=seed)
        for i, seed in enumerate((5, 5, 6))
    )
    key = "0.weight"
    assert torch.equal(first.weights["generator"][key], second.weights["generator"][key])
    assert not torch.equal(first.weights["generator"][key], other.weights["generator"][key])


def test_a_gan_alternates_and_trains_both(tmp_path: Path) -> None:
    gan = SmallGan()
    before = {name: m[0].weight.detach().clone() for name, m in gan.modules().items()}
    _fit(gan, tmp_path, Pictures(), batch_size=4, accumulate=2)
    pair = ["discriminator"] * 2 + ["generator"] * 2
    assert gan.order == pair * 9
    for name, module in gan.modules().items():
        assert not torch.equal(before[name], module[0].weight), name


def test_each_optimiser_moves_only_its_own_and_starts_from_zero_gradients(tmp_path: Path) -> None:
    class Two(Regression):
        def __init__(self) -> None:
            super().__init__(SGD)
            self.other = nn.Linear(1, 1)

        def modules(self) -> Any:
            return {"model": self.model, "other": self.other}

        def optimisers(self) -> Any:
            return {
                "main": Trainable([ParameterGroup([self.model.weight], lr_scale=0.5)], SGD),
                "other": Trainable.of(self.other, settings=SGD),
            }

        def losses(self, modules: Any, batch: Any) -> Any:
            before = self.model.weight.detach().clone()
            output = modules["model"](batch[0])
            yield Loss("other", modules["other"](output).square().mean())
            assert torch.equal(before, self.model.weight)
            output = modules["model"](batch[0])
            yield Loss("main", output.sum())
            expected = before - 0.5 * 0.1 * batch[0].sum(0)
            assert torch.allclose(self.model.weight, expected, atol=1e-6)

    _fit(Two(), tmp_path, epochs=1)


@pytest.mark.parametrize("ema", [None, 0.5])
def test_the_best_validation_gives_the_weights(tmp_path: Path, ema: float | None) -> None:
    best = _fit(Regression(SGD, [0.1, 0.7, 0.7, 0.2]), tmp_path / "a", epochs=4, ema=ema)
    until = _fit(Regression(SGD), tmp_path / "b", epochs=2, ema=ema)
    assert best.best is not None
    assert (best.best["epoch"], best.best["score"]) == (2, 0.7)
    assert torch.equal(best.weights["model"]["weight"], until.weights["model"]["weight"])


def test_validation_sees_averaged_weights_in_eval_mode_and_leaves_no_trace(tmp_path: Path) -> None:
    seen = []

    class Watching(Regression):
        def validate(self, modules: Any, step: int) -> Any:
            seen.append((self.model.weight.clone(), modules["model"].training))
            torch.rand(3)
            return {}

    watching = Watching(SGD)
    result = _fit(watching, tmp_path / "a", ema=0.9)
    plain = _fit(Regression(SGD), tmp_path / "b", ema=0.9, validate_every=2)
    assert [training for _, training in seen] == [False] * 3
    assert torch.equal(seen[-1][0], result.weights["model"]["weight"])
    assert torch.equal(result.weights["model"]["weight"], plain.weights["model"]["weight"])
    assert watching.model.training


def test_a_plateau_divides_and_then_stops(tmp_path: Path) -> None:
    settings = OptimiserSettings(
        kind="sgd",
        lr=0.1,
        schedule={"kind": "plateau", "patience": 3},  # type: ignore[arg-type]
    )
    result = _fit(Regression(settings, [0.5] * 99), tmp_path, epochs=99)
    rates = [row["lr_main"] for row in result.history]
    assert rates == pytest.approx([0.1] * 4 + [0.02] * 3 + [0.004] * 3)
    assert _fit(Regression(settings, []), tmp_path, epochs=99).steps == result.steps


def test_stop_after_stops(tmp_path: Path) -> None:
    result = _fit(Regression(SGD, [1.0, 2.0, 0.0, 0.0, 9.0]), tmp_path, epochs=9, stop_after=2)
    assert len(result.history) == 4


def test_validation_happens_every_so_often_and_at_the_end(tmp_path: Path) -> None:
    _fit(Regression(SGD, [1.0, 2.0, 3.0]), tmp_path, epochs=5, validate_every=2)
    assert [row["score"] for row in _rows(tmp_path)] == ["", "1", "", "2", "3"]


def test_steps_may_end_inside_an_epoch(tmp_path: Path) -> None:
    result = _fit(Regression(SGD), tmp_path, steps=4)
    assert [(row["epoch"], row["step"]) for row in result.history] == [(1, 3), (2, 4)]


def test_a_loss_that_is_no_number_stops_and_keeps_the_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="'main' is nan in step 5 \\(epoch 2\\)"):
        _fit(Regression(SGD, poison=4), tmp_path, checkpoint_seconds=0)
    resumed = _fit(Regression(SGD), tmp_path)
    whole = _fit(Regression(SGD), tmp_path / "whole")
    assert torch.equal(resumed.weights["model"]["weight"], whole.weights["model"]["weight"])


def test_weights_that_are_no_numbers_are_never_checkpointed(tmp_path: Path) -> None:
    class Silent(Regression):
        def losses(self, modules: Any, batch: Any) -> Any:
            yield from super().losses(modules, batch)
            with torch.no_grad():
                self.model.bias.fill_(float("inf"))

    with pytest.raises(TrainingError, match=r"weights model\.bias are no longer finite"):
        _fit(Silent(SGD), tmp_path, checkpoint_seconds=0)
    assert not (tmp_path / NAME).exists()


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    _fit(Regression(SGD), tmp_path)
    whole = (tmp_path / NAME).read_bytes()
    for damaged in (b"", b"rubbish", whole[: len(whole) // 2]):
        (tmp_path / NAME).write_bytes(damaged)
        with pytest.raises(TrainingError, match=r"checkpoint\.pt: the checkpoint is damaged"):
            _fit(Regression(SGD), tmp_path)


def test_changed_settings_are_named(tmp_path: Path) -> None:
    _fit(Regression(SGD), tmp_path)
    with pytest.raises(TrainingError, match=r"settings\.batch_size was 8 and is 4; delete"):
        _fit(Regression(SGD), tmp_path, batch_size=4)
    with pytest.raises(TrainingError, match=r"optimisers\.main\.lr was 0\.1 and is 0\.2"):
        _fit(Regression(SGD.model_copy(update={"lr": 0.2})), tmp_path)
    with pytest.raises(TrainingError, match=r"samples was 24 and is 30"):
        _fit(Regression(SGD), tmp_path, Line(30))
    with pytest.raises(TrainingError, match=r"identity\.data was absent and is abc"):
        fit(Regression(SGD), Line(), _settings(), tmp_path, identity={"data": "abc"}, quiet=True)


def test_mistakes_of_an_objective_are_named(tmp_path: Path) -> None:
    class Unknown(Regression):
        def losses(self, modules: Any, batch: Any) -> Any:
            yield Loss("mian", modules["model"](batch[0]).mean())

    class Stray(Regression):
        def optimisers(self) -> Any:
            return {"main": Trainable.of(nn.Linear(1, 1), settings=SGD)}

    class Misnamed(Regression):
        def selection(self) -> Selection:
            return Selection("miou", "max")

    plateau = OptimiserSettings(schedule="plateau")  # type: ignore[arg-type]
    for objective, words in (
        (Unknown(SGD), "an optimiser 'mian'; it has main"),
        (Stray(SGD), "in none of the objective's modules"),
        (Misnamed(SGD, [1.0]), "metric 'miou' is not among what validation gives: score"),
        (Regression(plateau), "needs an objective with a selection metric"),
    ):
        with pytest.raises(TrainingError, match=words):
            _fit(objective, tmp_path)


def test_a_frozen_teacher_is_reached_and_not_saved(tmp_path: Path) -> None:
    class Taught(Regression):
        def frozen(self) -> Any:
            return {"teacher": self.teacher}

        def losses(self, modules: Any, batch: Any) -> Any:
            target = modules["teacher"](batch[0])
            assert target.dtype == torch.float32
            yield Loss("main", (modules["model"](batch[0]) - target).square().mean())

    taught = Taught(SGD)
    taught.teacher = nn.Linear(2, 1).eval().requires_grad_(False)
    result = _fit(taught, tmp_path, epochs=40, precision="bf16")
    assert set(result.weights) == {"model"}
    assert torch.allclose(taught.model.weight, taught.teacher.weight, atol=0.05)


def test_cuda_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="no CUDA device"):
        _fit(Regression(SGD), tmp_path, device="cuda")


def test_automatic_precision_asks_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda: False)
    assert resolve_precision("auto", "cpu") == "32-true"
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    assert resolve_precision("auto", "cpu") == "bf16-mixed"
    assert resolve_precision("fp32", "cpu") == "32-true"


def test_tensorboard_gets_the_numbers_of_each_epoch(tmp_path: Path) -> None:
    _fit(Regression(SGD), tmp_path, tensorboard=True)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("loss_main")] == [3, 6, 9]


def test_a_step_costs_the_loop_about_a_millisecond_at_most(tmp_path: Path) -> None:
    settings = TrainingSettings(steps=100, device="cpu", checkpoint_seconds=None)
    _fit(Regression(SGD), tmp_path / "first", steps=1)  # imports
    took = []
    for number in range(5):
        start = time.thread_time()
        fit(Regression(SGD), Line(800), settings, tmp_path / f"long-{number}", quiet=True)
        took.append((time.thread_time() - start) / 100)
    # The model and a checkpoint are inside, and the machine may be busy: a loose bound of the best.
    assert min(took) < 2e-3
