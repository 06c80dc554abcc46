"""Samples to train a joint codec on: labelled images, and photographs without labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ratewise.images import IGNORE, Image
from ratewise.neural.training.patches import Photographs
from ratewise.tasks.augment import augment
from ratewise.tasks.samples import Sample, StoreSource
from ratewise.tasks.segmentation_settings import AugmentationSettings


@dataclass(frozen=True)
class WithPhotographs:
    """The samples of ``labelled``, then those of ``photographs``, whose masks are all ignored.

    Both are augmented alike; a photograph occurs as often in an epoch as it repeats.
    """

    labelled: StoreSource
    photographs: Photographs
    augmentation: AugmentationSettings

    def __len__(self) -> int:
        return len(self.labelled) + sum(self.photographs.repeats)

    def get(self, index: int, rng: np.random.Generator) -> Sample:
        """Sample ``index``, augmented with ``rng``."""
        if index < len(self.labelled):
            return self.labelled.get(index, rng)
        ends = np.cumsum(self.photographs.repeats)
        which = int(np.searchsorted(ends, index - len(self.labelled), side="right"))
        image = self.photographs.load(which)
        mask = np.full(image.shape[:2], IGNORE, np.uint8)
        images, target = augment((image,), mask, self._filling(image), rng)
        return Sample(images, target, 1.0, which)

    def _filling(self, image: Image) -> AugmentationSettings:
        """The augmentation with scales that are large enough: a crop has no padding to be coded."""
        low, high = self.augmentation.scale
        if self.augmentation.crop is not None:
            height, width = image.shape[:2]
            least = max(self.augmentation.crop[0] / width, self.augmentation.crop[1] / height)
            low, high = max(low, least), max(high, least)
        return self.augmentation.model_copy(update={"scale": (low, high)})
