"""Names of a store's files: those of the source, with another suffix, none of them twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from ratewise.errors import InputError


class Named(Protocol):
    """What has a path, and perhaps a mask's."""

    @property
    def key(self) -> str:
        """Path of the image."""

    @property
    def mask(self) -> str | None:
        """Path of its mask."""


def assign_names(entries: Sequence[Named], suffix: str) -> list[tuple[str, str | None]]:
    """For each entry the names of image and mask, without the suffixes ``suffix`` and ``.png``.

    ``a/b.jpg`` becomes ``a/b``. Where two images (``b.jpg`` and ``b.bmp``), or an image and a
    mask, would have one name, the images keep their whole one: ``a/b.jpg``, ``a/b.bmp``.
    Raises :class:`InputError` if files would have the same name even so.
    """
    masks = _unique([entry.mask for entry in entries if entry.mask is not None], set())
    taken = set(masks.values()) if suffix == ".png" else set()
    images = _unique([entry.key for entry in entries], taken)
    if len(set(images.values())) < len(entries) or taken & set(images.values()):
        raise InputError("two images would be stored under the same name; rename one of them")
    return [
        (images[entry.key], None if entry.mask is None else masks[entry.mask]) for entry in entries
    ]


def _unique(keys: Sequence[str], taken: set[str]) -> dict[str, str]:
    counts = Counter(_stem(key) for key in keys)
    names = {
        key: key if counts[_stem(key)] > 1 or _stem(key) in taken else _stem(key) for key in keys
    }
    if len(set(names.values())) < len(names) or taken & set(names.values()):
        return {key: key for key in keys}
    return names


def _stem(key: str) -> str:
    """``key`` without the ending of its file name."""
    folder, slash, name = key.rpartition("/")
    return folder + slash + (name.rpartition(".")[0] or name)
