"""A model that a process asks about many images: loaded once, its last answers remembered."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from ratewise.errors import InputError
from ratewise.files import sha256_file
from ratewise.images import Image

if TYPE_CHECKING:
    from torch import Tensor

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


class AskedModel:
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
def asked_model(file: ModelFile) -> AskedModel:
    """The model of a file in this process, loaded when it is first asked for.

    Raises :class:`InputError` if the file is no model of this package, or no longer the same.
    """
    return AskedModel(file)


@contextmanager
def _one_thread() -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
