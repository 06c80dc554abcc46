"""ImageNet (ILSVRC 2012, the classification task) in the two layouts it is found in.

In a folder per synset, as most training code wants it::

    ROOT/train/n01440764/n01440764_10026.JPEG
    ROOT/val/n01440764/ILSVRC2012_val_00000293.JPEG

or as Kaggle gives it out, where the images of split ``val`` lie in one folder and a table has their
synsets (and their boxes, which are not read)::

    ROOT/ILSVRC/Data/CLS-LOC/train/n01440764/n01440764_10026.JPEG
    ROOT/ILSVRC/Data/CLS-LOC/val/ILSVRC2012_val_00000293.JPEG
    ROOT/LOC_val_solution.csv        ImageId,PredictionString
                                     ILSVRC2012_val_00000293,n01440764 24 6 368 221

Class ids count the synsets of split ``train`` in the order of their numbers: with all 1000 that is
the order of the outputs of models that were trained on ImageNet. A subset, such as Imagenette, is
read as well. An image's label and its group are its synset. Kaggle's ``test`` has no labels and is
no split.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ratewise.data.dataset import Item, unknown_split
from ratewise.data.image_folder import TRAIN, check_class_folders, class_folders, class_items
from ratewise.data.listing import images_in, subfolders
from ratewise.data.on_disk import OnDisk
from ratewise.errors import InputError
from ratewise.files import fingerprint, sha256_file

VAL = "val"
SOLUTION = "LOC_val_solution.csv"
_KAGGLE = "ILSVRC/Data/CLS-LOC"
_SYNSET = re.compile(r"n\d{8}")
_COLUMNS = ["ImageId", "PredictionString"]


@dataclass(frozen=True)
class ImageNet(OnDisk):
    """The data set whose ``train`` and ``val`` lie in ``root``; see :func:`open_imagenet`.

    ``solution`` is the table of the labels of a ``val`` without folders of synsets, else None.
    """

    synsets: tuple[str, ...]
    solution: Path | None = None
    name: str = "imagenet"

    @property
    def classes(self) -> None:
        """None: there are no masks."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The synsets, such as ``n01440764``."""
        return self.synsets

    @property
    def splits(self) -> tuple[str, ...]:
        """``train`` and ``val``."""
        return (TRAIN, VAL)

    def mask_values(self) -> None:
        """None: there are no masks."""

    def items(self, split: str) -> list[Item]:
        """The images of a split.

        Raises :class:`InputError` for a synset without images and, where split ``val`` has a
        table of labels, for a line of it that names an unknown synset or no image, and for an
        image that it does not name.
        """
        if split not in self.splits:
            raise unknown_split(self, split)
        if split == VAL and self.solution is not None:
            return self._solved(self.solution)
        return class_items(self.root, split, self.synsets)

    def fingerprint(self) -> dict[str, Any]:
        """The name, the synsets, which decide the class ids, and the table of labels."""
        value = {"name": self.name, "labels": fingerprint(self.synsets)}
        return value | ({"solution": sha256_file(self.solution)} if self.solution else {})

    def _solved(self, solution: Path) -> list[Item]:
        """The images of a flat split ``val``, with the labels of the table."""
        folder = self.root / VAL
        names = {PurePosixPath(name).stem: name for name in images_in(folder)}
        known = set(self.synsets)
        labels: dict[str, str] = {}
        for line, image, synset in _read_solution(solution):
            if image not in names:
                raise InputError(f"{solution}: line {line}: {folder} has no image {image!r}")
            if synset not in known:
                raise InputError(
                    f"{solution}: line {line}: {self.root / TRAIN} has no class {synset!r}"
                )
            if labels.setdefault(image, synset) != synset:
                raise InputError(f"{solution}: line {line}: image {image!r} has two classes")
        bare = next((name for image, name in sorted(names.items()) if image not in labels), None)
        if bare is not None:
            raise InputError(f"{folder / bare}: {solution} has no line for this image")
        items = [Item(f"{VAL}/{names[i]}", None, label, label) for i, label in labels.items()]
        empty = known - set(labels.values())
        if empty:
            raise InputError(f"{solution}: no image has class {min(empty)!r}, which train has")
        return sorted(items, key=lambda item: item.key)


def open_imagenet(folder: Path) -> ImageNet:
    """The data set in ``folder``, in either layout.

    Raises :class:`InputError` that names what is missing or wrong: the folders ``train`` and
    ``val``, a class folder whose name is no synset or that the other split does not have, images
    that lie beside class folders, the table of a ``val`` without class folders.
    """
    root = next((r for r in (folder, folder / _KAGGLE) if (r / TRAIN).is_dir()), None)
    if root is None:
        raise InputError(
            f"{folder}: holds no imagenet (train/n01440764 and val/n01440764 in the root, or "
            f"{_KAGGLE} and {SOLUTION})"
        )
    if not (root / VAL).is_dir():
        raise InputError(f"{root / VAL}: no such folder (imagenet has {TRAIN} and {VAL})")
    synsets = class_folders(root / TRAIN)
    wrong = next((name for name in synsets if not _SYNSET.fullmatch(name)), None)
    if wrong is not None:
        raise InputError(
            f"{root / TRAIN / wrong}: is no synset, such as n01440764 (data set image_folder takes "
            "any names)"
        )
    if subfolders(root / VAL):
        check_class_folders(root, VAL, synsets)
        return ImageNet(root, synsets)
    solution = folder / SOLUTION
    if not solution.is_file():
        raise InputError(
            f"{root / VAL}: has no class folders, and {solution}, which would name the classes of "
            "its images, is missing"
        )
    return ImageNet(root, synsets, solution)


def _read_solution(path: Path) -> Iterator[tuple[int, str, str]]:
    """Line number, image and synset of each line but the first, which names the columns."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.reader(file)
            if next(rows, None) != _COLUMNS:
                raise InputError(f"{path}: line 1: must be {','.join(_COLUMNS)}")
            for row in filter(None, rows):
                if len(row) != len(_COLUMNS) or not row[1].split():
                    raise InputError(f"{path}: line {rows.line_num}: must be an image and a synset")
                yield rows.line_num, row[0], row[1].split()[0]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read as CSV ({error})") from None
