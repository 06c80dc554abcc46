"""Restoring a store: a new store of the restored images: same keys, masks and labels."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from ratewise.data.classes import Classes
from ratewise.data.compress import StoreSummary, compress_store
from ratewise.data.destination import check_on_disk
from ratewise.data.manifest import MANIFEST, iterate_manifest
from ratewise.data.sources import Entry, Loaded, StoreSource
from ratewise.data.store import Store
from ratewise.errors import InputError
from ratewise.execution import Resources
from ratewise.files import fingerprint, sha256_file
from ratewise.restoration.restorer import (
    PrecisionName,
    Restorer,
    load_restorer,
    mismatch,
    read_restorer,
)
from ratewise.training.device import resolve_device, resolve_precision

LOSSLESS = "png"
"""The codec of a store of restored images: what a restorer gives is not compressed again."""


class MismatchWarning(UserWarning):
    """A restorer is applied to images that it was not trained for."""


def restore_store(
    source: Store,
    destination: Path,
    restorers: Sequence[Path],
    assignment: Sequence[int] | None = None,
    *,
    resources: Resources = Resources(),
    quiet: bool = True,
    title: str | None = None,
    device: str = "auto",
    precision: PrecisionName = "auto",
) -> StoreSummary:
    """Restore the images of ``source`` into a lossless store at ``destination``.

    The new store has the keys, groups, masks and labels of ``source``; the ``source_bytes`` of a
    record are the bytes of the compressed file, so the rate at which the images were stored is
    still known. ``assignment[i]`` says which of ``restorers`` (weights files) restores image ``i``;
    without it the only one restores all. A run that was stopped goes on; a store made with other
    restorers or in another precision is refused. On CUDA one process restores, whatever
    ``resources`` say; on a CPU they may change a value by one level (threads sum in another order).

    Gives a :class:`MismatchWarning` where :func:`mismatches` finds something. Raises
    :class:`InputError` before any work if a file is no restorer, or ``assignment`` does not fit;
    otherwise like :func:`ratewise.data.compress.compress_store`.
    """
    check_on_disk(destination)
    chosen = _checked_assignment(source, restorers, assignment)
    on = resolve_device(device)
    own = Precision(on, "bf16" if resolve_precision(precision, on) == "bf16-mixed" else "fp32")
    files = tuple((path, sha256_file(path)) for path in map(_there, restorers))
    for file in files:
        read_restorer(file[0])  # what is wrong with it is said once, not for every image
    for sentence in mismatches(source, restorers, chosen):
        warnings.warn(sentence, MismatchWarning, stacklevel=2)
    return compress_store(
        RestoredSource(StoreSource(source), files, chosen, own),
        destination,
        LOSSLESS,
        resources=Resources(1) if own.device == "cuda" else resources,
        quiet=quiet,
        title=title or f"restore {source.codec}",
    )


def mismatches(
    source: Store, restorers: Sequence[Path], assignment: Sequence[int] | None = None
) -> list[str]:
    """A sentence for each restorer and codec that do not belong together, naming the file.

    In a store that was fitted to a budget, each image has its own operating point.
    """
    chosen = _checked_assignment(source, restorers, assignment)
    trained_for = [read_restorer(_there(path))[1].trained_for for path in restorers]
    found = {}
    for record, number in zip(source.records, chosen, strict=True):
        sentence = mismatch(trained_for[number], record.codec)
        if sentence is not None:
            found[restorers[number], record.codec] = f"{restorers[number]}: {sentence}"
    return list(found.values())


@dataclass(frozen=True)
class Precision:
    """Where and in what precision a restorer computes."""

    device: str
    name: PrecisionName


@dataclass(frozen=True)
class RestoredSource:
    """The images of a store, restored, as :class:`ratewise.data.sources.Source`.

    ``restorers`` are weights files with their SHA-256; ``assignment`` has one of their numbers for
    each image. Picklable: a process loads a restorer when it first needs it, and keeps it.
    """

    compressed: StoreSource
    restorers: tuple[tuple[Path, str], ...]
    assignment: tuple[int, ...]
    precision: Precision

    @property
    def root(self) -> Path:
        """The folder of the compressed store."""
        return self.compressed.root

    @property
    def classes(self) -> Classes | None:
        """The store's."""
        return self.compressed.classes

    @property
    def labels(self) -> tuple[str, ...] | None:
        """The store's."""
        return self.compressed.labels

    def entries(self) -> list[Entry]:
        """The records of the compressed store, each with the size of its bitstream."""
        return self.compressed.entries()

    def check(self, entries: Sequence[Entry], resources: Resources, *, quiet: bool) -> None:
        """Nothing: what made the store has checked it."""

    def load(self, entry: Entry) -> Loaded:
        """Decode and restore an image."""
        loaded = self.compressed.load(entry)
        path, digest = self.restorers[_numbers(self.root, self.assignment)[entry.key]]
        restorer = _loaded(path, digest, self.precision)
        images = [(name, restorer.restore(image), mask) for name, image, mask in loaded.images]
        return replace(loaded, images=images)

    def fingerprint(self) -> dict[str, Any]:
        """The compressed store, the restorers' contents, who restores what, the precision."""
        return {
            "kind": "restored",
            "of": self.compressed.fingerprint(),
            "restorers": [digest for _, digest in self.restorers],
            "assignment": fingerprint(list(self.assignment)),
            "precision": self.precision.name,
        }


@lru_cache(maxsize=1)
def _numbers(store: Path, assignment: tuple[int, ...]) -> dict[str, int]:
    """The number of the restorer of each image, by its key."""
    keys = (record.key for record in iterate_manifest(store / MANIFEST))
    return dict(zip(keys, assignment, strict=True))


@lru_cache(maxsize=4)
def _loaded(path: Path, digest: str, precision: Precision) -> Restorer:
    """A restorer, loaded once per process; ``digest`` tells files of one name apart."""
    return load_restorer(path, device=precision.device, precision=precision.name)


def _there(path: Path) -> Path:
    if not path.is_file():
        raise InputError(f"{path}: no such restorer")
    return path


def _checked_assignment(
    source: Store, restorers: Sequence[Path], assignment: Sequence[int] | None
) -> tuple[int, ...]:
    if not restorers:
        raise InputError("there is no restorer to restore with")
    if assignment is None:
        if len(restorers) > 1:
            raise InputError(
                f"{len(restorers)} restorers need an assignment: which of them restores which image"
            )
        return (0,) * len(source)
    if len(assignment) != len(source):
        raise InputError(
            f"the assignment of restorers is for {len(assignment)} images, and {source.path} holds "
            f"{len(source)}"
        )
    wrong = next((n for n in assignment if not 0 <= n < len(restorers)), None)
    if wrong is not None:
        raise InputError(f"the assignment names restorer {wrong}, and there are {len(restorers)}")
    return tuple(assignment)
