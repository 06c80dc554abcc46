"""CamVid in the split and layout of SegNet: driving video, 11 classes.

::

    train/0001TP_006690.png   trainannot/0001TP_006690.png
    val/...                   valannot/...
    test/...                  testannot/...        (optional)

A mask holds class ids 0 to 10 and 11 for void, which becomes 255. An image's group is its drive,
the file name's beginning: ``0001TP``, ``0006R0``, ``0016E5``, ``Seq05VD``.
"""

from __future__ import annotations

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

_VOID = 11

CLASSES = Classes(
    names=(
        "sky",
        "building",
        "pole",
        "road",
        "pavement",
        "tree",
        "sign",
        "fence",
        "car",
        "pedestrian",
        "bicyclist",
    ),
    colours=(
        (128, 128, 128),
        (128, 0, 0),
        (192, 192, 128),
        (128, 64, 128),
        (60, 40, 222),
        (128, 128, 0),
        (192, 128, 128),
        (64, 64, 128),
        (64, 0, 128),
        (64, 64, 0),
        (0, 128, 192),
    ),
    groups={"small objects": ("pole", "sign", "pedestrian", "bicyclist")},
)

_TABLE = np.arange(256, dtype=np.uint8)
_TABLE[_VOID] = IGNORE
_KNOWN = (np.arange(256) <= _VOID) | (np.arange(256) == IGNORE)
_READ = MaskValues(_TABLE, _KNOWN)


@dataclass(frozen=True)
class CamVid(OnDisk):
    """The data set in the folder ``root``."""

    name: str = "camvid"
    classes: Classes = CLASSES

    def __post_init__(self) -> None:
        for folder in ("train", "trainannot", "val", "valannot"):
            if not (self.root / folder).is_dir():
                raise InputError(
                    f"{self.root / folder}: no such folder (camvid in SegNet's layout has train, "
                    "trainannot, val, valannot)"
                )

    @property
    def splits(self) -> tuple[str, ...]:
        """``train``, ``val`` and, where it is there, ``test``."""
        return tuple(s for s in ("train", "val", "test") if (self.root / s).is_dir())

    def items(self, split: str) -> list[Item]:
        """The images of a split. InputError if one has no mask."""
        if split not in self.splits:
            raise unknown_split(self, split)
        masks = self.root / f"{split}annot"
        there = set(find_images(masks)) if masks.is_dir() else None
        items = []
        for name in find_images(self.root / split):
            mask = str(Path(name).with_suffix(".png"))
            if there is not None and mask not in there:
                raise InputError(f"{self.root / split / name}: no mask {split}annot/{mask}")
            drive = Path(name).name.split("_")[0]
            items.append(
                Item(f"{split}/{name}", None if there is None else f"{split}annot/{mask}", drive)
            )
        return items

    def mask_values(self) -> MaskValues:
        """Class ids as they are, void ignored."""
        return _READ

    def fingerprint(self) -> dict[str, Any]:
        """The name; the files decide the rest."""
        return {"name": self.name}
