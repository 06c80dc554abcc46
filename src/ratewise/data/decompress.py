"""Taking a store apart again: PNG images and masks in the same tree, and a table of labels."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ratewise.data.destination import check_on_disk
from ratewise.data.manifest import MANIFEST, Record, iterate_manifest
from ratewise.data.naming import assign_names
from ratewise.data.shards import read_mask_file
from ratewise.data.store import Store
from ratewise.errors import CodecError, InputError
from ratewise.execution import Resources, map_items, progress
from ratewise.files import read_json, sha256_file, write_atomically, write_json
from ratewise.images import write_png

_MARK = "decompressed.json"
LABELS = "labels.csv"


@dataclass(frozen=True, slots=True)
class _File:
    """A bitstream of the store (``key`` is its path) and its mask."""

    record: Record
    key: str
    mask: str | None


@dataclass(frozen=True)
class DecompressSummary:
    """Images written, skipped (there already), and one sentence per failure."""

    done: int
    skipped: int
    failures: tuple[str, ...]


def decompress_store(
    store: Store,
    destination: Path,
    *,
    resources: Resources = Resources(),
    quiet: bool = True,
) -> DecompressSummary:
    """Decode every image of ``store`` to PNG in ``destination``, and copy the masks.

    The labels of whole images, if there are any, are in ``labels.csv`` (path, label). A run that
    was stopped goes on where it was. Raises :class:`InputError` before any work if ``destination``
    lies in the store, or holds anything but images of this store.
    """
    check_on_disk(destination)
    if store.path.resolve() in (destination.resolve(), *destination.resolve().parents):
        raise InputError(f"{destination}: must lie outside of the store {store.path}")
    _claim(store, destination)
    files = [_File(r, r.path, r.mask) for r in iterate_manifest(store.path / MANIFEST)]
    work, skipped = [], 0
    names = [name for name, _ in assign_names(files, ".png")]
    if store.labels is not None:
        _write_labels(destination / LABELS, files, names)
    for file, name in zip(files, names, strict=True):
        if (destination / f"{name}.png").exists():
            skipped += 1
        else:
            work.append((file.record, f"{name}.png"))
    failures = []
    with progress("decompress", len(files), initial=skipped, quiet=quiet) as bar:
        for outcome in map_items(_decompress_one, work, resources, context=(store, destination)):
            if outcome.failure:
                failures.append(f"{outcome.item[0].path}: {outcome.failure.message}")
            bar.advance()
    return DecompressSummary(len(work) - len(failures), skipped, tuple(failures))


def _decompress_one(job: tuple[Store, Path], task: tuple[Record, str]) -> None:
    (store, destination), (record, name) = job, task
    image = store.decode(record)
    if image.shape[:2] != (record.height, record.width):
        raise CodecError(f"decodes to {image.shape[1]}x{image.shape[0]}")
    if record.mask is not None:
        write_atomically(destination / record.mask, read_mask_file(store.path, record))
    write_png(destination / name, image)  # last: where it is, the mask is too


def _write_labels(path: Path, files: Sequence[_File], names: Sequence[str]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", "label"])
    writer.writerows(
        [f"{name}.png", file.record.label]
        for file, name in zip(files, names, strict=True)
        if file.record.label is not None
    )
    write_atomically(path, text.getvalue())


def _claim(store: Store, destination: Path) -> None:
    """Mark ``destination`` as holding this store's images, or refuse it."""
    mark = {"manifest": sha256_file(store.path / MANIFEST), "codec": store.codec}
    if destination.exists() and not destination.is_dir():
        raise InputError(f"{destination}: is a file, not a folder")
    if (destination / _MARK).is_file():
        if _read_mark(destination) != mark:
            raise InputError(f"{destination}: holds the images of another store")
        return
    if destination.is_dir() and any(_visible(destination)):
        raise InputError(
            f"{destination}: holds other files; choose an empty or new folder for the images"
        )
    try:
        write_json(destination / _MARK, mark)
    except OSError as error:
        raise InputError(f"{destination}: cannot be written ({error.strerror})") from None


def _read_mark(destination: Path) -> Any:
    try:
        return read_json(destination / _MARK)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{destination / _MARK}: does not say what the folder holds ({error})"
        ) from None


def _visible(folder: Path) -> Iterator[Path]:
    return (path for path in folder.iterdir() if not path.name.startswith(".tmp-"))
