"""Images in a folder per class, in a folder per split: torchvision's ``ImageFolder`` per split.

::

    ROOT/train/tench/**      the images of class tench that are in split train
    ROOT/train/dog/**
    ROOT/val/tench/**        every split has the same classes
    ROOT/val/dog/**

Class ids count the class folders of split ``train`` in the order of their names. An image's label
and its group are its class folder. What is no image, and what is hidden, is passed over as
:mod:`ratewise.data.listing` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ratewise.data.dataset import Item, unknown_split
from ratewise.data.listing import find_images, images_in, subfolders
from ratewise.data.on_disk import OnDisk
from ratewise.errors import InputError
from ratewise.files import fingerprint

TRAIN = "train"
_FIRST = (TRAIN, "val", "test")
_NEEDED = (TRAIN, "val")


@dataclass(frozen=True)
class ImageFolder(OnDisk):
    """The data set in the folder ``root``; :func:`open_image_folder` finds the other fields."""

    splits: tuple[str, ...]
    class_folders: tuple[str, ...]
    name: str = "image_folder"

    @property
    def classes(self) -> None:
        """None: there are no masks."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The class folders."""
        return self.class_folders

    def mask_values(self) -> None:
        """None: there are no masks."""

    def items(self, split: str) -> list[Item]:
        """The images of a split. InputError for a class without any."""
        if split not in self.splits:
            raise unknown_split(self, split)
        return class_items(self.root, split, self.class_folders)

    def fingerprint(self) -> dict[str, Any]:
        """The name, and the classes, which decide the class ids."""
        return {"name": self.name, "labels": fingerprint(self.class_folders)}


def open_image_folder(root: Path) -> ImageFolder:
    """The data set in ``root``.

    Other folders than train and val that hold no class folders are no splits: unlabelled images,
    for example. Raises :class:`InputError` that names the folder: where there is no split
    ``train``, a split has no class folders or others than ``train``, or images lie beside them. No
    image is looked at.
    """
    found = subfolders(root)
    if TRAIN not in found:
        raise InputError(
            f"{root / TRAIN}: no such folder (an image_folder has train/CLASS/** and, for other "
            "splits, such as val/CLASS/**, the same)"
        )
    named = [split for split in found if split in _NEEDED or subfolders(root / split)]
    splits = sorted(named, key=lambda split: (split not in _FIRST, _order(split), split))
    classes = class_folders(root / TRAIN)
    for split in splits:
        check_class_folders(root, split, classes)
    return ImageFolder(root, tuple(splits), classes)


def class_folders(split: Path) -> tuple[str, ...]:
    """The class folders of the folder of a split, sorted.

    Raises :class:`InputError` where there are none, or images lie beside them.
    """
    classes = subfolders(split)
    if not classes:
        raise InputError(f"{split}: has no class folders (images lie in {split.name}/CLASS/**)")
    beside = images_in(split)
    if beside:
        raise InputError(
            f"{split}: images lie beside the class folders ({len(beside)}, such as {beside[0]}), "
            "so their class is not known; move them into one"
        )
    return tuple(classes)


def check_class_folders(root: Path, split: str, classes: Sequence[str]) -> None:
    """Raise :class:`InputError` unless a split has the class folders ``classes`` of train."""
    there = set(class_folders(root / split))
    missing = [name for name in classes if name not in there]
    if missing:
        raise InputError(
            f"{root / split / missing[0]}: no such folder, but {root / TRAIN} has this class"
            f"{_and_more(missing)}; every split must have the same class folders"
        )
    unknown = sorted(there - set(classes))
    if unknown:
        raise InputError(
            f"{root / split / unknown[0]}: {root / TRAIN} has no such class{_and_more(unknown)}; "
            "every split must have the same class folders"
        )


def class_items(root: Path, split: str, classes: Sequence[str]) -> list[Item]:
    """The images of class folders, sorted by key. InputError for a class without any."""
    items = []
    for name in classes:
        images = find_images(root / split / name)
        if not images:
            raise InputError(f"{root / split / name}: this class folder holds no images")
        items += [Item(f"{split}/{name}/{image}", None, name, name) for image in images]
    return sorted(items, key=lambda item: item.key)


def _order(split: str) -> int:
    return _FIRST.index(split) if split in _FIRST else 0


def _and_more(names: Sequence[str]) -> str:
    return f" (and {len(names) - 1} more)" if len(names) > 1 else ""
