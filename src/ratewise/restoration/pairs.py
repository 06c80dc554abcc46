"""What a restorer is trained on: images and what compression left of them, pixel for pixel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from ratewise.errors import InputError
from ratewise.files import fingerprint
from ratewise.images import Image
from ratewise.training.pixel_cache import PixelCache
from ratewise.training.seeding import Purpose, generator

if TYPE_CHECKING:
    from torch import Tensor

_ORIGINALS = -1
"""Stands for the originals where a compressed store's number is asked for."""

_BLOCK = 4
"""Images that are held out side by side, if there are groups enough to choose from."""


class DecodedImages(Protocol):
    """What is read of a :class:`ratewise.data.store.Store`: decoded images, a record of each."""

    @property
    def records(self) -> Sequence[Any]:
        """One per image, with ``key``, ``group``, ``width``, ``height`` and ``sha256``."""
        ...

    def image(self, index: int) -> Image:
        """Image ``index``, decoded."""
        ...


@dataclass(frozen=True)
class Pairs:
    """Originals, one or several compressed versions of them, and which of the images to use.

    The stores hold the same images in the same order. ``indices`` are places in them; an image
    that stands there twice is visited twice as often. Raises :class:`InputError` if there is no
    image, an index is out of range, or the stores do not hold the same keys and sizes.
    """

    originals: DecodedImages
    compressed: tuple[DecodedImages, ...]
    indices: tuple[int, ...]

    def __post_init__(self) -> None:
        records = self.originals.records
        if not self.compressed or not self.indices:
            raise InputError("there are no images to train a restorer on")
        outside = [i for i in self.indices if not 0 <= i < len(records)]
        if outside:
            raise InputError(f"there is no image {outside[0]} in a store of {len(records)}")
        for store in self.compressed:
            if len(store.records) != len(records):
                raise InputError(
                    f"{_name(store)}: holds {len(store.records)} images and "
                    f"{_name(self.originals)} {len(records)}: these are not versions of the same"
                )
            for original, other in zip(records, store.records, strict=True):
                if _identity(original) != _identity(other):
                    raise InputError(
                        f"{_name(store)}: {_spell(other)} stands where {_name(self.originals)} has "
                        f"{_spell(original)}: these are not versions of the same images"
                    )

    def sizes(self) -> set[tuple[int, int]]:
        """The sizes ``(width, height)`` of the images in use."""
        records = self.originals.records
        return {(records[i].width, records[i].height) for i in self.indices}

    def fingerprint(self) -> str:
        """Hex digest of the files in use and of how often each is visited."""
        stores = (self.originals, *self.compressed)
        return fingerprint([[store.records[i].sha256 for store in stores] for i in self.indices])


def hold_out(pairs: Pairs, count: int, seed: int) -> tuple[list[int], list[int]]:
    """``count`` of the images to measure on, and the indices that are left to train on.

    Frames of a drive resemble their neighbours, so single frames would leak into training. What is
    held out are blocks of neighbours, in the order of the stores: blocks of four images, each
    at a random place (from ``seed``) in another group (drive, city, folder), or larger ones where
    there are fewer groups. Only the two frames beside a block have a neighbour in training.

    Raises :class:`InputError` if nothing would be left to train on.
    """
    images = sorted(set(pairs.indices))
    if len(images) <= count:
        raise InputError(
            f"{len(images)} images are too few to train a restorer: validation = {count} of them "
            "are held out"
        )
    records = pairs.originals.records
    groups = [list(group) for _, group in groupby(images, lambda i: records[i].group)]
    rng = generator(Purpose.VALIDATION, seed)
    order = [groups[i] for i in rng.permutation(len(groups))]
    blocks = max(1, min(len(groups), count // _BLOCK))
    size = -(-count // blocks)
    held: list[int] = []
    for group in order:
        take = min(size, count - len(held), len(group))
        first = int(rng.integers(len(group) - take + 1))
        held += group[first : first + take]
    for group in order:  # the groups were smaller than their blocks
        rest = [i for i in group if i not in held]
        held += rest[: count - len(held)]
    chosen = set(held)
    return sorted(held), [i for i in pairs.indices if i not in chosen]


class PixelPair(NamedTuple):
    """One sample: the same pixels compressed and as they were, ``uint8 (h, w, 3)`` each."""

    compressed: Image
    original: Image


class Pair(NamedTuple):
    """A batch, both ``uint8 (N, 3, h, w)`` with the pixels of a colour triple side by side."""

    compressed: Tensor
    original: Tensor


class PairSource:
    """Patches of :class:`Pairs`, as :class:`ratewise.training.source.SampleSource`.

    A patch is ``patch`` pixels a side, cut at random and mirrored in half of the cases; with None
    it is the whole image. A smaller image is filled up by reflection. Of several compressed
    versions one is drawn for each patch. ``indices`` (places in the stores, by default those of
    ``pairs``) are visited ``visits`` times in an epoch. Decoded pixels are kept until
    ``cache_bytes`` are used.
    """

    def __init__(
        self,
        pairs: Pairs,
        patch: int | None,
        *,
        indices: Sequence[int] | None = None,
        visits: int = 1,
        cache_bytes: int = 2**31,
    ) -> None:
        self._pairs, self._patch, self._visits = pairs, patch, visits
        self._indices = tuple(pairs.indices if indices is None else indices)
        self._cache = PixelCache(cache_bytes)

    def __len__(self) -> int:
        return len(self._indices) * self._visits

    def get(self, index: int, rng: np.random.Generator) -> PixelPair:
        """Patch ``index`` of an epoch, with every choice from ``rng``."""
        which = self._indices[index % len(self._indices)]
        version = int(rng.integers(len(self._pairs.compressed)))
        pair = self.whole(which, version)
        if self._patch is not None:
            pair = _cut(pair, self._patch, rng)
        if rng.random() < 0.5:
            pair = PixelPair(*(image[:, ::-1] for image in pair))
        return pair

    def whole(self, which: int, version: int) -> PixelPair:
        """Image ``which`` of the stores in compressed version ``version``. Not to be written to."""
        pairs = self._pairs
        compressed = partial(pairs.compressed[version].image, which)
        return PixelPair(
            self._cache.get((version, which), compressed),
            self._cache.get((_ORIGINALS, which), partial(pairs.originals.image, which)),
        )


def collate(samples: Sequence[PixelPair]) -> Pair:
    """A batch of samples of one size."""
    import torch

    # (N, h, w, 3) seen as (N, 3, h, w) is torch's channels_last, which the networks run fastest in.
    return Pair(
        *(
            torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
            for images in zip(*samples, strict=True)
        )
    )


def _cut(pair: PixelPair, side: int, rng: np.random.Generator) -> PixelPair:
    """The same ``side`` x ``side`` pixels of both images, at a random place."""
    height, width = pair.original.shape[:2]
    top = int(rng.integers(max(0, height - side) + 1))
    left = int(rng.integers(max(0, width - side) + 1))
    missing = ((0, max(0, side - height)), (0, max(0, side - width)), (0, 0))
    cut = [image[top : top + side, left : left + side] for image in pair]
    if any(after for _, after in missing):
        cut = [np.pad(image, missing, mode="symmetric") for image in cut]
    return PixelPair(*cut)


def _identity(record: Any) -> tuple[str, int, int]:
    return record.key, record.width, record.height


def _spell(record: Any) -> str:
    return f"{record.key} ({record.width}x{record.height})"


def _name(store: DecodedImages) -> str:
    return str(getattr(store, "path", "the store"))
