"""What a data set is, and the checks that it must pass before any work rests on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ratewise.codecs.pictures import picture_size
from ratewise.data.classes import Classes
from ratewise.errors import InputError
from ratewise.execution import Outcome, Resources, map_items, progress
from ratewise.images import IGNORE, Image, Mask


@dataclass(frozen=True)
class Item:
    """An image of a data set.

    ``key`` is its path, and ``mask`` that of its mask, relative to the root and with ``/``.
    ``group`` says which images are alike: a drive, a city, a block of frames.
    ``label`` is the name of the class of the whole image, one of the data set's ``labels``.
    """

    key: str
    mask: str | None
    group: str
    label: str | None = None


class Dataset(Protocol):
    """Images with masks or labels, in named splits.

    A small picklable value: workers call ``load``.
    """

    @property
    def name(self) -> str:
        """The data set's name, as in settings."""

    @property
    def root(self) -> Path | None:
        """The folder it lies in; None if it is generated."""

    @property
    def classes(self) -> Classes | None:
        """The classes of its masks; None for images without masks."""

    @property
    def labels(self) -> tuple[str, ...] | None:
        """The names of the classes of whole images, in the order of their ids; None without."""

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that are there."""

    def items(self, split: str) -> list[Item]:
        """The images of a split, sorted by key. InputError for an unknown split."""

    def load(self, item: Item) -> tuple[Image, Mask | None]:
        """The image, and its mask as class ids with 255 = ignored.

        Raises :class:`InputError` if the mask has another size than the image or an unknown
        class id, and :class:`ImageError` if either cannot be read.
        """

    def load_mask(self, item: Item) -> Mask | None:
        """The mask alone, checked for class ids but not against the image's size."""

    def files(self, item: Item) -> list[Path]:
        """The files that an item rests on, the image first; none if it is generated."""

    def fingerprint(self) -> dict[str, Any]:
        """JSON-able settings that decide the content beyond the files."""


@dataclass
class SplitCheck:
    """What :func:`inspect_split` saw.

    ``sizes`` counts images by (width, height); ``class_pixels`` has one count per class and a last
    one for ignored pixels (None without masks); ``label_images`` has the number of images of each
    of the data set's labels (None without); ``problems`` has one sentence each.
    """

    split: str
    images: int = 0
    masks: int = 0
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    class_pixels: NDArray[np.int64] | None = None
    label_images: list[int] | None = None
    problems: list[str] = field(default_factory=list)


def check_splits(
    dataset: Dataset,
    splits: Iterable[str],
    *,
    resources: Resources = Resources(),
    quiet: bool = True,
) -> None:
    """Check the images (headers) and masks (every pixel) of splits, before work rests on them.

    Raises :class:`InputError` for the first problem: a split without images, a file that is no
    image, a mask of another size than its image, a class id out of range.
    """
    for split in splits:
        items = dataset.items(split)
        if not items:
            raise InputError(f"{dataset.name}: split {split!r} has no images")
        for outcome in _inspect(dataset, items, resources, f"check {split}", quiet):
            if outcome.failure:
                raise InputError(outcome.failure.message)


def inspect_split(
    dataset: Dataset, split: str, *, resources: Resources = Resources(), quiet: bool = True
) -> SplitCheck:
    """Count the images, sizes, class pixels and labels of a split, and collect every problem."""
    items = dataset.items(split)
    check = SplitCheck(split, images=len(items), masks=sum(i.mask is not None for i in items))
    if dataset.classes is not None:
        check.class_pixels = np.zeros(len(dataset.classes) + 1, np.int64)
    if dataset.labels is not None:
        found = Counter(item.label for item in items)
        check.label_images = [found[label] for label in dataset.labels]
    if not items:
        check.problems.append(f"{dataset.name}: split {split!r} has no images")
    for outcome in _inspect(dataset, items, resources, f"check {split}", quiet):
        if outcome.failure:
            check.problems.append(outcome.failure.message)
        if outcome.value is None:
            continue
        height, width, counts = outcome.value
        check.sizes[width, height] += 1
        if counts is not None and check.class_pixels is not None:
            check.class_pixels[:-1] += counts[: len(check.class_pixels) - 1]
            check.class_pixels[-1] += counts[IGNORE]
    return check


def check_items(
    dataset: Dataset, items: list[Item], resources: Resources = Resources(), *, quiet: bool = True
) -> None:
    """Check the masks of ``items`` where they lie in files, before work rests on them.

    Raises :class:`InputError` for a mask of another size than its image or a class id out of
    range. A file that cannot be read is left to whoever reads it.
    """
    items = [item for item in items if item.mask is not None and dataset.files(item)]
    for outcome in _inspect(dataset, items, resources, "check masks", quiet):
        if outcome.failure and outcome.failure.kind == InputError.__name__:
            raise InputError(outcome.failure.message)


_Seen = tuple[int, int, NDArray[np.int64] | None]


def _inspect(
    dataset: Dataset, items: list[Item], resources: Resources, title: str, quiet: bool
) -> Iterable[Outcome[Item, _Seen]]:
    with progress(title, len(items), quiet=quiet) as bar:
        for outcome in map_items(_inspect_item, items, resources, context=dataset):
            bar.advance()
            yield outcome


def _inspect_item(dataset: Dataset, item: Item) -> _Seen:
    files = dataset.files(item)
    if files:
        size = picture_size(files[0])
        mask = dataset.load_mask(item)
    else:
        image, mask = dataset.load(item)
        size = (image.shape[0], image.shape[1])
    if mask is None:
        return *size, None
    check_same_size(size, mask.shape, item)
    return *size, np.bincount(mask.ravel(), minlength=256)


def check_same_size(image: tuple[int, ...], mask: tuple[int, ...], item: Item) -> None:
    """Raise :class:`InputError` unless an image ``(H, W, ...)`` and its mask are of one size."""
    if image[:2] != mask[:2]:
        raise InputError(
            f"{item.mask}: the mask is {mask[1]}x{mask[0]} but its image {item.key} is "
            f"{image[1]}x{image[0]}"
        )


def translate(raw: Mask, table: NDArray[np.uint8], known: NDArray[np.bool_], name: str) -> Mask:
    """The class ids ``table[raw]``; InputError that names a raw value which is not ``known``."""
    present = np.bincount(raw.ravel(), minlength=256) > 0
    unknown = np.flatnonzero(present & ~known)
    if unknown.size:
        raise InputError(
            f"{name}: class id {unknown[0]} is out of range (allowed: {_ranges(known)})"
        )
    return table[raw]


def unknown_split(dataset: Dataset, split: str) -> InputError:
    """The error for a split that is not there."""
    return InputError(
        f"{dataset.name} has no split {split!r} (allowed: {', '.join(dataset.splits)})"
    )


def _ranges(known: NDArray[np.bool_]) -> str:
    """``0 to 11, 255``."""
    values = np.flatnonzero(known)
    runs = np.split(values, np.flatnonzero(np.diff(values) > 1) + 1)
    return ", ".join(f"{r[0]} to {r[-1]}" if len(r) > 1 else str(r[0]) for r in runs)
