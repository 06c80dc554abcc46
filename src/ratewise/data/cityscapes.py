"""Cityscapes as its owners publish it: 19 train classes out of the label ids.

::

    leftImg8bit/{train,val,test,train_extra}/CITY/CITY_000000_000019_leftImg8bit.png
    gtFine/{train,val,test}/CITY/CITY_000000_000019_gtFine_labelIds.png
    gtCoarse/train_extra/CITY/CITY_000000_000019_gtCoarse_labelIds.png

The masks of the test split are published empty, so its images have none here. An image's group is
its city.

``unlabelled`` is a part of ``train_extra`` without its masks, for a codec and a restorer, as in
"Distributed learning with compressed images" (section V-A), which takes 2,000 of the 20,000 images
and does not say which. Here every city gives as many, spread evenly over its drive.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import Any

import numpy as np

from ratewise.data.classes import Classes
from ratewise.data.dataset import Item, unknown_split
from ratewise.data.listing import find_images, subfolders
from ratewise.data.on_disk import MaskValues, OnDisk
from ratewise.errors import InputError
from ratewise.images import IGNORE

# name, label id, category, colour: in the order of the train ids
_LABELS = (
    ("road", 7, "flat", (128, 64, 128)),
    ("sidewalk", 8, "flat", (244, 35, 232)),
    ("building", 11, "construction", (70, 70, 70)),
    ("wall", 12, "construction", (102, 102, 156)),
    ("fence", 13, "construction", (190, 153, 153)),
    ("pole", 17, "object", (153, 153, 153)),
    ("traffic light", 19, "object", (250, 170, 30)),
    ("traffic sign", 20, "object", (220, 220, 0)),
    ("vegetation", 21, "nature", (107, 142, 35)),
    ("terrain", 22, "nature", (152, 251, 152)),
    ("sky", 23, "sky", (70, 130, 180)),
    ("person", 24, "human", (220, 20, 60)),
    ("rider", 25, "human", (255, 0, 0)),
    ("car", 26, "vehicle", (0, 0, 142)),
    ("truck", 27, "vehicle", (0, 0, 70)),
    ("bus", 28, "vehicle", (0, 60, 100)),
    ("train", 31, "vehicle", (0, 80, 100)),
    ("motorcycle", 32, "vehicle", (0, 0, 230)),
    ("bicycle", 33, "vehicle", (119, 11, 32)),
)
CATEGORIES = ("flat", "nature", "object", "sky", "construction", "human", "vehicle")

CLASSES = Classes(
    names=tuple(label[0] for label in _LABELS),
    colours=tuple(label[3] for label in _LABELS),
    groups={
        "small objects": (
            "person",
            "rider",
            "motorcycle",
            "bicycle",
            "pole",
            "traffic light",
            "traffic sign",
        ),
        **{c: tuple(label[0] for label in _LABELS if label[2] == c) for c in CATEGORIES},
    },
)

_LAST_LABEL = 33
_TABLE = np.full(256, IGNORE, np.uint8)
for _train_id, _label in enumerate(_LABELS):
    _TABLE[_label[1]] = _train_id
_KNOWN = (np.arange(256) <= _LAST_LABEL) | (np.arange(256) == IGNORE)
_READ = MaskValues(_TABLE, _KNOWN)

_IMAGE_END = "_leftImg8bit"
_ANNOTATIONS = {"train": "gtFine", "val": "gtFine", "train_extra": "gtCoarse"}

_BLACK = "troisdorf/troisdorf_000000_000073_leftImg8bit.png"
"""Published as one black frame: nothing to learn a codec or a restorer from."""


@dataclass(frozen=True)
class Cityscapes(OnDisk):
    """The data set in the folder ``root``."""

    unlabelled: int = 2000
    """How many images split ``unlabelled`` has at most."""
    name: str = "cityscapes"
    classes: Classes = CLASSES

    def __post_init__(self) -> None:
        if not (self.root / "leftImg8bit").is_dir():
            raise InputError(f"{self.root / 'leftImg8bit'}: no such folder (cityscapes needs it)")

    @property
    def splits(self) -> tuple[str, ...]:
        """Those of train, val, test and train_extra that are there; unlabelled with the last."""
        there = subfolders(self.root / "leftImg8bit")
        splits = tuple(s for s in ("train", "val", "test", "train_extra") if s in there)
        return (*splits, "unlabelled") if "train_extra" in splits else splits

    def items(self, split: str) -> list[Item]:
        """The images of a split; one whose label ids are not there has no mask."""
        if split not in self.splits:
            raise unknown_split(self, split)
        if split == "unlabelled":
            return self._unlabelled()
        kind = _ANNOTATIONS.get(split)
        masks = self.root / kind / split if kind else None
        there = set(find_images(masks)) if masks and masks.is_dir() else set()
        items = []
        for name in self._names(split):
            mask = f"{name.removesuffix(f'{_IMAGE_END}.png')}_{kind}_labelIds.png"
            items.append(
                Item(
                    key=f"leftImg8bit/{split}/{name}",
                    mask=f"{kind}/{split}/{mask}" if mask in there else None,
                    group=name.split("/")[0],
                )
            )
        return items

    def _names(self, split: str) -> list[str]:
        names = find_images(self.root / "leftImg8bit" / split)
        return [name for name in names if name.endswith(f"{_IMAGE_END}.png")]

    def _unlabelled(self) -> list[Item]:
        """One image of each city in turn until there are enough; more keep those of fewer."""
        cities: dict[str, list[str]] = defaultdict(list)
        for name in self._names("train_extra"):
            if name != _BLACK:
                cities[name.split("/")[0]].append(name)
        turns = zip_longest(*(_spread(names) for names in cities.values()))
        taken = [name for name in chain.from_iterable(turns) if name is not None]
        return [
            Item(f"leftImg8bit/train_extra/{name}", None, name.split("/")[0])
            for name in sorted(taken[: self.unlabelled])
        ]

    def mask_values(self) -> MaskValues:
        """Train ids of the label ids; the other labels are ignored."""
        return _READ

    def fingerprint(self) -> dict[str, Any]:
        """The name; the files decide the rest."""
        return {"name": self.name}


def _spread(names: Sequence[str]) -> list[str]:
    """``names`` in an order whose every beginning is spread evenly over them.

    Places in order of their reversed bits (van der Corput's sequence): 0, 4, 2, 6, 1, 5, 3, 7.
    """
    bits = max(1, (len(names) - 1).bit_length())
    places = sorted(range(len(names)), key=lambda place: f"{place:0{bits}b}"[::-1])
    return [names[place] for place in places]
