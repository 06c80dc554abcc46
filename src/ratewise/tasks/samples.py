"""Training samples from stores: decode, keep in memory what fits, pick, augment, make batches.

What a target is, a mask or the class of the whole image, is said by a :class:`Form`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ratewise.errors import InputError
from ratewise.images import Image, Mask
from ratewise.training.pixel_cache import PixelCache

if TYPE_CHECKING:
    from torch import Tensor

Target = NDArray[Any]
"""A mask ``uint8 (H, W)``, or the id of a class, an ``int64`` without dimensions."""

_TARGET = -1
"""Stands for the targets where a channel's number is asked for."""


@dataclass(frozen=True)
class Sample:
    """An image through one or more aligned channels (all of one size), and its target.

    ``weight`` is the factor on the loss of this sample.
    """

    images: tuple[Image, ...]
    target: Target
    weight: float = 1.0
    index: int = 0
    """Of the image in its stores."""


class Batch(NamedTuple):
    """Samples of equal size, ready for a device."""

    images: tuple[Tensor, ...]
    """For each channel ``uint8 (N, 3, H, W)``, the pixels of one colour triple side by side."""
    targets: Tensor
    """Class ids: ``uint8 (N, H, W)`` with 255 = ignored, or ``int64 (N,)``."""
    weights: Tensor
    """``float32 (N,)``: the factors on the samples' losses."""
    indices: Tensor
    """``int64 (N,)``: the samples' images in their stores."""


class LabelledImages(Protocol):
    """What is read of a store: decoded images, masks or labels, and a record of each."""

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

    def label(self, index: int) -> int:
        """The class id of the whole of image ``index``; InputError if it has none."""
        ...


@dataclass(frozen=True)
class Form:
    """What a task's targets are. Its functions can be pickled."""

    target: Callable[[LabelledImages, int], Target]
    """The target of an image of a store."""
    augment: Callable[
        [Sequence[Image], Target, Any, np.random.Generator], tuple[tuple[Image, ...], Target]
    ]
    """Aligned images and their target, changed by chance as the task's settings say."""
    size: Callable[[Any], tuple[int, int] | None]
    """The size that every augmented image has, None where it is that of the image."""
    remedy: str
    """What to set where images of different sizes are to make a batch."""


class Pick(NamedTuple):
    """Which channels a sample brings, by the number of their store, and its weight."""

    channels: Sequence[int]
    weight: float = 1.0


class StoreSource:
    """Samples of aligned stores: the same images in the same order, each through its channel.

    ``indices`` chooses images of the stores (all by default), ``pick`` the channels of each of them
    by its index in the stores (all of them, in order, by default). Decoded pixels are kept until
    ``cache_bytes`` are used; the rest is decoded each time. Without ``augmentation`` (settings of
    the form's task) a sample is the whole image.

    Raises :class:`InputError` if the stores do not hold the same images, an index is none of
    theirs, or images of different sizes are to be batched: those that are augmented, and all if
    ``batched`` says so.
    """

    def __init__(
        self,
        stores: Sequence[LabelledImages],
        augmentation: Any | None = None,
        *,
        form: Form,
        batched: bool = False,
        indices: Sequence[int] | None = None,
        pick: Callable[[int], Pick] | None = None,
        cache_bytes: int = 2**31,
    ) -> None:
        self._stores = tuple(stores)
        self._augmentation = augmentation
        self._form = form
        count = len(stores[0]) if stores else 0
        self._indices = tuple(range(count) if indices is None else indices)
        self._pick = pick
        self._cache = PixelCache(cache_bytes)
        self._check(batched or augmentation is not None)

    def __len__(self) -> int:
        return len(self._indices)

    def get(self, index: int, rng: np.random.Generator) -> Sample:
        """Sample ``index`` (of the chosen ones), augmented with ``rng``."""
        sample = self.whole(index)
        if self._augmentation is None:
            return sample
        images, target = self._form.augment(sample.images, sample.target, self._augmentation, rng)
        return replace(sample, images=images, target=target)

    def whole(self, index: int) -> Sample:
        """Sample ``index`` as it is in the stores. Its pixels must not be written to."""
        which = self._indices[index]
        pick = Pick(range(len(self._stores))) if self._pick is None else self._pick(which)
        images = tuple(
            self._cache.get((channel, which), partial(self._stores[channel].image, which))
            for channel in pick.channels
        )
        target = self._cache.get(
            (_TARGET, which), partial(self._form.target, self._stores[0], which)
        )
        return Sample(images, target, pick.weight, which)

    def _check(self, batched: bool) -> None:
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
        fixed = self._augmentation is not None and self._form.size(self._augmentation) is not None
        sizes = {(first[i].width, first[i].height) for i in self._indices}
        if batched and not fixed and len(sizes) > 1:
            (w, h), (w2, h2) = sorted(sizes)[:2]
            raise InputError(
                f"the training images differ in size ({w}x{h}, {w2}x{h2}): set {self._form.remedy} "
                "to [width, height]"
            )


def collate(samples: Sequence[Sample]) -> Batch:
    """A batch of samples of equal size and the same number of channels."""
    import torch

    shapes = {(len(sample.images), *sample.images[0].shape[:2]) for sample in samples}
    if len(shapes) > 1:
        raise InputError(f"samples of different sizes in one batch: {sorted(shapes)}")
    # (N, H, W, 3) seen as (N, 3, H, W) is torch's channels_last, which the networks run fastest in.
    images = tuple(
        _stacked(channel).permute(0, 3, 1, 2)
        for channel in zip(*(sample.images for sample in samples), strict=True)
    )
    targets = _stacked([sample.target for sample in samples])
    weights = torch.tensor([sample.weight for sample in samples], dtype=torch.float32)
    indices = torch.tensor([sample.index for sample in samples], dtype=torch.int64)
    return Batch(images, targets, weights, indices)


def _stacked(arrays: Sequence[NDArray[Any]]) -> Tensor:
    """Arrays of one shape as one tensor.

    A worker process stacks them in the memory that it shares with the training process, as torch's
    own collate does: else the batch would be copied once more on its way.
    """
    import torch
    from torch.utils.data import get_worker_info

    if get_worker_info() is None:
        return torch.from_numpy(np.stack(arrays))
    first = np.asarray(arrays[0])
    shape = (len(arrays), *first.shape)
    kind = torch.from_numpy(np.empty(0, first.dtype)).dtype
    size = int(np.prod(shape)) * first.itemsize
    storage = torch.UntypedStorage._new_shared(size)  # type: ignore[no-untyped-call]
    stacked = torch.empty(0, dtype=kind)
    stacked.set_(storage, 0, shape)  # type: ignore[call-overload]
    np.stack(arrays, out=stacked.numpy())
    return stacked


def _aligned(first: Any, other: Any) -> bool:
    return bool((first.key, first.width, first.height) == (other.key, other.width, other.height))
