"""Predicting, scoring, and models on disk."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from ratewise.data.classes import Classes, default_colours
from ratewise.errors import InputError
from ratewise.tasks.predictor import (
    SegmentationPredictor,
    evaluate,
    load_model,
    load_predictor,
    save_model,
)
from ratewise.tasks.segmentation import initial_model
from ratewise.tasks.segmentation_settings import SegmentationSettings
from ratewise.training.weights import save_weights

CLASSES = Classes(
    ("sky", "road", "pole", "sign"), default_colours(4), {"small objects": ("pole", "sign")}
)
SETTINGS = SegmentationSettings(decoder_options={"decoder_channels": 16})


@dataclass(frozen=True)
class _Record:
    key: str
    width: int
    height: int


class _Store:
    """Random images of two sizes, with masks that the caller gives."""

    def __init__(self, masks: list[np.ndarray]) -> None:
        self.masks = masks
        self.records = [_Record(f"{i}.png", m.shape[1], m.shape[0]) for i, m in enumerate(masks)]

    def __len__(self) -> int:
        return len(self.masks)

    def image(self, index: int) -> np.ndarray:
        shape = (*self.masks[index].shape, 3)
        return np.random.default_rng(index).integers(0, 256, shape).astype(np.uint8)

    def mask(self, index: int) -> np.ndarray:
        return self.masks[index]


class _Says:
    """A predictor that says what it is told to."""

    def __init__(self, masks: list[np.ndarray]) -> None:
        self.left = list(masks)

    def predict(self, images: object) -> list[np.ndarray]:
        count = len(images)  # type: ignore[arg-type]
        said, self.left = self.left[:count], self.left[count:]
        return said


def _images() -> list[np.ndarray]:
    store = _Store([np.zeros(s, np.uint8) for s in ((20, 33), (20, 33), (1, 1), (20, 33))])
    return [store.image(i) for i in range(4)]


def test_each_image_gets_a_mask_of_its_size_in_order() -> None:
    model = initial_model(SETTINGS, 4, seed=0)
    together = SegmentationPredictor(model).predict(_images())
    alone = [SegmentationPredictor(model, batch_size=1).predict([i])[0] for i in _images()]
    assert [mask.shape for mask in together] == [(20, 33), (20, 33), (1, 1), (20, 33)]
    for one, other in zip(together, alone, strict=True):
        assert one.dtype == np.uint8
        assert (one == other).mean() > 0.99  # sums of floats may differ in their last bit


def test_predicting_twice_is_the_same_and_leaves_the_model_as_it_was() -> None:
    model = initial_model(SETTINGS, 4, seed=0).train()
    model.network.get_submodule("encoder.layer1").eval()
    modes = [module.training for module in model.modules()]
    predictor = SegmentationPredictor(model)
    first, second = predictor.predict(_images()), predictor.predict(_images())
    assert all((a == b).all() for a, b in zip(first, second, strict=True))
    assert [module.training for module in model.modules()] == modes


def test_the_scores_of_a_store_by_hand() -> None:
    targets = [np.array([[0, 0, 1, 255]], np.uint8), np.array([[2, 2]], np.uint8)]
    said = [np.array([[0, 1, 1, 3]], np.uint8), np.array([[2, 0]], np.uint8)]
    result = evaluate(_Says(said), _Store(targets), CLASSES, chunk=1)
    assert result.metrics["images"] == 2
    assert result.metrics["iou:sky"] == pytest.approx(1 / 3)
    assert result.metrics["iou:road"] == pytest.approx(1 / 2)
    assert result.metrics["iou:pole"] == pytest.approx(1 / 2)
    assert math.isnan(result.metrics["iou:sign"])
    assert result.metrics["miou"] == pytest.approx((1 / 3 + 1 / 2 + 1 / 2) / 3)
    assert result.metrics["miou:small objects"] == pytest.approx(1 / 2)
    assert result.metrics["pixel_accuracy"] == pytest.approx(3 / 5)
    assert result.matrix.sum() == 5
    assert result.image_miou == pytest.approx({"0.png": (1 / 2 + 1 / 2) / 2, "1.png": 1 / 2})


def test_some_images_of_a_store_can_be_scored() -> None:
    targets = [np.zeros((2, 2), np.uint8), np.ones((2, 2), np.uint8)]
    result = evaluate(_Says([targets[1]]), _Store(targets), CLASSES, indices=[1])
    assert result.metrics["images"] == 1
    assert result.metrics["miou"] == 1


def test_a_subset_is_scored_as_if_it_were_alone() -> None:
    rng = np.random.default_rng(0)
    truth, said = ([rng.integers(0, 4, (6, 8)).astype(np.uint8) for _ in range(5)] for _ in "ab")
    whole = evaluate(_Says(said), _Store(truth), CLASSES, subsets={"odd": [1, 3], "last": [4]})
    for name, chosen in (("odd", [1, 3]), ("last", [4])):
        alone = evaluate(
            _Says([said[i] for i in chosen]), _Store([truth[i] for i in chosen]), CLASSES
        )
        assert whole.subset_miou[name] == alone.metrics["miou"] != whole.metrics["miou"]


def test_a_mask_that_does_not_fit_is_named() -> None:
    store = _Store([np.full((2, 2), 7, np.uint8)])
    with pytest.raises(InputError, match=r"0\.png: target class id 7"):
        evaluate(_Says([np.zeros((2, 2), np.uint8)]), store, CLASSES)
    with pytest.raises(InputError, match="no images"):
        evaluate(_Says([]), _Store([]), CLASSES)


def test_a_model_comes_back_from_its_file_alone(tmp_path: Path) -> None:
    model = initial_model(SETTINGS, 4, seed=1).eval()
    with torch.no_grad():
        model(torch.rand(1, 3, 32, 32))
    file, again = tmp_path / "model.safetensors", tmp_path / "again.safetensors"
    save_model(file, model, SETTINGS, CLASSES, origin={"seed": 1})
    save_model(again, model.state_dict(), SETTINGS, CLASSES, origin={"seed": 1})
    assert file.read_bytes() == again.read_bytes()
    loaded = load_model(file)
    assert loaded.classes == CLASSES
    assert loaded.origin == {"seed": 1}
    expected = SegmentationPredictor(model).predict(_images())
    for one, other in zip(load_predictor(file).predict(_images()), expected, strict=True):
        assert (one == other).all()


def test_other_weights_are_no_model(tmp_path: Path) -> None:
    save_weights(tmp_path / "other.safetensors", {"a": torch.zeros(1)}, {"format": "else"})
    with pytest.raises(InputError, match=r"other\.safetensors: not the weights of a segmentation"):
        load_model(tmp_path / "other.safetensors")
