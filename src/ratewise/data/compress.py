"""Making a store: encode every image of a source, go on where an earlier run stopped."""

from __future__ import annotations

import csv
import io
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import islice, zip_longest
from pathlib import Path

from ratewise import codecs
from ratewise.codecs.round_trip import round_trip, round_trips
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
from ratewise.data.sources import Entry, Loaded, Source
from ratewise.data.store import (
    FAILURES,
    STATE,
    State,
    cached_codec,
    versions_json,
)
from ratewise.errors import InputError, RatewiseError
from ratewise.execution import Failure, Resources, map_items, progress
from ratewise.execution.mapping import call
from ratewise.files import sha256_bytes, write_atomically, write_json
from ratewise.images import Image, encode_png
from ratewise.metrics.distortion import psnr
from ratewise.metrics.rate import bits_per_pixel

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
            write_json(destination / STATE, asdict(state))
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


@dataclass(frozen=True)
class Job:
    """What every image needs to be stored; it travels to a worker once."""

    source: Source
    destination: Path
    spec: str
    versions: str


@dataclass(frozen=True, slots=True)
class Task:
    """An image, and the names of its files without suffix (and without a tile's)."""

    entry: Entry
    name: str
    mask_name: str | None


# The pixels of the last image. With all of an image's memory freed at once, the allocator gives it
# back to the system after each image and asks for it again: 800 page faults, a tenth of the time.
_last_pixels: object = None


class CannotWriteError(RatewiseError):
    """Not the image's fault, so the run must stop: the disk is full, or gone."""


def write_file(path: Path, data: bytes) -> None:
    """Write a file of a store; CannotWriteError if the folder cannot take it."""
    try:
        write_atomically(path, data)
    except OSError as error:
        raise CannotWriteError(f"{path}: cannot be written ({error.strerror})") from None


def keep_image(
    job: Job, task: Task, loaded: Loaded, index: int, trip: tuple[bytes, Image] | None = None
) -> tuple[Record, Image]:
    """Encode, decode, score, hash and write one of the images that were loaded for ``task``.

    ``trip`` are its file and the decoded image where these are there already. Gives its record
    and the decoded image. Raises :class:`CodecError` if the codec cannot code
    it, :class:`CannotWriteError` if the folder cannot take it.
    """
    global _last_pixels
    codec, entry = cached_codec(job.spec), task.entry
    suffix, image, mask = loaded.images[index]
    data, decoded = trip or round_trip(codec, image)
    path = task.name + suffix + codec.suffix
    write_file(job.destination / path, data)
    mask_path = mask_sha256 = None
    if mask is not None and task.mask_name is not None:
        mask_path, png = task.mask_name + suffix + ".png", encode_png(mask)
        write_file(job.destination / mask_path, png)
        mask_sha256 = sha256_bytes(png)
    height, width = image.shape[:2]
    record = Record(
        key=_with_suffix(entry.key, suffix),
        path=path,
        mask=mask_path,
        group=entry.group,
        width=width,
        height=height,
        bytes=len(data),
        bpp=bits_per_pixel(len(data), height, width),
        psnr=psnr(image, decoded),
        sha256=sha256_bytes(data),
        mask_sha256=mask_sha256,
        codec=job.spec,
        versions=job.versions,
        source=entry.key,
        source_format=loaded.format,
        source_bytes=entry.size or 0,
    )
    _last_pixels = (loaded, decoded)
    return record, decoded


def _compress_one(job: Job, task: Task) -> list[Record]:
    """The records of an image (or of its tiles) once they are in the store."""
    return _keep_all(job, task, job.source.load(task.entry))


def _keep_all(
    job: Job, task: Task, loaded: Loaded, trips: Sequence[tuple[bytes, Image] | None] = ()
) -> list[Record]:
    pairs = zip_longest(range(len(loaded.images)), trips)
    return [keep_image(job, task, loaded, index, trip)[0] for index, trip in pairs]


_Result = tuple[list[Record] | None, Failure | None]
"""The records of a task, or why it has none."""


def _compress_batch(job: Job, tasks: Sequence[Task]) -> list[_Result]:
    """The results of tasks whose images are coded together."""
    loaded = [call(job.source.load, None, task.entry) for task in tasks]
    images = [image for one, _ in loaded if one for _, image, _ in one.images]
    trips, failure = call(partial(round_trips, cached_codec(job.spec)), None, images)
    if failure:  # of one image: each by itself then, so that it alone fails
        return [call(_compress_one, job, task) for task in tasks]
    coded, results = iter(trips or []), list[_Result]()
    for task, (one, why) in zip(tasks, loaded, strict=True):
        if one is None:
            results.append((None, why))
            continue
        own = list(islice(coded, len(one.images)))
        results.append(call(partial(_keep_all, job, task, one), None, own))
    return results


def _results(
    job: Job, work: Sequence[Task], resources: Resources
) -> Generator[tuple[Task, _Result], None, None]:
    """Each task with its result, in order."""
    most = cached_codec(job.spec).batch_size
    if most == 1:
        yield from _results_alone(job, work, resources)
        return
    size = max(1, min(most, len(work) // (2 * resources.processes)))
    chunks = [work[start : start + size] for start in range(0, len(work), size)]
    with closing(map_items(_compress_batch, chunks, resources, context=job)) as batches:
        for batch in batches:
            if batch.failure:  # its process died
                yield from _results_alone(job, batch.item, resources)
            else:
                yield from zip(batch.item, batch.value or [], strict=True)


def _results_alone(
    job: Job, work: Sequence[Task], resources: Resources
) -> Iterator[tuple[Task, _Result]]:
    with closing(map_items(_compress_one, work, resources, context=job)) as outcomes:
        for one in outcomes:
            yield one.item, (one.value, one.failure)


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
        closing(_results(job, work, resources)) as results,
    ):
        for task, (records, failure) in results:
            entry = task.entry
            if failure and failure.kind == CannotWriteError.__name__:
                raise RatewiseError(f"{failure.message}; run the same command again to go on")
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
    images = total = pixels = source_bytes = 0
    last = None

    def counted() -> Iterator[Record]:
        nonlocal images, total, pixels, source_bytes, last
        for record in journal.records(entry.key for entry in entries):
            images, total = images + 1, total + record.bytes
            pixels += record.width * record.height
            source_bytes += record.source_bytes if record.source != last else 0  # tiles share it
            last = record.source
            yield record

    write_manifest(destination / MANIFEST, counted())
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
    write_json(destination / STATE, asdict(state))
    return state


def _write_failures(path: Path, failures: list[tuple[str, Failure]]) -> None:
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


def _with_suffix(key: str, suffix: str) -> str:
    """``a/b.png`` and ``_r0_c1`` make ``a/b_r0_c1.png``."""
    if not suffix:
        return key
    path = Path(key)
    return str(path.with_name(path.stem + suffix + path.suffix).as_posix())


def megabytes(count: int) -> str:
    """``12.3 MB`` (millions of bytes)."""
    return f"{count / 1e6:.1f} MB"
