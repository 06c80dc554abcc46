"""Photographs from several folders and data sets, as what a codec is trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ratewise.data.datasets import dataset_settings, open_dataset
from ratewise.data.prepare import PrepareSettings
from ratewise.data.sources import DatasetSource, Entry, FolderSource
from ratewise.errors import ImageError, InputError
from ratewise.files import fingerprint
from ratewise.images import Image
from ratewise.neural.training.settings import ImagesSettings
from ratewise.training.pixel_cache import PixelCache


@dataclass(frozen=True)
class SourcePhotographs:
    """The images of several sources in turn; see
    :class:`ratewise.neural.training.patches.Photographs`."""

    found: Sequence[tuple[FolderSource | DatasetSource, Entry]]
    repeats: Sequence[int]
    """How often an epoch visits each image."""

    def __len__(self) -> int:
        return len(self.found)

    def load(self, index: int) -> Image:
        """An image, ``uint8 (H, W, 3)``; ImageError names a file that cannot be read."""
        source, entry = self.found[index]
        try:
            ((_, image, _),) = source.load(entry).images
        except InputError as error:
            raise ImageError(str(error)) from None
        return image

    def fingerprint(self) -> str:
        """Of the names and sizes of the files, and what is generated."""
        return fingerprint(
            [
                [source.fingerprint(), entry.key, entry.size, repeat]
                for (source, entry), repeat in zip(self.found, self.repeats, strict=True)
            ]
        )


@dataclass(frozen=True)
class KeptPhotographs:
    """``photographs`` whose pixels stay in ``cache``, for trainings that see each many times."""

    photographs: SourcePhotographs
    cache: PixelCache

    @property
    def repeats(self) -> Sequence[int]:
        """How often an epoch visits each image."""
        return self.photographs.repeats

    def __len__(self) -> int:
        return len(self.photographs)

    def load(self, index: int) -> Image:
        """An image, not to be written to; ImageError names a file that cannot be read."""
        return self.cache.get(index, lambda: self.photographs.load(index))

    def fingerprint(self) -> str:
        """That of ``photographs``."""
        return self.photographs.fingerprint()


def open_photographs(settings: Sequence[ImagesSettings], base: Path) -> SourcePhotographs:
    """What ``settings`` name; paths are relative to ``base``.

    Raises :class:`InputError` for a folder that is missing or empty, and a wrong data set.
    """
    found: list[tuple[FolderSource | DatasetSource, Entry]] = []
    repeats: list[int] = []
    for one in settings:
        before = len(found)
        for source in image_sources(one, base):
            found += [(source, entry) for entry in source.entries()]
        if len(found) == before:
            raise InputError(f"{one.root or one.data}: no images to train on")
        repeats += [one.repeat] * (len(found) - before)
    return SourcePhotographs(found, repeats)


def some_of(photographs: SourcePhotographs, count: int, seed: int) -> SourcePhotographs:
    """``count`` of ``photographs``, drawn by ``seed``; fewer of one seed are among the more.

    Raises :class:`InputError` if there are not so many.
    """
    import numpy as np

    if count > len(photographs):
        raise InputError(f"{count} images are wanted, and there are only {len(photographs)}")
    chosen = sorted(np.random.default_rng(seed).permutation(len(photographs))[:count])
    return _those(photographs, [int(index) for index in chosen])


def spread_over(photographs: SourcePhotographs, count: int) -> SourcePhotographs:
    """``count`` of ``photographs`` at even distances, or all where there are no more."""
    total = len(photographs)
    if count >= total:
        return photographs
    return _those(photographs, [index * total // count for index in range(count)])


def _those(photographs: SourcePhotographs, indices: Sequence[int]) -> SourcePhotographs:
    return SourcePhotographs(
        [photographs.found[index] for index in indices],
        [photographs.repeats[index] for index in indices],
    )


def image_sources(
    settings: ImagesSettings, base: Path, prepare: PrepareSettings = PrepareSettings()
) -> list[FolderSource | DatasetSource]:
    """The folder of ``settings``, or the splits of its data set; the root is relative to ``base``.

    Raises :class:`InputError` for a wrong data set.
    """
    if settings.data == "folder":
        return [FolderSource(base / str(settings.root), prepare)]
    root = {} if settings.root is None else {"root": settings.root}
    value = {"name": settings.data} | root | settings.options
    dataset = open_dataset(dataset_settings(value), base)
    splits = settings.splits or ("train",)
    return [DatasetSource(dataset, split, prepare) for split in splits]
