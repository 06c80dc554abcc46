"""Random patches of photographs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from PIL import Image as PillowImage
from torch import Tensor

from ratewise.images import Image


class Photographs(Protocol):
    """Images to train on. Small and picklable: workers load."""

    @property
    def repeats(self) -> Sequence[int]:
        """How often an epoch visits each image."""

    def fingerprint(self) -> str:
        """Equal for equal images."""

    def __len__(self) -> int:
        """How many there are."""

    def load(self, index: int) -> Image:
        """``uint8 (H, W, 3)``; raises :class:`ratewise.errors.ImageError` if it cannot be read."""


@dataclass(frozen=True)
class PatchSource:
    """Patches ``(3, patch, patch)`` in [0, 1], one of each of ``indices`` in an epoch.

    An image is shrunk by a random factor of ``scale``, as far as a patch still fits, which also
    weakens the traces of earlier compression; then cut at random and mirrored in half of the cases.
    An image smaller than a patch is filled up by reflection.
    """

    photographs: Photographs
    indices: Sequence[int]
    patch: int
    scale: tuple[float, float]

    def __len__(self) -> int:
        return len(self.indices)

    def get(self, index: int, rng: np.random.Generator) -> Tensor:
        """A patch of an image."""
        image = self.photographs.load(self.indices[index])
        height, width = image.shape[:2]
        least = self.patch / min(height, width)
        factor = max(rng.uniform(*self.scale), least)
        if factor < 1:
            size = (max(self.patch, round(width * factor)), max(self.patch, round(height * factor)))
            picture = PillowImage.fromarray(image)
            image = np.asarray(picture.resize(size, PillowImage.Resampling.LANCZOS))
            height, width = image.shape[:2]
        below, right = max(0, self.patch - height), max(0, self.patch - width)
        if below or right:
            image = np.pad(image, ((0, below), (0, right), (0, 0)), mode="symmetric")
            height, width = image.shape[:2]
        top = int(rng.integers(height - self.patch + 1))
        left = int(rng.integers(width - self.patch + 1))
        cut = image[top : top + self.patch, left : left + self.patch]
        if rng.random() < 0.5:
            cut = cut[:, ::-1]
        return to_tensor(cut)


def to_tensor(image: Image) -> Tensor:
    """``uint8 (H, W, 3)`` as float ``(3, H, W)`` in [0, 1]."""
    return torch.from_numpy(image.copy()).permute(2, 0, 1).float() / 255
