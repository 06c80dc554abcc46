"""From a trained classifier to classes and figures: scores, predict, evaluate, save, load."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ratewise.errors import InputError
from ratewise.images import Image
from ratewise.metrics.classification import Accuracy, Matrix
from ratewise.tasks.batching import BatchedModel
from ratewise.tasks.classification import ClassificationModel, build_model
from ratewise.tasks.classification_settings import ClassificationSettings
from ratewise.tasks.classification_weights import FORMAT
from ratewise.training.weights import apply_weights, load_weights, save_weights
from ratewise.validation import validate

Scores = NDArray[np.float32]


class Classifier(Protocol):
    """Scores the classes of a data set for images."""

    def class_scores(self, images: Sequence[Image]) -> list[Scores]:
        """``float32 (C,)`` for each image ``uint8 (H, W, 3)``, in order; the highest wins."""
        ...


class ClassifiedImages(Protocol):
    """What is read of a store: decoded images, their classes, and a record of each."""

    @property
    def records(self) -> Sequence[Any]:
        """One per image, with ``key``."""
        ...

    def image(self, index: int) -> Image:
        """Image ``index``, decoded."""
        ...

    def label(self, index: int) -> int:
        """The class id of image ``index``; InputError if it has none."""
        ...


class ClassificationPredictor:
    """A classifier that scores images, without changing the model's own mode.

    Consecutive images of one size go through the model together, ``batch_size`` at most. The same
    images in the same order give the same scores.
    """

    def __init__(
        self,
        model: ClassificationModel,
        *,
        device: str = "auto",
        precision: Literal["auto", "fp32", "bf16"] = "fp32",
        batch_size: int = 32,
    ) -> None:
        self._outputs: NDArray[np.int64] = model.outputs.cpu().numpy()
        self._batched = BatchedModel(
            model, device=device, precision=precision, batch_size=batch_size
        )

    def scores(self, images: Sequence[Image]) -> list[Scores]:
        """The logits of all outputs, ``float32 (K,)`` for each image ``uint8 (H, W, 3)``."""
        batches = self._batched.outputs(images)
        return [row for logits in batches for row in logits.float().cpu().numpy()]

    def class_scores(self, images: Sequence[Image]) -> list[Scores]:
        """The logits of the data set's classes, ``float32 (C,)`` for each image."""
        return [row[self._outputs] for row in self.scores(images)]

    def predict(self, images: Sequence[Image]) -> list[int]:
        """The id of the most likely of the data set's classes for each image."""
        return [int(row.argmax()) for row in self.class_scores(images)]


@dataclass(frozen=True)
class Evaluation:
    """What a classifier achieves on the images of a store."""

    metrics: dict[str, float]
    """``images``, ``top1``, ``top5``, ``accuracy:<class>``; 0 to 1, NaN for a class without images
    and for the top 5 of 5 classes or fewer (see :mod:`ratewise.metrics.classification`)."""
    matrix: Matrix = field(repr=False)
    """Confusion matrix ``int64 (C, C)`` over all images: true class by predicted class."""
    correct: dict[str, bool] = field(repr=False)
    """Whether the class of each image, by its key, is right."""


def evaluate(
    predictor: Classifier,
    store: ClassifiedImages,
    labels: Sequence[str],
    *,
    indices: Sequence[int] | None = None,
    chunk: int = 32,
) -> Evaluation:
    """Score ``predictor`` on the images of ``store`` (or those at ``indices``).

    ``labels`` are the names of the classes, in the order of their ids. ``chunk`` images are in
    memory at a time. Raises :class:`InputError` if there is no image, an image has no class or one
    that is not of ``labels``, or the predictor knows another number of classes.
    """
    chosen = list(range(len(store.records)) if indices is None else indices)
    if not chosen:
        raise InputError("there are no images to evaluate on")
    accuracy = Accuracy(len(labels))
    correct: dict[str, bool] = {}
    for start in range(0, len(chosen), chunk):
        part = chosen[start : start + chunk]
        targets = [_target(store, index, labels) for index in part]
        scores = np.stack(predictor.class_scores([store.image(index) for index in part]))
        if scores.shape[1] != len(labels):
            raise InputError(
                f"the model has {scores.shape[1]} classes and the data set {len(labels)}"
            )
        right = accuracy.update(scores, np.array(targets))
        for index, is_right in zip(part, right, strict=True):
            correct[store.records[index].key] = bool(is_right)
    return Evaluation(metrics_of(accuracy, labels), accuracy.matrix, correct)


def metrics_of(accuracy: Accuracy, labels: Sequence[str]) -> dict[str, float]:
    """The figures under the names that result rows use."""
    per_class = zip(labels, accuracy.per_class, strict=True)
    return {
        "images": float(accuracy.images),
        "top1": accuracy.top1,
        "top5": accuracy.top5,
        **{f"accuracy:{label}": float(value) for label, value in per_class},
    }


def save_model(
    path: Path,
    weights: nn.Module | Mapping[str, torch.Tensor],
    settings: ClassificationSettings,
    labels: Sequence[str],
    *,
    origin: Mapping[str, Any] | None = None,
) -> None:
    """Write a model's weights with all that :func:`load_model` needs to build it again.

    ``weights`` is the model or its state dict, ``labels`` are the data set's classes. ``origin``
    (JSON-able) says how it came about.
    """
    header = {
        "format": FORMAT,
        "task": settings.deciding(),
        "labels": list(labels),
        "origin": dict(origin or {}),
    }
    save_weights(path, weights, header)


@dataclass(frozen=True)
class LoadedClassifier:
    """A model read from a weights file."""

    model: ClassificationModel
    settings: ClassificationSettings
    labels: tuple[str, ...]
    origin: dict[str, Any]


def load_model(path: Path) -> LoadedClassifier:
    """The model of a weights file, built from its header alone, on the CPU and in ``eval()``.

    Raises :class:`InputError` if the file is not one that :func:`save_model` wrote.
    """
    state, header = load_weights(path)
    if header.get("format") != FORMAT:
        raise InputError(f"{path}: not the weights of a classifier of ratewise")
    settings = validate(ClassificationSettings, header["task"], f"{path} (header)")
    labels = tuple(header["labels"])
    with torch.random.fork_rng():
        model = build_model(settings, labels)
    apply_weights(model, state, str(path))
    return LoadedClassifier(model.eval(), settings, labels, header["origin"])


def load_predictor(
    path: Path,
    *,
    device: str = "auto",
    precision: Literal["auto", "fp32", "bf16"] = "fp32",
    batch_size: int = 32,
) -> ClassificationPredictor:
    """A predictor from a weights file. Errors: :func:`load_model`."""
    model = load_model(path).model
    return ClassificationPredictor(model, device=device, precision=precision, batch_size=batch_size)


def _target(store: ClassifiedImages, index: int, labels: Sequence[str]) -> int:
    target = store.label(index)
    if not 0 <= target < len(labels):
        raise InputError(
            f"{store.records[index].key}: class id {target} is not 0 to {len(labels) - 1}"
        )
    return target
