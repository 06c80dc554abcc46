"""The folder that a store is made in: what may be there already, and what is left to do."""

from __future__ import annotations

from collections.abc import Container, Sequence
from itertools import groupby
from pathlib import Path

from ratewise.codecs.base import Codec
from ratewise.data.journal import JOURNAL, write_journal
from ratewise.data.manifest import MANIFEST, Record, iterate_manifest
from ratewise.data.sources import Entry, Source
from ratewise.data.store import State, is_store, read_state, write_state
from ratewise.errors import InputError
from ratewise.files import is_local


def begin_state(source: Source, codec: Codec) -> State:
    """The ``store.json`` of a store of ``source`` in ``codec`` before its first image."""
    return State(
        complete=False,
        codec=codec.spec,
        codec_fingerprint=codec.fingerprint,
        versions=dict(codec.versions),
        source=source.fingerprint(),
        classes=source.classes.to_dict() if source.classes else None,
        labels=None if source.labels is None else list(source.labels),
    )


def check_apart(root: Path | None, destination: Path) -> None:
    """Raise :class:`InputError` if ``destination`` is the source's folder or lies in it."""
    if root is None:
        return
    inner, outer = destination.resolve(), root.resolve()
    if inner == outer or outer in inner.parents:
        raise InputError(f"{destination}: the store must lie outside of its source {root}")


def check_destination(destination: Path, state: State) -> State | None:
    """The state of the store that is there already, None if there is nothing; else InputError."""
    if destination.exists() and not destination.is_dir():
        raise InputError(f"{destination}: is a file, not a folder")
    if not is_store(destination):
        if destination.is_dir():
            names = sorted(p.name for p in destination.iterdir() if p.name[:5] != ".tmp-")
            if names:
                raise InputError(
                    f"{destination}: holds other files ({names[0]}) and no store; choose an empty "
                    "or new folder"
                )
        return None
    there = read_state(destination)
    if there.codec != state.codec:
        raise InputError(
            f"{destination}: holds a store of {there.codec}, not of {state.codec}; choose another "
            "folder"
        )
    if there.shard_images != state.shard_images:
        raise InputError(
            f"{destination}: holds a store of {_layout(there)}, not of {_layout(state)}; choose "
            "another folder"
        )
    if there.rate_control and not there.rate_control.same_aim(state.rate_control):
        raise InputError(
            f"{destination}: holds a store made to {there.rate_control}, not to "
            f"{state.rate_control}; choose another folder"
        )
    if there.codec_fingerprint != state.codec_fingerprint:
        raise InputError(
            f"{destination}: holds a store made with {_spell(there.versions)}, but here is "
            f"{_spell(state.versions)}; choose another folder"
        )
    known, asked = ((s.source, s.classes, s.labels) for s in (there, state))
    if known != asked:
        raise InputError(
            f"{destination}: holds a store of another source or with other preparation; choose "
            "another folder"
        )
    return there


def _layout(state: State) -> str:
    images = state.shard_images
    return "files" if images is None else f"shards of {images} images"


def _spell(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))


def pending_entries(
    entries: Sequence[Entry], done: dict[str, int | None], destination: Path
) -> list[Entry]:
    """What is not done, or was done from a file of another size."""
    gone = done.keys() - {entry.key for entry in entries}
    if gone:
        raise InputError(
            f"{destination}: holds images that the source has no more ({len(gone)}, such as "
            f"{min(gone)}); choose another folder"
        )
    return [e for e in entries if e.key not in done or done[e.key] != e.size]


def finished(destination: Path) -> tuple[dict[str, int | None], dict[str, str]]:
    """What a finished store holds, like :attr:`Journal.done`, and what of it is lost.

    The second has the sources with :func:`is_lost` records, and the bitstream of the first.
    """
    done: dict[str, int | None] = {}
    lost: dict[str, str] = {}
    for record in iterate_manifest(destination / MANIFEST):
        generated = record.source_format == "generated"
        done[record.source] = None if generated else record.source_bytes
        if is_lost(destination, record):
            lost.setdefault(record.source, record.path)
    return done, lost


def check_on_disk(destination: Path) -> None:
    """Raise :class:`InputError` for an address."""
    if not is_local(destination):
        raise InputError(f"{destination}: this can be written to a disk only, not to an address")


def is_lost(destination: Path, record: Record) -> bool:
    """Whether a file of a record is missing, or its bitstream has another size: stat, no reading.

    A mask's size is in no record, so any but 0 will do.
    """
    try:
        if (destination / record.path).stat().st_size != record.bytes:
            return True
        return record.mask is not None and not (destination / record.mask).stat().st_size
    except OSError:
        return True


def reopen(destination: Path, state: State, without: Container[str] = ()) -> None:
    """Make a finished store an unfinished one that holds the same images.

    Those of the sources ``without`` are left out, to be done again.
    """
    records = (r for r in iterate_manifest(destination / MANIFEST) if r.source not in without)
    images = ((source, list(group)) for source, group in groupby(records, lambda r: r.source))
    write_journal(
        destination / JOURNAL,
        (
            (
                source,
                None if group[0].source_format == "generated" else group[0].source_bytes,
                group,
            )
            for source, group in images
        ),
    )
    write_state(destination, state)


def remove_torn_files(destination: Path) -> None:
    """What a killed run had begun to write."""
    for path in destination.rglob(".tmp-*"):
        path.unlink(missing_ok=True)
