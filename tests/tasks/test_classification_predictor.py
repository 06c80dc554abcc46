"""Scoring and predicting classes, evaluating, and classifiers on disk."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from ratewise.errors import InputError
from ratewise.tasks.batching import runs_of_one_size
from ratewise.tasks.classification import initial_model
from ratewise.tasks.classification_predictor import (
    ClassificationPredictor,
    evaluate,
    load_model,
    load_predictor,
    save_model,
)
from ratewise.tasks.classification_settings import ClassificationSettings
from ratewise.training.weights import save_weights

LABELS = ("cat", "dog", "owl")
SETTINGS = ClassificationSettings(
    model="mobilenetv3_small_050", head="restricted", head_classes=["owl", "ant", "cat", "dog"]
)


@dataclass(frozen=True)
class _Record:
    key: str


class _Store:
    """An image of one pixel for each label."""

    def __init__(self, labels: list[int]) -> None:
        self.labels = labels
        self.records = [_Record(f"{i}.png") for i in range(len(labels))]

    def image(self, index: int) -> np.ndarray:
        return np.full((1, 1, 3), index, np.uint8)

    def label(self, index: int) -> int:
        return self.labels[index]


class _Says:
    """Scores of the image that is told by its pixels."""

    def __init__(self, scores: list[list[float]]) -> None:
        self.scores = np.array(scores, np.float32)

    def class_scores(self, images: object) -> list[np.ndarray]:
        return [self.scores[image[0, 0, 0]] for image in images]  # type: ignore[attr-defined]


def _images() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    sizes = ((40, 33), (40, 33), (32, 32), (40, 33))
    return [rng.integers(0, 256, (*size, 3)).astype(np.uint8) for size in sizes]


def test_neighbours_of_one_size_make_a_batch() -> None:
    images = [np.zeros((size, 4, 3), np.uint8) for size in (2, 2, 2, 3, 2, 2)]
    parts = list(runs_of_one_size(images, 2))
    assert [[image.shape[0] for image in part] for part in parts] == [[2, 2], [2], [3], [2, 2]]
    assert list(runs_of_one_size([], 2)) == []


def test_each_image_is_scored_in_order_and_the_classes_are_picked() -> None:
    model = initial_model(SETTINGS, LABELS, seed=0)
    together = ClassificationPredictor(model).scores(_images())
    with torch.no_grad():
        alone = [
            model.eval()(torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255)[0].numpy()
            for image in _images()
        ]
    for one, other in zip(together, alone, strict=True):
        assert one.dtype == np.float32
        assert one.shape == (4,)
        assert one == pytest.approx(other, abs=1e-4)
    predictor = ClassificationPredictor(model, batch_size=2)
    classes = np.stack(predictor.class_scores(_images()))
    assert classes == pytest.approx(np.stack(alone)[:, [2, 3, 0]], abs=1e-4)
    assert predictor.predict(_images()) == classes.argmax(axis=1).tolist()
    assert predictor.predict([]) == []


def test_predicting_twice_is_the_same_and_leaves_the_model_as_it_was() -> None:
    model = initial_model(SETTINGS, LABELS, seed=0).train()
    model.network.get_submodule("blocks.0").eval()
    modes = [module.training for module in model.modules()]
    predictor = ClassificationPredictor(model)
    first, second = predictor.scores(_images()), predictor.scores(_images())
    assert all((a == b).all() for a, b in zip(first, second, strict=True))
    assert [module.training for module in model.modules()] == modes


def test_bfloat16_gives_float32_scores_that_are_close() -> None:
    model = initial_model(SETTINGS, LABELS, seed=0)
    exact = np.stack(ClassificationPredictor(model).scores(_images()))
    close = np.stack(ClassificationPredictor(model, precision="bf16").scores(_images()))
    assert close.dtype == np.float32
    assert (close != exact).any()
    assert close == pytest.approx(exact, abs=0.1 * float(np.abs(exact).max()))


def test_the_scores_of_a_store_by_hand() -> None:
    store = _Store([0, 0, 1, 1])
    says = _Says([[3, 1, 1], [1, 3, 1], [1, 2, 1], [2, 2, 1]])  # the last one is a tie
    result = evaluate(says, store, LABELS, chunk=3)
    assert result.metrics["images"] == 4
    assert result.metrics["top1"] == 0.5
    assert math.isnan(result.metrics["top5"])
    assert result.metrics["accuracy:cat"] == 0.5
    assert result.metrics["accuracy:dog"] == 0.5
    assert math.isnan(result.metrics["accuracy:owl"])
    assert result.matrix.tolist() == [[1, 1, 0], [1, 1, 0], [0, 0, 0]]
    assert result.correct == {"0.png": True, "1.png": False, "2.png": True, "3.png": False}
    some = evaluate(says, store, LABELS, indices=[2, 0])
    assert some.metrics["top1"] == 1
    assert list(some.correct) == ["2.png", "0.png"]


def test_what_does_not_fit_is_named() -> None:
    with pytest.raises(InputError, match=r"1\.png: class id 3 is not 0 to 2"):
        evaluate(_Says([[0, 0, 1], [0, 0, 1]]), _Store([0, 3]), LABELS)
    with pytest.raises(InputError, match="the model has 2 classes and the data set 3"):
        evaluate(_Says([[0, 1]]), _Store([0]), LABELS)
    with pytest.raises(InputError, match="no images"):
        evaluate(_Says([]), _Store([]), LABELS)


def test_a_model_comes_back_from_its_file_alone(tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"weights": "gone.safetensors"})
    model = initial_model(SETTINGS, LABELS, seed=1).train()
    with torch.no_grad():
        model(torch.rand(2, 3, 64, 64))  # moves the statistics
    file, again = tmp_path / "model.safetensors", tmp_path / "again.safetensors"
    save_model(file, model, settings, LABELS, origin={"seed": 1})
    save_model(again, model.state_dict(), settings, LABELS, origin={"seed": 1})
    assert file.read_bytes() == again.read_bytes()
    loaded = load_model(file)
    assert loaded.labels == LABELS
    assert loaded.origin == {"seed": 1}
    assert not loaded.model.training
    expected = ClassificationPredictor(model).scores(_images())
    for one, other in zip(load_predictor(file).scores(_images()), expected, strict=True):
        assert (one == other).all()


def test_other_weights_are_no_model(tmp_path: Path) -> None:
    save_weights(tmp_path / "other.safetensors", {"a": torch.zeros(1)}, {"format": "else"})
    with pytest.raises(InputError, match=r"other\.safetensors: not the weights of a classifier"):
        load_model(tmp_path / "other.safetensors")
