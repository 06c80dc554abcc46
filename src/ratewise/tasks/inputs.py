"""The files that a model is to predict on: named one by one, by folder, or by store."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from ratewise import codecs
from ratewise.data.manifest import MANIFEST, iterate_manifest
from ratewise.data.store import is_store, open_store
from ratewise.errors import InputError
from ratewise.images import SUFFIXES

MASK = ".png"
"""Added to an input's whole name, this is the name of its mask: a.jpg and a.png are two images."""


@functools.cache
def _wanted() -> frozenset[str]:
    """The file name endings of images: those of every codec, and others that Pillow reads."""
    kinds = (codecs.kind(name) for name in codecs.names())
    return SUFFIXES | {kind.file_suffix for kind in kinds if hasattr(kind, "file_suffix")}


@dataclass(frozen=True)
class Input:
    """A file to predict on.

    ``name`` is a relative path of its own among all inputs, for what is written about it.
    ``spec`` is the codec of a file of a store; None where the bytes are to tell it. ``part`` says
    where they are if ``path`` is not a file but lies in a shard: file, offset and length.
    """

    path: Path
    name: str
    spec: str | None = None
    part: tuple[Path, int, int] | None = None


def find_inputs(sources: Sequence[Path]) -> Iterator[Input]:
    """The files that ``sources`` name: files, folders (searched recursively) and stores.

    In the order given; a folder's by name, a store's by its manifest. They are found as they are
    asked for, so memory does not grow with their number. What is named twice comes twice.

    Raises :class:`InputError` at once if there is no source, one does not exist, a folder holds no
    image, or a store is not finished.
    """
    if not sources:
        raise InputError("there are no files to predict on")
    taken: set[str] = set()
    parts = [_checked(source, _label(source, taken, len(sources))) for source in sources]
    return chain.from_iterable(parts)


def mask_path(folder: Path, item: Input) -> Path:
    """Where the mask of an input is written in ``folder``; no two inputs share it."""
    return folder / f"{item.name}{MASK}"


def check_apart(folder: Path, sources: Sequence[Path]) -> None:
    """Raise :class:`InputError` if ``folder`` is a file, or lies in a folder that is searched."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: there is a file of this name; give a folder")
    inner = folder.resolve()
    for source in sources:
        outer = source.resolve()
        if source.is_dir() and (inner == outer or outer in inner.parents):
            raise InputError(f"{folder}: must lie outside of {source}, which is predicted on")


def _checked(source: Path, label: str) -> Iterator[Input]:
    if source.is_dir():
        found = _of_store(source, label) if is_store(source) else _of_folder(source, label)
        first = next(found, None)
        if first is None:
            raise InputError(f"{source}: no images in this folder")
        return chain([first], found)
    if not source.exists():
        raise InputError(f"{source}: no such file or folder")
    return iter([Input(source, label)])


def _label(source: Path, taken: set[str], sources: int) -> str:
    """What the names of a source's files begin with; no two sources have the same.

    A name that differs in case only is another file on some disks and not on others.
    """
    if sources == 1 and source.is_dir():
        return ""
    plain = source.resolve().name if source.name in ("", "..") else source.name
    label, number, ending = plain or "files", 2, "" if source.is_dir() else MASK
    while f"{label}{ending}".casefold() in taken:
        label, number = f"{Path(plain).stem}-{number}{Path(plain).suffix}", number + 1
    taken.add(f"{label}{ending}".casefold())
    return label


def _of_store(source: Path, label: str) -> Iterator[Input]:
    store = open_store(source)
    for record in iterate_manifest(store.path / MANIFEST):
        part = None
        if record.shard is not None and record.offset is not None:
            part = (store.path / record.shard, record.offset, record.bytes)
        yield Input(store.path / record.path, _joined(label, record.path), record.codec, part)


def _of_folder(source: Path, label: str) -> Iterator[Input]:
    for name in _walk(source, "", (os.path.realpath(source),)):
        yield Input(source / name, _joined(label, name))


def _joined(label: str, name: str) -> str:
    return f"{label}/{name}" if label else name


def _walk(folder: Path, prefix: str, above: tuple[str, ...]) -> Iterator[str]:
    """Images below a folder, as paths relative to where the walk began.

    Names that start with a dot are left out. Links are followed, except to a folder that holds
    them.
    """
    try:
        with os.scandir(folder) as entries:
            there = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({error.strerror})") from None
    for entry in there:
        if entry.name.startswith("."):
            continue
        if _is_folder(entry):
            real = os.path.realpath(entry.path)
            if real not in above:
                yield from _walk(Path(entry.path), f"{prefix}{entry.name}/", (*above, real))
        elif Path(entry.name).suffix.lower() in _wanted():
            yield prefix + entry.name


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link in a circle
        return False
