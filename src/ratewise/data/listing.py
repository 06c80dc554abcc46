"""Finding the images in a folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from ratewise.errors import InputError
from ratewise.images import SUFFIXES


def find_images(folder: Path) -> list[str]:
    """The image files under ``folder``, as sorted posix paths relative to it.

    An image is a file whose name ends in one of :data:`ratewise.images.SUFFIXES`. Names that start
    with a dot are left out, folders too. Links are followed, except to a folder that holds them;
    a link that leads nowhere counts as an image, so that whoever reads it says so. Raises
    :class:`InputError` if the folder is missing, or a name cannot be written as text.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    try:
        return sorted(_walk(folder, "", (os.path.realpath(folder),)))
    except OSError as error:
        raise InputError(f"{error.filename}: cannot be read ({error.strerror})") from None


def subfolders(folder: Path) -> list[str]:
    """The names of the visible folders in ``folder``, sorted. InputError like find_images."""
    return _names(folder, _is_folder)


def images_in(folder: Path) -> list[str]:
    """The names of the images in ``folder`` itself, as :func:`find_images` tells them, sorted."""
    return _names(folder, _is_image)


def _names(folder: Path, wanted: Callable[[os.DirEntry[str]], bool]) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            names = sorted(e.name for e in entries if not e.name.startswith(".") and wanted(e))
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({error.strerror})") from None
    for name in names:
        _check_name(folder, name)
    return names


def _walk(folder: Path, prefix: str, above: tuple[str, ...]) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if _is_folder(entry):
                real = os.path.realpath(entry.path) if entry.is_symlink() else entry.path
                if real not in above:
                    _check_name(folder, entry.name)
                    below = (*above, os.path.realpath(entry.path))
                    yield from _walk(Path(entry.path), f"{prefix}{entry.name}/", below)
            elif _is_image(entry):
                _check_name(folder, entry.name)
                yield prefix + entry.name


def _is_image(entry: os.DirEntry[str]) -> bool:
    return os.path.splitext(entry.name)[1].lower() in SUFFIXES and _is_file(entry)  # noqa: PTH122


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link in a circle
        return False


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        if entry.is_file():
            return True
    except OSError:
        return True
    return entry.is_symlink() and not os.path.exists(entry.path)  # noqa: PTH110


def _check_name(folder: Path, name: str) -> None:
    """A manifest is Unicode; the bytes of a name need not be."""
    if not name.isascii():
        try:
            name.encode()
        except UnicodeEncodeError:
            raise InputError(
                f"{folder}: the name {name!a} is not valid Unicode; rename the file"
            ) from None
