"""Training restorers: what is written, resuming, pictures, errors."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ratewise.errors import InputError, TrainingError
from ratewise.images import read_image
from ratewise.restoration import training as module
from ratewise.restoration.generators import build_generator
from ratewise.restoration.pairs import Pairs, hold_out
from ratewise.restoration.quality import before_and_after
from ratewise.restoration.restorer import load_restorer
from ratewise.restoration.settings import RestorerSettings
from ratewise.restoration.training import train_restorer
from ratewise.training.weights import load_weights
from ratewise.validation import validate

CODEC = "jpeg:quality=10"


def settings(**changes: Any) -> RestorerSettings:
    value: dict[str, Any] = {
        "preset": "tiny",
        "generator": {"width": 4, "blocks": 1},
        "discriminators": {"width": 4, "layers": 2},
        "patch": 32,
        "validation": 2,
        "training": {
            "steps": 8,
            "batch_size": 2,
            "checkpoint_seconds": 0,
            "device": "cpu",
            "precision": "fp32",
        },
    }
    return validate(RestorerSettings, value | changes, "tiny")


def pairs_of(stores: Any) -> Pairs:
    return Pairs(stores.originals, stores.compressed, tuple(range(len(stores.originals))))


def train(chosen: RestorerSettings, pairs: Pairs, folder: Path, **options: Any) -> Path:
    return train_restorer(chosen, pairs, folder, trained_for=[CODEC], quiet=True, **options)


def test_a_restorer_learns_and_its_file_stands_alone(make_stores: Callable, tmp_path: Path) -> None:
    pairs = pairs_of(make_stores(6, CODEC))
    longer = settings(
        generator={"kind": "rdn", "width": 8, "blocks": 1, "layers": 2, "growth": 8},
        discriminators=None,
        losses={"adversarial": 0, "l1": 0, "mse": 1, "matching": 0},
        optimiser={"kind": "adam", "lr": 3e-3},
        training={
            "steps": 120,
            "batch_size": 4,
            "checkpoint_seconds": None,
            "device": "cpu",
            "precision": "fp32",
        },
    )
    path = train(longer, pairs, tmp_path / "run", origin={"study": "x"}, perceptual=np.mean)
    header = load_weights(path)[1]
    assert header["trained_for"] == [CODEC]
    assert header["origin"] == {"study": "x"}
    held, _ = hold_out(pairs, 2, 0)
    restorer = load_restorer(path, device="cpu", precision="fp32")
    (found,) = before_and_after(restorer, pairs, held, np.mean)
    assert found.codec == CODEC
    assert found.restored.psnr > found.compressed.psnr
    assert found.restored.ms_ssim_db is None  # the images are too small
    assert found.restored.perceptual is not None
    rows = list(csv.DictReader((tmp_path / "run/log.csv").open()))
    assert len(rows) <= 40
    assert float(rows[-1]["psnr"]) == pytest.approx(found.restored.psnr, abs=0.01)
    assert float(rows[-1]["perceptual"]) == pytest.approx(found.restored.perceptual, abs=0.1)


def test_a_killed_and_resumed_training_gives_the_same_weights(
    make_stores: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = pairs_of(make_stores(6, CODEC, "jpeg:quality=30"))
    whole = load_weights(train(settings(), pairs, tmp_path / "whole"))[0]
    losses = module.Restoration.losses
    calls = 0

    def dying(self: Any, modules: Any, batch: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 6:
            raise KeyboardInterrupt
        return losses(self, modules, batch)

    monkeypatch.setattr(module.Restoration, "losses", dying)
    with pytest.raises(KeyboardInterrupt):
        train(settings(), pairs, tmp_path / "killed")
    assert not (tmp_path / "killed" / module.WEIGHTS).exists()
    monkeypatch.setattr(module.Restoration, "losses", losses)
    resumed = load_weights(train(settings(), pairs, tmp_path / "killed"))[0]
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)
    names = [sorted(p.name for p in (tmp_path / run / "pictures").iterdir()) for run in RUNS]
    assert names[0] == names[1]
    other = load_weights(train(settings(), pairs, tmp_path / "seed", seed=1))[0]
    assert any(not torch.equal(whole[key], other[key]) for key in whole)


RUNS = ("whole", "killed")


def test_pictures_show_images_held_out_by_the_step(make_stores: Callable, tmp_path: Path) -> None:
    pairs = pairs_of(make_stores(6, CODEC))
    chosen = settings(training={**settings().training.model_dump(), "accumulate": 2, "ema": 0.5})
    train(chosen, pairs, tmp_path)
    held, rest = hold_out(pairs, 2, 0)
    assert not set(held) & set(rest)
    pictures = sorted((tmp_path / "pictures").iterdir())
    steps = [int(row["step"]) for row in csv.DictReader((tmp_path / "log.csv").open())]
    assert [p.name for p in pictures] == [f"step-{step:07d}.png" for step in steps]
    assert steps[-1] == 8
    strip = read_image(pictures[-1])
    assert strip.shape == (2 * 48, 3 * 64, 3)
    assert np.array_equal(strip[:48, 128:], pairs.originals.image(held[0]))
    assert np.array_equal(strip[:48, :64], pairs.compressed[0].image(held[0]))


def test_the_weights_hold_nothing_but_the_generator(make_stores: Callable, tmp_path: Path) -> None:
    state, _ = load_weights(train(settings(), pairs_of(make_stores(4, CODEC)), tmp_path))
    assert state.keys() == build_generator(settings().generator).state_dict().keys()


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_checkpoint(
    make_stores: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = pairs_of(make_stores(4, CODEC))
    terms = module.Restoration._terms
    calls = 0

    def broken(self: Any, *arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        found = terms(self, *arguments)
        return found | {"l1": found["l1"] * float("nan")} if calls == 4 else found

    monkeypatch.setattr(module.Restoration, "_terms", broken)
    with pytest.raises(TrainingError, match=r"loss of optimiser 'generator' is nan in step 4"):
        train(settings(), pairs, tmp_path)
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert state["step"] == 3
    assert all(v.isfinite().all() for v in state["modules"]["generator"].values())
    assert not (tmp_path / module.WEIGHTS).exists()


def test_what_else_the_result_depends_on_is_part_of_the_checkpoint(
    make_stores: Callable, tmp_path: Path
) -> None:
    train(settings(), pairs_of(make_stores(4, CODEC)), tmp_path / "run", identity={"stage": "a"})
    other = pairs_of(make_stores(4, "jpeg:quality=11", name="other"))
    with pytest.raises(TrainingError, match=r"identity\.pairs was"):
        train(settings(), other, tmp_path / "run", identity={"stage": "a"})


def test_whole_images_must_fit_in_a_batch_and_the_loss(
    make_stores: Callable, tmp_path: Path
) -> None:
    small, wide = (
        make_stores(3, CODEC, size=size, name=str(size)).originals for size in ((32, 48), (32, 64))
    )

    class Mixed:
        @property
        def records(self) -> list[Any]:
            return [*small.records, *wide.records]

    mixed = Pairs(Mixed(), (Mixed(),), tuple(range(6)))  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"differ in size \(48x32, 64x32\)"):
        train(settings(patch=None), mixed, tmp_path)
    uniform = Pairs(small, (small,), (0, 1, 2))
    weighed = settings(patch=None, losses={"ms_ssim": 1, "features": 0})
    with pytest.raises(InputError, match="needs 176 pixels a side at least, not 32"):
        train(weighed, uniform, tmp_path)
    with pytest.raises(InputError, match="validation = 3"):
        train(settings(validation=3), uniform, tmp_path)
