"""Finding the images in a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from ratewise.errors import InputError
from ratewise.images import SUFFIXES


def find_images(folder: Path) -> list[str]:
    """The image files under ``folder``, as sorted posix paths relative to it.

    An image is a file whose name ends in one of :data:`ratewise.images.SUFFIXES`. Names that start
    with a dot are left out, folders too. Links are followed, except to a folder that holds them.
    Raises :class:`InputError` if the folder is missing.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    try:
        return sorted(_walk(folder, "", (os.path.realpath(folder),)))
    except OSError as error:
        raise InputError(f"{error.filename}: cannot be read ({error.strerror})") from None


def subfolders(folder: Path) -> list[str]:
    """The names of the visible folders in ``folder``, sorted."""
    return sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def _walk(folder: Path, prefix: str, above: tuple[str, ...]) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                real = os.path.realpath(entry.path) if entry.is_symlink() else entry.path
                if real not in above:
                    below = (*above, os.path.realpath(entry.path))
                    yield from _walk(Path(entry.path), f"{prefix}{entry.name}/", below)
            elif os.path.splitext(entry.name)[1].lower() in SUFFIXES and entry.is_file():  # noqa: PTH122
                yield prefix + entry.name
