"""INRIA Aerial Image Labeling as its owners publish it: orthophotos of ten cities, buildings.

::

    AerialImageDataset/
      train/images/austin1.tif ... vienna36.tif     austin, chicago, kitsap, tyrol-w, vienna
      train/gt/austin1.tif ... vienna36.tif         0 = not building, 255 = building
      test/images/bellingham1.tif ... tyrol-e36.tif without masks

An image is a GeoTIFF of 5000x5000 pixels at 0.3 m, and there are 36 of each city (Maggiori et al.,
"Can semantic labeling methods generalize to any city?", IGARSS 2017). An image's group is its city.

The splits are those of "Distributed learning with compressed images" (section V-A): four of the
labelled cities are ``train``, the fifth is ``val``, and the cities without labels are
``unlabelled``, for a codec and a restorer. The paper does not say which city it tests on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ratewise.data.classes import Classes
from ratewise.data.dataset import Item, unknown_split
from ratewise.data.listing import find_images
from ratewise.data.on_disk import MaskValues, OnDisk
from ratewise.errors import InputError
from ratewise.images import IGNORE

CITIES = ("austin", "chicago", "kitsap", "tyrol-w", "vienna")
"""The cities with labels."""

CLASSES = Classes(names=("background", "building"), colours=((70, 70, 70), (230, 230, 230)))

_BUILDING = 255
_TABLE = np.full(256, IGNORE, np.uint8)
_TABLE[0], _TABLE[_BUILDING] = 0, 1
_KNOWN = np.isin(np.arange(256), (0, _BUILDING))
_READ = MaskValues(_TABLE, _KNOWN)

_IMAGES, _MASKS, _UNLABELLED = "train/images", "train/gt", "test/images"
_ARCHIVE = "AerialImageDataset"
_NAME = re.compile(r"(?P<city>.+?)\d+\.tiff?", re.IGNORECASE)


def find_root(folder: Path) -> Path:
    """``folder``, or the archive's own folder in it. InputError where neither has the layout."""
    for root in (folder, folder / _ARCHIVE):
        if (root / _IMAGES).is_dir() and (root / _MASKS).is_dir():
            return root
    missing = _IMAGES if not (folder / _IMAGES).is_dir() else _MASKS
    raise InputError(
        f"{folder / missing}: no such folder (inria as published has {_IMAGES}/austin1.tif, "
        f"{_MASKS}/austin1.tif and {_UNLABELLED}/bellingham1.tif, in the root or in {_ARCHIVE})"
    )


@dataclass(frozen=True)
class Inria(OnDisk):
    """The data set in the folder ``root`` (see :func:`find_root`); ``test_city`` is split val."""

    test_city: str = "chicago"
    name: str = "inria"
    classes: Classes = CLASSES

    @property
    def splits(self) -> tuple[str, ...]:
        """``train``, ``val`` and, where the cities without labels are there, ``unlabelled``."""
        there = (self.root / _UNLABELLED).is_dir()
        return ("train", "val", "unlabelled") if there else ("train", "val")

    def items(self, split: str) -> list[Item]:
        """The images of a split. InputError for one of an unknown city, or without its mask."""
        if split not in self.splits:
            raise unknown_split(self, split)
        if split == "unlabelled":
            names = find_images(self.root / _UNLABELLED)
            return [
                Item(f"{_UNLABELLED}/{name}", None, self._city(_UNLABELLED, name)) for name in names
            ]
        there = set(find_images(self.root / _MASKS))
        items = []
        for name in find_images(self.root / _IMAGES):
            city = self._city(_IMAGES, name)
            if city not in CITIES:
                raise InputError(
                    f"{self.root / _IMAGES / name}: {city} is no labelled city of inria (allowed: "
                    f"{', '.join(CITIES)})"
                )
            if name not in there:
                raise InputError(f"{self.root / _IMAGES / name}: no mask {_MASKS}/{name}")
            if (city == self.test_city) == (split == "val"):
                items.append(Item(f"{_IMAGES}/{name}", f"{_MASKS}/{name}", city))
        return items

    def mask_values(self) -> MaskValues:
        """Class 1 where a mask is 255; 0 and 255 are all that may occur."""
        return _READ

    def fingerprint(self) -> dict[str, Any]:
        """The name; the files decide the rest, as a city's are the same in any split."""
        return {"name": self.name}

    def _city(self, folder: str, name: str) -> str:
        match = _NAME.fullmatch(name)
        if match is None:
            raise InputError(
                f"{self.root / folder / name}: the name must be a city and a number, such as "
                "austin1.tif"
            )
        return match["city"]
