"""Training samples from stores: decode, keep in memory what fits, pick, augment, make batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from ratewise.errors import InputError
from ratewise.images import Image, Mask
from ratewise.tasks.augment import augment
from ratewise.tasks.segmentation_settings import AugmentationSettings
from ratewise.training.pixel_cache import PixelCache

if TYPE_CHECKING:
    from torch import Tensor

_MASK = -1
"""Stands for the masks where a channel's number is asked for."""


@dataclass(frozen=True)
class Sample:
    """An image through one or more aligned channels (all of one size), and its target.

    ``weight`` is the factor on the loss of this sample.
    """

    images: tuple[Image, ...]
    target: Mask
    weight: float = 1.0


class Batch(NamedTuple):
    """Samples of equal size, ready for a device."""

    images: tuple[Tensor, ...]
    """For each channel ``uint8 (N, 3, H, W)``, the pixels of one colour triple side by side."""
    targets: Tensor
    """``uint8 (N, H, W)``: class ids, 255 = ignored."""
    weights: Tensor
    """``float32 (N,)``: the factors on the samples' losses."""


class LabelledImages(Protocol):
    """What is read of a store: decoded images, masks, and a record of each."""

    @property
    def records(self) -> Sequence[Any]:
        """One per image, with ``key``, ``width`` and ``height``."""
        ...

    def __len__(self) -> int: ...

    def image(self, index: int) -> Image:
        """Image ``index``, decoded."""
        ...

    def mask(self, index: int) -> Mask:
        """The class ids of image ``index``; InputError if it has no mask."""
        ...


class Pick(NamedTuple):
    """Which channels a sample brings, by the number of their store, and its weight."""

    channels: Sequence[int]
    weight: float = 1.0


class StoreSource:
    """Samples of aligned stores: the same images in the same order, each through its channel.

    ``indices`` chooses images of the stores (all by default), ``pick`` the channels of each of them
    by its index in the stores (all of them, in order, by default). Decoded pixels are kept until
    ``cache_bytes`` are used; the rest is decoded each time. Without ``augmentation`` a sample is
    the whole image.

    Raises :class:`InputError` if the stores do not hold the same images, an index is none of
    theirs, or images of different sizes are to be batched without a crop.
    """

    def __init__(
        self,
        stores: Sequence[LabelledImages],
        augmentation: AugmentationSettings | None = None,
        *,
        indices: Sequence[int] | None = None,
        pick: Callable[[int], Pick] | None = None,
        cache_bytes: int = 2**31,
    ) -> None:
        self._stores = tuple(stores)
        self._augmentation = augmentation
        count = len(stores[0]) if stores else 0
        self._indices = tuple(range(count) if indices is None else indices)
        self._pick = pick
        self._cache = PixelCache(cache_bytes)
        self._check()

    def __len__(self) -> int:
        return len(self._indices)

    def get(self, index: int, rng: np.random.Generator) -> Sample:
        """Sample ``index`` (of the chosen ones), augmented with ``rng``."""
        sample = self.whole(index)
        if self._augmentation is None:
            return sample
        images, target = augment(sample.images, sample.target, self._augmentation, rng)
        return Sample(images, target, sample.weight)

    def whole(self, index: int) -> Sample:
        """Sample ``index`` as it is in the stores. Its pixels must not be written to."""
        which = self._indices[index]
        pick = Pick(range(len(self._stores))) if self._pick is None else self._pick(which)
        images = tuple(
            self._cache.get((channel, which), partial(self._stores[channel].image, which))
            for channel in pick.channels
        )
        target = self._cache.get((_MASK, which), partial(self._stores[0].mask, which))
        return Sample(images, target, pick.weight)

    def _check(self) -> None:
        if not self._stores or not self._indices:
            raise InputError("there are no training images")
        first = self._stores[0].records
        outside = [i for i in self._indices if not 0 <= i < len(first)]
        if outside:
            raise InputError(f"there is no image {outside[0]} in a store of {len(first)}")
        for store in self._stores[1:]:
            pairs = zip(first, store.records, strict=False)
            if len(store.records) != len(first) or any(not _aligned(a, b) for a, b in pairs):
                raise InputError("the stores of one training do not hold the same images")
        cropped = self._augmentation is not None and self._augmentation.crop is not None
        sizes = {(first[i].width, first[i].height) for i in self._indices}
        if self._augmentation is not None and not cropped and len(sizes) > 1:
            (w, h), (w2, h2) = sorted(sizes)[:2]
            raise InputError(
                f"the training images differ in size ({w}x{h}, {w2}x{h2}): set augmentation.crop "
                "to [width, height]"
            )


def collate(samples: Sequence[Sample]) -> Batch:
    """A batch of samples of equal size and the same number of channels."""
    import torch

    shapes = {(len(sample.images), *sample.target.shape) for sample in samples}
    if len(shapes) > 1:
        raise InputError(f"samples of different sizes in one batch: {sorted(shapes)}")
    # (N, H, W, 3) seen as (N, 3, H, W) is torch's channels_last, which the networks run fastest in.
    images = tuple(
        torch.from_numpy(np.stack(channel)).permute(0, 3, 1, 2)
        for channel in zip(*(sample.images for sample in samples), strict=True)
    )
    targets = torch.from_numpy(np.stack([sample.target for sample in samples]))
    weights = torch.tensor([sample.weight for sample in samples], dtype=torch.float32)
    return Batch(images, targets, weights)


def _aligned(first: Any, other: Any) -> bool:
    return bool((first.key, first.width, first.height) == (other.key, other.width, other.height))
