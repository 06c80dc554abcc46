"""A folder of images, with masks and a class list if there are any.

::

    ROOT/
      images/**            images in any tree; without this folder, those in ROOT itself
      masks/**             the mask of images/a/b.jpg is masks/a/b.png, grey or palette
      classes.yaml         the class list; needed where there are masks
      splits/train.txt     optional: one image per line, relative to images/

Without ``splits/``, the folders in ``images`` are the splits if one of them is named ``train``;
else all images are in one split, ``all``. An image's group is the folder that it lies in.

A class list::

    names: [sky, road, pole]                       # class id 0, 1, 2
    colours: [[70, 130, 180], [128, 64, 128], [220, 220, 0]]     # optional
    ignore: [255]                                  # mask values that count for nothing
    groups: {small objects: [pole]}                # optional
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

import numpy as np
import yaml
from pydantic import Field

from ratewise.data.classes import Classes, default_colours
from ratewise.data.dataset import Item, unknown_split
from ratewise.data.listing import find_images, subfolders
from ratewise.data.on_disk import MaskValues, OnDisk
from ratewise.errors import InputError
from ratewise.images import IGNORE
from ratewise.validation import Settings, validate

_Level = Annotated[int, Field(ge=0, le=255)]


class ClassList(Settings):
    """The content of ``classes.yaml``."""

    names: tuple[str, ...] = Field(min_length=1, max_length=IGNORE - 1)
    colours: tuple[tuple[_Level, _Level, _Level], ...] | None = None
    ignore: tuple[int, ...] = (IGNORE,)
    groups: dict[str, tuple[str, ...]] = Field(default_factory=dict)

    def classes(self) -> Classes:
        """As :class:`Classes`; colours are chosen where none are given."""
        return Classes(self.names, self.colours or default_colours(len(self.names)), self.groups)


def read_class_list(path: Path) -> ClassList:
    """Read a class list; InputError that names the file and what is wrong in it."""
    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; masks need a class list") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: cannot be read as YAML ({reason})") from None
    listed = validate(ClassList, value, str(path))
    try:
        listed.classes()
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    for raw in listed.ignore:
        if not 0 <= raw <= IGNORE or raw < len(listed.names):
            raise InputError(
                f"{path}: ignore = {raw}: must be {len(listed.names)} to {IGNORE}, not a class id"
            )
    return listed


@dataclass(frozen=True)
class FolderDataset(OnDisk):
    """Images and masks in the folder ``root``; see the module for its layout.

    ``mask_ending`` stands between the name of an image and ``.png`` in the name of its mask.
    """

    images: str = "images"
    masks: str | None = None
    mask_ending: str = ""
    class_list: ClassList | None = None
    name: str = "folder"

    def __post_init__(self) -> None:
        for folder in (self.images, self.masks):
            # Their names become those of a store's files, which must not lead out of it.
            if folder is not None and (Path(folder).is_absolute() or ".." in Path(folder).parts):
                raise InputError(f"{folder}: must be a folder in the root {self.root}")
            if folder is not None and not (self.root / folder).is_dir():
                raise InputError(f"{self.root / folder}: no such folder")

    @property
    def classes(self) -> Classes | None:
        """Those of the class list; None without masks."""
        return self.class_list.classes() if self.class_list else None

    @property
    def splits(self) -> tuple[str, ...]:
        """See the module."""
        lists = self.root / "splits"
        if lists.is_dir():
            found = tuple(sorted(path.stem for path in lists.glob("*.txt")))
            if not found:
                raise InputError(f"{lists}: holds no NAME.txt that lists the images of a split")
            return found
        folders = subfolders(self.root / self.images)
        return tuple(folders) if "train" in folders else ("all",)

    def items(self, split: str) -> list[Item]:
        """The images of a split. InputError if one is missing or, with masks, has none."""
        if split not in self.splits:
            raise unknown_split(self, split)
        there = set(find_images(self.root / self.masks)) if self.masks else set()
        items = []
        for name in self._names(split):
            mask = str(Path(name).with_suffix("")) + self.mask_ending + ".png"
            if self.masks and mask not in there:
                raise InputError(f"{self._path(self.images, name)}: no mask {self.masks}/{mask}")
            group = str(Path(name).parent)
            items.append(
                Item(
                    key=str(PurePosixPath(self.images, name)),  # "." leaves no "./"
                    mask=f"{self.masks}/{mask}" if self.masks else None,
                    group="" if group == "." else group,
                )
            )
        return items

    def mask_values(self) -> MaskValues | None:
        """Every class id, and the values that the class list ignores."""
        if self.class_list is None:
            return None
        ids = np.arange(256)
        ignored = np.isin(ids, self.class_list.ignore)
        table = np.where(ignored, IGNORE, ids).astype(np.uint8)
        return MaskValues(table, ignored | (ids < len(self.class_list.names)))

    def fingerprint(self) -> dict[str, Any]:
        """The name and the class list."""
        listed = self.class_list.model_dump(mode="json") if self.class_list else None
        return {"name": self.name, "classes": listed}

    def _path(self, folder: str, name: str) -> Path:
        return self.root / folder / name

    def _names(self, split: str) -> list[str]:
        """The images of a split, relative to the folder of images."""
        images = self.root / self.images
        listed = self.root / "splits" / f"{split}.txt"
        if listed.is_file():
            try:
                lines = listed.read_text(encoding="utf-8").splitlines()
            except (OSError, UnicodeDecodeError) as error:
                raise InputError(f"{listed}: cannot be read as text ({error})") from None
            names = sorted({line.strip() for line in lines if line.strip()})
            for name in names:
                if not (images / name).is_file() or ".." in Path(name).parts or name[0] == "/":
                    raise InputError(f"{listed}: {name!r} is no file in {images}")
            return names
        if split == "all" and not (images / "train").is_dir():
            return find_images(images)
        return [f"{split}/{name}" for name in find_images(images / split)]
