"""Semantic Drone Dataset (TU Graz, ICG 2019): 400 labelled pictures of houses from a drone.

As its owners publish it (``semantic_drone_dataset_semantics_v1.1``), with masks in colours::

    semantic_drone_dataset/
      training_set/images/001.jpg                        6000x4000 pixels
      training_set/gt/semantic/label_images/001.png      RGB, the colours of class_dict.csv

or as it is mirrored (Kaggle's "Aerial Semantic Segmentation Drone Dataset"), with class ids::

    semantic_drone_dataset/
      original_images/001.jpg
      label_images_semantic/001.png                      grey, 0 to 23: the rows of class_dict.csv

The 20 classes are those that the owners' page names. Of the 24 rows of ``class_dict.csv`` four are
none of them: ``bald-tree`` is taken for a tree; ``unlabeled``, ``ar-marker`` and ``conflicting``
are ignored.

The sizes of the splits are those of "Distributed learning with compressed images" (section V-A):
265 images to train, 70 to test, and 65 for codec and restorer. It names no files, so the choice
here is ours, and needs no seed: in the order of their numbers the images are cut into five runs of
80, and of each run the first 53 are ``train``, the next 14 ``val``, the last 13 ``unlabelled``
(whose masks are left out). Pictures with near numbers may show the same house, so whole stretches
of them stay on one side. An image's group is its run.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ratewise.data.classes import Classes, Colour
from ratewise.data.dataset import Item, unknown_split
from ratewise.data.listing import find_images
from ratewise.data.on_disk import MaskValues, OnDisk
from ratewise.errors import InputError
from ratewise.images import IGNORE, Mask, read_image

# The rows of class_dict.csv: a row's place is the class id in the mirror's masks.
PUBLISHED: tuple[tuple[str, Colour], ...] = (
    ("unlabeled", (0, 0, 0)),
    ("paved-area", (128, 64, 128)),
    ("dirt", (130, 76, 0)),
    ("grass", (0, 102, 0)),
    ("gravel", (112, 103, 87)),
    ("water", (28, 42, 168)),
    ("rocks", (48, 41, 30)),
    ("pool", (0, 50, 89)),
    ("vegetation", (107, 142, 35)),
    ("roof", (70, 70, 70)),
    ("wall", (102, 102, 156)),
    ("window", (254, 228, 12)),
    ("door", (254, 148, 12)),
    ("fence", (190, 153, 153)),
    ("fence-pole", (153, 153, 153)),
    ("person", (255, 22, 96)),
    ("dog", (102, 51, 0)),
    ("car", (9, 143, 150)),
    ("bicycle", (119, 11, 32)),
    ("tree", (51, 51, 0)),
    ("bald-tree", (190, 250, 190)),
    ("ar-marker", (112, 150, 146)),
    ("obstacle", (2, 135, 115)),
    ("conflicting", (255, 0, 0)),
)
_IGNORED = ("unlabeled", "ar-marker", "conflicting")
_TAKEN_FOR = {"bald-tree": "tree"}

_LABELS = tuple(row for row in PUBLISHED if row[0] not in (*_IGNORED, *_TAKEN_FOR))
CLASSES = Classes(
    names=tuple(name for name, _ in _LABELS),
    colours=tuple(colour for _, colour in _LABELS),
    groups={"small objects": ("window", "door", "fence-pole", "person", "dog", "bicycle")},
)

_TABLE = np.full(256, IGNORE, np.uint8)
for _row, (_name, _) in enumerate(PUBLISHED):
    if _name not in _IGNORED:
        _TABLE[_row] = CLASSES.names.index(_TAKEN_FOR.get(_name, _name))
_READ = MaskValues(_TABLE, np.arange(256) < len(PUBLISHED))

_PUBLISHED = ("training_set/images", "training_set/gt/semantic/label_images")
_MIRRORED = ("original_images", "label_images_semantic")
_ARCHIVE = "semantic_drone_dataset"

_RUNS = 5
_SPLITS = {"train": 53, "val": 14, "unlabelled": 13}  # times five: 265, 70, 65
_RUN = sum(_SPLITS.values())


def find_layout(folder: Path) -> tuple[Path, str, str]:
    """The root (``folder``, or the archive's folder in it), the images' and the masks' folder.

    Raises :class:`InputError` where neither has one of the two layouts.
    """
    for root in (folder, folder / _ARCHIVE):
        for images, masks in (_PUBLISHED, _MIRRORED):
            if (root / images).is_dir() and (root / masks).is_dir():
                return root, images, masks
    raise InputError(
        f"{folder}: holds no semantic_drone (as published it has {' and '.join(_PUBLISHED)}, as "
        f"mirrored {' and '.join(_MIRRORED)}, in the root or in {_ARCHIVE})"
    )


@dataclass(frozen=True)
class SemanticDrone(OnDisk):
    """The data set in the folder ``root``; ``images`` and ``masks`` as :func:`find_layout` says."""

    images: str = _PUBLISHED[0]
    masks: str = _PUBLISHED[1]
    name: str = "semantic_drone"
    classes: Classes = CLASSES

    @property
    def splits(self) -> tuple[str, ...]:
        """``train``, ``val``, ``unlabelled``."""
        return tuple(_SPLITS)

    def items(self, split: str) -> list[Item]:
        """The images of a split. InputError for one without a number, or without its mask."""
        if split not in self.splits:
            raise unknown_split(self, split)
        there = set(find_images(self.root / self.masks))
        names = sorted(find_images(self.root / self.images), key=self._number)
        items = []
        for place, name in enumerate(names):
            mask = str(Path(name).with_suffix(".png"))
            if mask not in there:
                raise InputError(f"{self.root / self.images / name}: no mask {self.masks}/{mask}")
            run, split_of_it = assign(place, len(names))
            if split_of_it == split:
                labelled = None if split == "unlabelled" else f"{self.masks}/{mask}"
                items.append(Item(f"{self.images}/{name}", labelled, f"run{run}"))
        return sorted(items, key=lambda item: item.key)

    def mask_values(self) -> MaskValues:
        """Class ids of the rows of ``class_dict.csv``."""
        return _READ

    def load_mask(self, item: Item) -> Mask | None:
        """See :class:`ratewise.data.dataset.Dataset`; colours are looked up where masks have any.

        Raises :class:`InputError` for a colour that is no class's.
        """
        if item.mask is None or self.masks != _PUBLISHED[1]:
            return super().load_mask(item)
        return _from_colours(read_image(self.root / item.mask), item.mask)

    def fingerprint(self) -> dict[str, Any]:
        """The name; the files decide the rest."""
        return {"name": self.name}

    def _number(self, name: str) -> int:
        stem = Path(name).stem
        if not (stem.isascii() and stem.isdigit()):
            raise InputError(
                f"{self.root / self.images / name}: the name must be a number, such as 001.jpg"
            )
        return int(stem)


def assign(place: int, count: int) -> tuple[int, str]:
    """The run (from 0) and the split of the image at ``place`` (from 0) of ``count`` in order.

    For other counts than 400 the runs and their parts keep their shares, rounded.
    """
    run, within = divmod(_RUNS * place, count)
    ends = zip(_SPLITS, accumulate(_SPLITS.values()), strict=True)
    return run, next(split for split, end in ends if within * _RUN < end * count)


def _from_colours(colours: NDArray[np.uint8], name: str) -> Mask:
    """The class ids ``(H, W)`` of a mask in colours ``(H, W, 3)``."""
    ids, known = _colour_tables()
    packed = _pack(colours)
    unknown = ~known[packed]
    if unknown.any():
        row, column = np.argwhere(unknown)[0]
        red, green, blue = colours[row, column].tolist()
        raise InputError(
            f"{name}: colour ({red}, {green}, {blue}) is no class's (allowed: the "
            f"{len(PUBLISHED)} colours of class_dict.csv)"
        )
    return ids[packed]


@cache
def _colour_tables() -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """For each of the 2**24 colours its class id, and whether it may occur.

    32 MiB per process: sorting a mask's 24 million colours instead takes seconds.
    """
    ids = np.full(2**24, IGNORE, np.uint8)
    known = np.zeros(2**24, np.bool_)
    places = _pack(np.array([colour for _, colour in PUBLISHED], np.uint8))
    ids[places] = _TABLE[: len(PUBLISHED)]
    known[places] = True
    return ids, known


def _pack(colours: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Colours ``(..., 3)`` as one number each."""
    packed = colours[..., 0].astype(np.uint32)
    for level in (1, 2):
        packed <<= 8
        packed |= colours[..., level]
    return packed
