"""What a decoded image costs a model: what stores are made for with ``--model``.

No label and no mask is looked at: the model's prediction on the original is what it is compared
with. Everything is computed in float32, and on a CPU in one thread, so that it is the same for any
number of workers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from ratewise.errors import InputError
from ratewise.files import sha256_file
from ratewise.images import Image
from ratewise.tasks.asked_model import ModelFile, asked_model

if TYPE_CHECKING:
    from torch import Tensor

    from ratewise.data.classes import Classes

_BATCH = 4
"""Decoded versions of an image that go through the model together, as many as a survey's step."""


@dataclass(frozen=True)
class PredictionDistortion:
    """What of a model's prediction is lost, a :class:`ratewise.codecs.budget_objective.Objective`.

    ``task`` is KL(prediction on the original || prediction on the decoded image) in nats: of
    classification over the data set's classes, of segmentation the mean over all pixels.
    ``agreement`` is the share of predictions that are other classes than on the original, 0 or 1
    of a whole image, 0 to 1 of pixels.
    """

    file: ModelFile
    name: Literal["task", "agreement"]
    positive: bool = True
    monotone: bool = False
    batch: int = _BATCH

    @property
    def model(self) -> str:
        """The SHA-256 of the weights file."""
        return self.file.digest

    def measure(self, original: Image, decoded: Sequence[Image]) -> list[float]:
        """The distortion of each decoded version."""
        lost = _divergence if self.name == "task" else _disagreement
        values: list[float] = []
        for teacher, outputs in asked_model(self.file).compared(original, decoded):
            per_image = lost(teacher, outputs).double().reshape(len(outputs), -1).mean(1)
            values += per_image.clamp(min=0).tolist()  # rounding may leave a divergence below
        return values


def _divergence(teacher: Tensor, outputs: Tensor) -> Tensor:
    from ratewise.tasks.divergence import pointwise_divergence

    return pointwise_divergence(teacher.expand_as(outputs), outputs)


def _disagreement(teacher: Tensor, outputs: Tensor) -> Tensor:
    return outputs.argmax(1) != teacher.argmax(1)


class _Classified(Protocol):
    @property
    def classes(self) -> Classes | None: ...
    @property
    def labels(self) -> Sequence[str] | None: ...


@dataclass(frozen=True)
class PredictingModel:
    """A weights file that was checked, and what its model predicts: a class of images or pixels."""

    file: ModelFile
    of: Literal["images", "pixels"]
    classes: tuple[str, ...]

    @property
    def divergence(self) -> PredictionDistortion:
        """What a budget is spent for."""
        return PredictionDistortion(self.file, "task")

    @property
    def disagreement(self) -> PredictionDistortion:
        """What an agreement allows little of."""
        return PredictionDistortion(self.file, "agreement")

    def check(self, images: _Classified) -> None:
        """Raise :class:`InputError` if ``images`` are of a data set with other classes.

        Images without classes of any kind are welcome.
        """
        if images.classes is None and images.labels is None:
            return
        known = images.labels
        if self.of == "pixels":
            known = images.classes.names if images.classes else None
        what = "whole images" if self.of == "images" else "pixels"
        if known is None:
            raise InputError(
                f"{self.file.path}: predicts classes of {what}, which this data set does not have"
            )
        if tuple(known) != self.classes:
            from ratewise.tasks.class_names import check_same_classes

            check_same_classes(self.classes, known, self.file.path)


def predicting_model(path: Path, *, device: str = "auto") -> PredictingModel:
    """The model of a weights file of this package.

    Raises :class:`InputError` if the file is none, or the device is not there.
    """
    from ratewise.training.device import resolve_device

    resolve_device(device)
    if not path.is_file():
        raise InputError(f"{path}: no such weights file")
    file = ModelFile(str(path), sha256_file(path), device)
    asked = asked_model(file)
    return PredictingModel(file, asked.of, asked.classes)
