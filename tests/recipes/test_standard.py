"""The standard recipe through the real training loop."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ratewise.data.classes import Classes, default_colours
from ratewise.errors import InputError
from ratewise.recipes import recipe
from ratewise.recipes.assembly import Ingredients
from ratewise.recipes.holdout import split_indices
from ratewise.tasks.predictor import SegmentationPredictor, evaluate
from ratewise.tasks.samples import Pick, collate
from ratewise.tasks.segmentation import segmentation_loss
from ratewise.tasks.segmentation_settings import SegmentationSettings
from ratewise.tasks.segmentation_task import SegmentationTask
from ratewise.training.loop import fit
from ratewise.training.settings import OptimiserSettings, TrainingSettings

CLASSES = Classes(("dark", "bright", "red"), default_colours(3))


@dataclass(frozen=True)
class _Record:
    key: str
    width: int = 32
    height: int = 32


class _Store:
    """Images of two halves whose colour is their class."""

    def __init__(self, count: int = 8) -> None:
        self.records = [_Record(f"{i}.png") for i in range(count)]

    def __len__(self) -> int:
        return len(self.records)

    def mask(self, index: int) -> np.ndarray:
        mask = np.zeros((32, 32), np.uint8)
        mask[:, 16:] = 1
        mask[8 + index % 8 : 24] = 2
        mask[0] = 255
        return mask

    def image(self, index: int) -> np.ndarray:
        palette = np.zeros((256, 3), np.uint8)
        palette[1], palette[2] = (255, 255, 255), (255, 0, 0)
        return palette[self.mask(index)]


def _settings(**values: Any) -> SegmentationSettings:
    defaults: dict[str, Any] = {
        "decoder_options": {"decoder_channels": 16},
        "augmentation": {"scale": (1, 1)},
        "optimiser": OptimiserSettings(lr=3e-3),
        "training": TrainingSettings(steps=25, batch_size=4, precision="fp32", device="cpu"),
    }
    return SegmentationSettings(**{**defaults, **values})


def _task(**values: Any) -> SegmentationTask:
    return SegmentationTask(_settings(**values), CLASSES)


def _train(settings: SegmentationSettings, folder: Path) -> Any:
    assembly = recipe("standard")(
        Ingredients(SegmentationTask(settings, CLASSES), [_Store()], seed=0)
    )
    result = fit(
        assembly.objective,
        assembly.source,
        settings.training,
        folder,
        collate=assembly.collate,
        quiet=True,
    )
    return assembly, result


def test_it_learns_what_can_be_learnt(tmp_path: Path) -> None:
    assembly, result = _train(_settings(), tmp_path)
    losses = [row["loss_model"] for row in result.history]
    assert losses[-1] < 0.5 * losses[0]
    scored = evaluate(SegmentationPredictor(assembly.model, device="cpu"), _Store(), CLASSES)
    assert scored.metrics["miou"] > 0.5


def test_the_same_seed_trains_the_same_weights(tmp_path: Path) -> None:
    short = _settings(training=TrainingSettings(steps=3, batch_size=4, device="cpu"))
    (one, _), (other, _) = (_train(short, tmp_path / name) for name in ("a", "b"))
    pairs = zip(one.model.state_dict().values(), other.model.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_held_out_images_select_and_are_not_trained_on(tmp_path: Path) -> None:
    settings = _settings(
        holdout=0.25, training=TrainingSettings(epochs=2, batch_size=4, device="cpu")
    )
    assembly, result = _train(settings, tmp_path)
    assert len(assembly.source) == 6
    assert result.best is not None
    assert result.best["holdout_miou"] == max(row["holdout_miou"] for row in result.history)


def test_the_images_held_out_follow_from_the_seed_and_are_of_the_chosen_ones() -> None:
    trained, held = split_indices(range(20), 0.2, 0)
    assert len(held) == 4
    assert sorted(trained + held) == list(range(20))
    assert split_indices(range(20), 0.2, 0) == (trained, held)
    assert split_indices(range(20), 0.2, 1) != (trained, held)
    trained, held = split_indices([3, 5, 7], 0.2, 0)
    assert sorted(trained + held) == [3, 5, 7]
    assert len(held) == 1
    with pytest.raises(InputError, match="leaves none to train on"):
        split_indices([3], 0.2, 0)


def test_the_encoder_has_its_own_learning_rate() -> None:
    settings = _settings(encoder_lr_scale=0.1, encoder_frozen=["conv1"])
    assembly = recipe("standard")(
        Ingredients(SegmentationTask(settings, CLASSES), [_Store()], seed=0)
    )
    groups = assembly.objective.optimisers()["model"].groups
    assert [group.lr_scale for group in groups] == [0.1, 1.0]
    every = {id(p) for p in assembly.model.parameters() if p.requires_grad}
    assert {id(p) for group in groups for p in group.parameters} == every
    assert len(every) < len(list(assembly.model.parameters()))


@pytest.mark.parametrize("name", ["median_frequency", "sqrt_median_frequency"])
def test_class_weights_come_from_the_training_masks(name: str) -> None:
    plain, weighted = (
        recipe("standard")(Ingredients(_task(class_weights=w), [_Store()], seed=0))
        for w in (None, name)
    )
    batch = plain.collate([plain.source.get(i, np.random.default_rng(0)) for i in range(4)])

    def loss(assembly: Any) -> float:
        torch.manual_seed(0)
        return next(assembly.objective.losses({"model": assembly.model}, batch)).value.item()

    assert loss(plain) != loss(weighted)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"optimiser": {"schedule": "plateau"}}, "plateau needs held-out images"),
        (
            {"training": TrainingSettings(steps=1, batch_size=2, stop_after=1)},
            "stop_after needs held-out images",
        ),
        ({"class_weights": [1.0]}, "1 values for 3 classes"),
    ],
)
def test_settings_that_cannot_be_trained_are_refused(values: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        recipe("standard")(Ingredients(_task(**values), [_Store()], seed=0))


def test_an_unknown_recipe_is_named() -> None:
    with pytest.raises(InputError, match="did you mean standard"):
        recipe("standart")


class _Negative(_Store):
    """The same scenes with other colours."""

    def image(self, index: int) -> np.ndarray:
        return 255 - super().image(index)


def test_each_image_comes_through_the_channel_and_with_the_weight_that_is_picked() -> None:
    stores = [_Store(), _Negative()]

    def pick(index: int) -> Pick:
        return Pick((1,), 5.0) if index % 2 else Pick((0,))

    ingredients = Ingredients(_task(), stores, seed=0, indices=[1, 2, 4, 7], pick=pick)
    source = recipe("standard")(ingredients).source
    batch = collate([source.get(i, np.random.default_rng(0)) for i in range(4)])
    assert batch.weights.tolist() == [5, 1, 1, 5]
    assert len(batch.images) == 1
    for place, index in enumerate([1, 2, 4, 7]):
        expected = stores[index % 2].image(index)
        sample = source.whole(place)  # type: ignore[attr-defined]
        np.testing.assert_array_equal(sample.images[0], expected)


def test_a_heavier_sample_pulls_the_loss_by_its_weight() -> None:
    logits = torch.zeros(2, 3, 4, 4)
    logits[0, 0] = 2.0
    targets = torch.zeros(2, 4, 4, dtype=torch.uint8)
    apart = [segmentation_loss(logits[i : i + 1], targets[i : i + 1]).item() for i in range(2)]
    both = segmentation_loss(logits, targets, None, torch.tensor([5.0, 1.0])).item()
    assert both == pytest.approx((5 * apart[0] + apart[1]) / 2, rel=1e-6)
