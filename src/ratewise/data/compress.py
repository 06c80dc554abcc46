"""Making a store: encode every image of a source, go on where an earlier run stopped."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from ratewise import codecs
from ratewise.data.coding import CannotWriteError, Job, Task, stored
from ratewise.data.destination import (
    begin_state,
    check_apart,
    check_destination,
    finished,
    pending_entries,
    remove_torn_files,
    reopen,
)
from ratewise.data.journal import JOURNAL, Journal
from ratewise.data.manifest import MANIFEST, Record, write_manifest
from ratewise.data.naming import assign_names
from ratewise.data.sources import Entry, Source
from ratewise.data.store import (
    FAILURES,
    State,
    versions_json,
    write_state,
)
from ratewise.errors import InputError, PlaceError
from ratewise.execution import Failure, Resources, progress
from ratewise.files import is_local, write_atomically

__all__ = ["StoreSummary", "compress_store"]


@dataclass(frozen=True)
class StoreSummary:
    """What a run of :func:`compress_store` did.

    ``done``, ``skipped`` (in place already) and ``failed`` count images of the source;
    ``images``, ``bytes`` and ``pixels`` are totals of the store, ``source_bytes`` of what was
    read for it.
    """

    done: int
    skipped: int
    failed: int
    images: int
    bytes: int
    pixels: int
    source_bytes: int

    @property
    def bpp(self) -> float:
        """Bits per pixel of the store."""
        return 8 * self.bytes / self.pixels if self.pixels else 0.0


def compress_store(
    source: Source,
    destination: Path,
    codec_spec: str,
    *,
    resources: Resources = Resources(),
    quiet: bool = True,
    title: str | None = None,
) -> StoreSummary:
    """Encode the images of ``source`` into a store at ``destination``, and score them.

    A run that was stopped goes on where it was; on a finished store nothing is done, unless the
    source has new images, or files of another size, or files of the store are missing or torn
    (found by their size; their images are done again). An image that cannot be read or encoded is
    written to ``failures.csv`` and tried again by the next run.

    Raises :class:`InputError` before any work if the source has no images or wrong masks, the
    codec is not known, or ``destination`` is in the source, holds anything but a store of this
    codec and source, or is being written by another process.
    """
    codec = codecs.codec(codec_spec)
    check_apart(source.root, destination)
    if not is_local(destination):  # where nothing can be added to a journal
        from ratewise.data.sharding import compress_parts

        return compress_parts(source, destination, codec_spec, resources=resources, quiet=quiet)
    state = begin_state(source, codec)
    earlier = check_destination(destination, state)
    entries = source.entries()
    if not entries:
        raise InputError(f"{source.root or 'the source'}: no images found")
    tasks = [
        Task(entry, *names)
        for entry, names in zip(entries, assign_names(entries, codec.suffix), strict=True)
    ]
    if earlier and earlier.complete:
        done, lost = finished(destination)
        keys = lost.keys() | {e.key for e in pending_entries(entries, done, destination)}
        pending = [entry for entry in entries if entry.key in keys]
        if not pending and not earlier.failed:
            (destination / JOURNAL).unlink(missing_ok=True)
            return store_summary(earlier, done=0, skipped=len(entries), failed=0)
        source.check(pending, resources, quiet=quiet)
        reopen(destination, state, without=lost)
    elif not earlier:
        source.check(entries, resources, quiet=quiet)
        try:
            write_state(destination, state)
        except OSError as error:
            raise InputError(f"{destination}: cannot be written ({error.strerror})") from None
    with Journal(destination / JOURNAL) as journal:
        remove_torn_files(destination)
        pending = pending_entries(entries, journal.done, destination)
        if earlier and not earlier.complete:
            source.check(pending, resources, quiet=quiet)
        skipped = len(entries) - len(pending)
        keys = {entry.key for entry in pending}
        work = [task for task in tasks if task.entry.key in keys]
        job = Job(source, destination, codec.spec, versions_json(dict(codec.versions)))
        failures = _run(job, work, journal, resources, quiet, title, skipped)
        state = finish_store(destination, state, entries, journal, failures)
    (destination / JOURNAL).unlink(missing_ok=True)
    return store_summary(
        state, done=len(work) - len(failures), skipped=skipped, failed=len(failures)
    )


def _run(
    job: Job,
    work: Sequence[Task],
    journal: Journal,
    resources: Resources,
    quiet: bool,
    title: str | None,
    skipped: int,
) -> list[tuple[str, Failure]]:
    """Do the work and note it in the journal; the failures."""
    failures: list[tuple[str, Failure]] = []
    read = written = 0
    total = skipped + len(work)
    with (
        progress(title or f"compress {job.spec}", total, initial=skipped, quiet=quiet) as bar,
        closing(stored(job, work, resources)) as results,
    ):
        for task, (records, failure) in results:
            entry = task.entry
            if failure and failure.kind == CannotWriteError.__name__:
                raise PlaceError(f"{failure.message}; run the same command again to go on")
            if failure:
                failures.append((entry.key, failure))
            elif records is not None:
                journal.append(entry.key, entry.size, records)
                read += entry.size or 0
                written += sum(record.bytes for record in records)
            bar.advance(status=f"{megabytes(read)} in, {megabytes(written)} out")
    return failures


def finish_store(
    destination: Path,
    state: State,
    entries: Sequence[Entry],
    journal: Journal,
    failures: list[tuple[str, Failure]],
) -> State:
    """Turn the journal into the manifest; the state of the finished store, written last."""
    return write_finished(
        destination, state, journal.records(entry.key for entry in entries), failures
    )


def write_finished(
    destination: Path,
    state: State,
    records: Iterable[Record],
    failures: Sequence[tuple[str, Failure]],
) -> State:
    """Write manifest and failures of a finished store, and its state last; the state."""
    images = total = pixels = source_bytes = 0
    last = None

    def counted() -> Iterator[Record]:
        nonlocal images, total, pixels, source_bytes, last
        for record in records:
            images, total = images + 1, total + record.bytes
            pixels += record.width * record.height
            source_bytes += record.source_bytes if record.source != last else 0  # tiles share it
            last = record.source
            yield record

    write_manifest(destination / MANIFEST, counted(), shards=state.shard_images is not None)
    _write_failures(destination / FAILURES, failures)
    control = state.rate_control
    state = replace(
        state,
        complete=True,
        rate_control=replace(control, used=total) if control else None,
        images=images,
        failed=len(failures),
        bytes=total,
        pixels=pixels,
        source_bytes=source_bytes,
    )
    write_state(destination, state)
    return state


def _write_failures(path: Path, failures: Sequence[tuple[str, Failure]]) -> None:
    if not failures:
        path.unlink(missing_ok=True)
        return
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", "kind", "message"])
    writer.writerows([key, failure.kind, failure.message] for key, failure in failures)
    write_atomically(path, text.getvalue())


def store_summary(state: State, *, done: int, skipped: int, failed: int) -> StoreSummary:
    """What a run did to the store that ``state`` describes."""
    return StoreSummary(
        done, skipped, failed, state.images, state.bytes, state.pixels, state.source_bytes
    )


def megabytes(count: int) -> str:
    """``12.3 MB`` (millions of bytes)."""
    return f"{count / 1e6:.1f} MB"
