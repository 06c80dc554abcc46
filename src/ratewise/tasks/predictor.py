"""From a trained model to masks and figures: predict, evaluate, save, load."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import nn

from ratewise.data.classes import Classes
from ratewise.errors import InputError
from ratewise.images import Image, Mask
from ratewise.metrics.segmentation import (
    ConfusionMatrix,
    Matrix,
    group_iou,
    iou_per_class,
    mean_iou,
    pixel_accuracy,
)
from ratewise.tasks.batching import BatchedModel
from ratewise.tasks.samples import LabelledImages
from ratewise.tasks.segmentation import build_model
from ratewise.tasks.segmentation_settings import SegmentationSettings
from ratewise.training.weights import apply_weights, load_weights, save_weights
from ratewise.validation import validate

FORMAT = "ratewise segmentation 1"
"""What the header of a weights file says that it is."""


class Predictor(Protocol):
    """Gives class ids for images."""

    def predict(self, images: Sequence[Image]) -> list[Mask]:
        """A mask ``uint8 (H, W)`` for each image ``uint8 (H, W, 3)``, in order."""
        ...


class SegmentationPredictor:
    """A segmentation model that predicts masks, without changing the model's own mode.

    Consecutive images of one size go through the model together, ``batch_size`` at most. The same
    images in the same order give the same masks.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        device: str = "auto",
        precision: Literal["auto", "fp32", "bf16"] = "fp32",
        batch_size: int = 8,
    ) -> None:
        self._batched = BatchedModel(
            model, device=device, precision=precision, batch_size=batch_size
        )

    def predict(self, images: Sequence[Image]) -> list[Mask]:
        """The most likely class of each pixel, as a mask ``uint8 (H, W)`` for each image."""
        return [
            mask
            for logits in self._batched.outputs(images)
            for mask in logits.argmax(dim=1).to(torch.uint8).cpu().numpy()
        ]


@dataclass(frozen=True)
class Evaluation:
    """What a predictor achieves on the images of a store."""

    metrics: dict[str, float]
    """``images``, ``miou``, ``pixel_accuracy``, ``iou:<class>``, ``miou:<group>``; 0 to 1, NaN for
    what is not there (see :mod:`ratewise.metrics.segmentation`)."""
    matrix: Matrix = field(repr=False)
    """Confusion matrix ``int64 (C, C)`` over all images: true class by predicted class."""
    image_miou: dict[str, float] = field(repr=False)
    """The mean IoU of each image by its key, over the classes that it shows."""
    subset_miou: dict[str, float] = field(default_factory=dict, repr=False)
    """The mean IoU of the images of each subset, by its name."""


def evaluate(
    predictor: Predictor,
    store: LabelledImages,
    classes: Classes,
    *,
    indices: Sequence[int] | None = None,
    subsets: Mapping[str, Sequence[int]] = MappingProxyType({}),
    chunk: int = 8,
) -> Evaluation:
    """Score ``predictor`` on the images of ``store`` (or those at ``indices``), at a single scale.

    ``subsets`` are indices whose mean IoU is wanted too, by a name; of those that are not scored
    nothing counts. ``chunk`` images are in memory at a time. Raises :class:`InputError` if there
    is no image, or a mask does not fit its image or the classes.
    """

    def of_images(chosen: Sequence[int]) -> list[Mask]:
        return predictor.predict([store.image(index) for index in chosen])

    return evaluate_masks(of_images, store, classes, indices=indices, subsets=subsets, chunk=chunk)


def evaluate_masks(
    predict: Callable[[Sequence[int]], Sequence[Mask]],
    store: LabelledImages,
    classes: Classes,
    *,
    indices: Sequence[int] | None = None,
    subsets: Mapping[str, Sequence[int]] = MappingProxyType({}),
    chunk: int = 8,
) -> Evaluation:
    """:func:`evaluate` of what ``predict`` makes of the images at some indices of ``store``, from
    their pixels or not: a mask for each, in order."""
    chosen = list(range(len(store)) if indices is None else indices)
    if not chosen:
        raise InputError("there are no images to evaluate on")
    confusion = ConfusionMatrix(len(classes))
    image_miou: dict[str, float] = {}
    parts = [(frozenset(wanted), np.zeros_like(confusion.matrix)) for wanted in subsets.values()]
    for start in range(0, len(chosen), chunk):
        part = chosen[start : start + chunk]
        for index, mask in zip(part, predict(part), strict=True):
            key = store.records[index].key
            try:
                matrix = confusion.update(store.mask(index), mask)
            except InputError as error:
                raise InputError(f"{key}: {error}") from None
            image_miou[key] = mean_iou(matrix)
            for wanted, total in parts:
                if index in wanted:
                    total += matrix
    metrics = {"images": float(len(chosen)), **scores(confusion.matrix, classes)}
    of_subsets = {name: mean_iou(part[1]) for name, part in zip(subsets, parts, strict=True)}
    return Evaluation(metrics, confusion.matrix, image_miou, of_subsets)


def scores(matrix: Matrix, classes: Classes) -> dict[str, float]:
    """The metrics of a confusion matrix, under the names that result rows use."""
    per_class = zip(classes.names, iou_per_class(matrix), strict=True)
    return {
        "miou": mean_iou(matrix),
        "pixel_accuracy": pixel_accuracy(matrix),
        **{f"miou:{group}": group_iou(matrix, classes.ids(group)) for group in classes.groups},
        **{f"iou:{name}": float(value) for name, value in per_class},
    }


def save_model(
    path: Path,
    weights: nn.Module | Mapping[str, torch.Tensor],
    settings: SegmentationSettings,
    classes: Classes,
    *,
    origin: Mapping[str, Any] | None = None,
) -> None:
    """Write a model's weights with all that :func:`load_model` needs to build it again.

    ``weights`` is the model or its state dict. ``origin`` (JSON-able) says how it came about.
    """
    header = {
        "format": FORMAT,
        "task": settings.deciding(),
        "classes": classes.to_dict(),
        "origin": dict(origin or {}),
    }
    save_weights(path, weights, header)


@dataclass(frozen=True)
class LoadedModel:
    """A model read from a weights file."""

    model: nn.Module
    settings: SegmentationSettings
    classes: Classes
    origin: dict[str, Any]


def load_model(path: Path) -> LoadedModel:
    """The model of a weights file, built from its header alone, on the CPU and in ``eval()``.

    Raises :class:`InputError` if the file is not one that :func:`save_model` wrote.
    """
    state, header = load_weights(path)
    if header.get("format") != FORMAT:
        raise InputError(f"{path}: not the weights of a segmentation model of ratewise")
    settings = validate(SegmentationSettings, header["task"], f"{path} (header)")
    classes = Classes.from_dict(header["classes"])
    with torch.random.fork_rng():
        model = build_model(settings, len(classes))
    apply_weights(model, state, str(path))
    return LoadedModel(model.eval(), settings, classes, header["origin"])


def load_predictor(
    path: Path,
    *,
    device: str = "auto",
    precision: Literal["auto", "fp32", "bf16"] = "fp32",
    batch_size: int = 8,
) -> SegmentationPredictor:
    """A predictor from a weights file. Errors: :func:`load_model`."""
    model = load_model(path).model
    return SegmentationPredictor(model, device=device, precision=precision, batch_size=batch_size)
