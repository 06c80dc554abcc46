"""Stability training: its loss by hand, and what it leaves alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from recipe_examples import TRAINING, Greys, GreyTask

from ratewise.recipes import recipe
from ratewise.recipes.assembly import Assembly, Ingredients
from ratewise.recipes.settings import StabilitySettings
from ratewise.training.loop import fit


def _assembly(**values: Any) -> Assembly:
    settings = StabilitySettings(**values)
    return recipe("stability")(Ingredients(GreyTask(), [Greys()], seed=0, settings=settings))  # type: ignore[arg-type]


def test_the_loss_is_cross_entropy_and_the_divergence_under_noise() -> None:
    assembly = _assembly(weight=2.0, sigma=0.3)
    batch = assembly.collate([assembly.source.get(i, np.random.default_rng(0)) for i in range(4)])
    torch.manual_seed(5)
    (loss,) = assembly.objective.losses({"model": assembly.model}, batch)
    torch.manual_seed(5)
    images = batch.images[0].float() / 255
    noisy = images + 0.3 * torch.randn_like(images)
    with torch.no_grad():
        plain, disturbed = (
            torch.softmax(assembly.model(x).double(), 1).numpy() for x in (images, noisy)
        )
    cross_entropy = -np.log(plain[np.arange(4), [0, 1, 0, 1]]).mean()
    divergence = (plain * np.log(plain / disturbed)).sum(1).mean()
    assert divergence > 1e-4
    assert loss.value.item() == pytest.approx(cross_entropy + 2 * divergence, rel=1e-5)


def test_only_the_last_layer_changes(tmp_path: Path) -> None:
    assembly = _assembly()
    before = {key: value.clone() for key, value in assembly.model.state_dict().items()}
    fit(
        assembly.objective,
        assembly.source,
        TRAINING,
        tmp_path,
        collate=assembly.collate,
        quiet=True,
    )
    after = assembly.model.state_dict()
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    assert changed == {"head.weight", "head.bias"}
