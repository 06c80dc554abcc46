"""What ``ratewise store compress`` is to make a store of, from its arguments."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ratewise.errors import InputError
from ratewise.files import is_local

if TYPE_CHECKING:
    from ratewise.data.prepare import PrepareSettings
    from ratewise.data.sources import Source

GENERATED = "-"


def source_of(
    src: Path, data: str | None, split: str | None, options: list[str], prepare: PrepareSettings
) -> Source:
    """What a store is made of, as typed: a folder, a store, a split of a data set.

    Raises :class:`InputError` for options that do not go together, and what cannot be opened.
    """
    from ratewise.data.sources import DatasetSource, FolderSource, StoreSource
    from ratewise.data.store import is_store, open_store

    if data is None:
        if split or options:
            raise InputError("--split and --set need --data")
        if is_store(src):
            return StoreSource(open_store(src), prepare)
        if not is_local(src):
            raise InputError(f"{src}: no store here; a folder of images must be a local one")
        return FolderSource(src, prepare)
    from ratewise.cli.data import open_named

    dataset = open_named(data, None if str(src) == GENERATED else src, options)
    if split is None:
        raise InputError(f"--split is missing (allowed: {', '.join(dataset.splits)})")
    return DatasetSource(dataset, split, prepare)


def prepare_settings(
    resize: str | None,
    short_side: int | None,
    crop: str | None,
    tile: str | None,
    grid: str | None,
) -> PrepareSettings:
    """The options of preparing images, as typed. InputError names a wrong one."""
    from ratewise.data.prepare import PrepareSettings
    from ratewise.validation import validate

    pairs = {"resize": resize, "crop": crop, "tile": tile, "grid": grid}
    value: dict[str, Any] = {key: _pair(key, text) for key, text in pairs.items() if text}
    if short_side is not None:
        value["short_side"] = short_side
    return validate(PrepareSettings, value, "prepare")


def _pair(key: str, text: str) -> tuple[int, int]:
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        form = "COLUMNSxROWS, such as 4x3" if key == "grid" else "WIDTHxHEIGHT, such as 240x180"
        raise InputError(f"--{key} = {text!r}: must be {form}")
    return int(width), int(height)
