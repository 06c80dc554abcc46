"""What a decoded image costs a model: what stores are made for with ``--model``.

No label and no mask is looked at: the model's prediction on the original is what it is compared
with. Everything is computed in float32, and on a CPU in one thread, so that it is the same for any
number of workers.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from ratewise.errors import InputError
from ratewise.files import sha256_file
from ratewise.images import Image

if TYPE_CHECKING:
    from torch import Tensor

    from ratewise.data.classes import Classes

_BATCH = 4
"""Decoded versions of an image that go through the model together, as many as a survey's step."""

_PIXELS = 2**20
"""Of one batch: larger images go through in smaller batches."""

_CACHE_BYTES = 2**28
"""For predictions on originals, in each process; images are asked about in several passes."""


@dataclass(frozen=True)
class ModelFile:
    """A weights file of this package, by path and SHA-256; workers load it when they need it."""

    path: str
    digest: str
    device: str


@dataclass(frozen=True)
class Divergence:
    """:class:`ratewise.codecs.budget_objective.Objective` ``task``.

    KL(prediction on the original || prediction on the decoded image) in nats: of classification
    over the data set's classes, of segmentation the mean over all pixels.
    """

    file: ModelFile
    name: str = "task"
    positive: bool = True
    monotone: bool = False
    batch: int = _BATCH

    @property
    def model(self) -> str:
        """The SHA-256 of the weights file."""
        return self.file.digest

    def measure(self, original: Image, decoded: Sequence[Image]) -> list[float]:
        """The divergence of each decoded version."""
        from ratewise.tasks.divergence import pointwise_divergence

        values: list[float] = []
        for teacher, outputs in _asked(self.file).compared(original, decoded):
            divergence = pointwise_divergence(teacher.expand_as(outputs), outputs)
            per_image = divergence.double().reshape(len(outputs), -1).mean(1)
            values += per_image.clamp(min=0).tolist()  # rounding may leave it below
        return values


@dataclass(frozen=True)
class Disagreement:
    """The share of predictions that are other classes than on the original: of one or of pixels.

    A :class:`ratewise.codecs.budget_objective.Objective` too.
    """

    file: ModelFile
    name: str = "agreement"
    positive: bool = True
    monotone: bool = False
    batch: int = _BATCH

    @property
    def model(self) -> str:
        """The SHA-256 of the weights file."""
        return self.file.digest

    def measure(self, original: Image, decoded: Sequence[Image]) -> list[float]:
        """The share of each decoded version."""
        values: list[float] = []
        for teacher, outputs in _asked(self.file).compared(original, decoded):
            other = outputs.argmax(1) != teacher.argmax(1)
            values += other.double().reshape(len(outputs), -1).mean(1).tolist()
        return values


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
    def divergence(self) -> Divergence:
        """What a budget is spent for."""
        return Divergence(self.file)

    @property
    def disagreement(self) -> Disagreement:
        """What an agreement allows little of."""
        return Disagreement(self.file)

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
            from ratewise.tasks.timm_models import check_same_classes

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
    asked = _asked(file)
    return PredictingModel(file, asked.of, asked.classes)


class _Asked:
    """A model in this process, and its predictions on the last originals."""

    def __init__(self, file: ModelFile) -> None:
        from ratewise.tasks.batching import BatchedModel
        from ratewise.tasks.classification_predictor import LoadedClassifier
        from ratewise.tasks.models import class_names, load_any

        if sha256_file(Path(file.path)) != file.digest:
            raise InputError(f"{file.path}: has changed since this run began")
        loaded = load_any(Path(file.path))
        self.classes = class_names(loaded)
        self.of: Literal["images", "pixels"] = "pixels"
        self._select: Callable[[Tensor], Tensor] | None = None
        if isinstance(loaded, LoadedClassifier):
            self.of, self._select = "images", loaded.model.of_classes
        self._batched = BatchedModel(loaded.model, device=file.device, batch_size=_PIXELS)
        self._known: OrderedDict[bytes, Tensor] = OrderedDict()
        self._bytes = 0

    def compared(
        self, original: Image, decoded: Sequence[Image]
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """The scores ``(1, C, ...)`` on the original and ``(N, C, ...)`` on decoded versions."""
        teacher = self._of_original(original)
        size = max(1, _PIXELS // (original.shape[0] * original.shape[1]))
        for start in range(0, len(decoded), size):
            yield teacher, self._scores(decoded[start : start + size])

    def _of_original(self, image: Image) -> Tensor:
        # Alone, not with the decoded versions: what is computed with others may differ in its last
        # bits, and would then depend on what is remembered here.
        pixels = np.ascontiguousarray(image)
        key = hashlib.sha256(repr(image.shape).encode() + pixels.tobytes()).digest()
        if key in self._known:
            self._known.move_to_end(key)
            return self._known[key]
        scores = self._known[key] = self._scores([image])
        self._bytes += scores.nbytes
        while self._bytes > _CACHE_BYTES and len(self._known) > 1:
            self._bytes -= self._known.popitem(last=False)[1].nbytes
        return scores

    def _scores(self, images: Sequence[Image]) -> Tensor:
        with _one_thread():
            (outputs,) = self._batched.outputs(images)
        scores = outputs if self._select is None else self._select(outputs)
        return scores.float()


@lru_cache(maxsize=1)
def _asked(file: ModelFile) -> _Asked:
    return _Asked(file)


@contextmanager
def _one_thread() -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
