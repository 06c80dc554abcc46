"""Making a store of shards: each shard is made whole by one worker, or again.

Beside ``shards/000123.tar`` lie its records, ``000123.parquet``, and, written last, what it was
made of, ``000123.json``. So a run that was stopped goes on with the shards that have none, on a
disk as at an address, and no process ever holds the records of more than one shard.

A plain store at an address, where nothing can be added to a journal, is made in the same way: its
files are where they belong, and ``parts/000123.parquet`` and ``.json`` take the journal's place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from ratewise import codecs
from ratewise.data.coding import CannotWriteError, Job, Task, Trips, code_image, coded_together
from ratewise.data.compress import StoreSummary, store_summary, write_finished
from ratewise.data.destination import begin_state, check_apart, check_destination, is_lost
from ratewise.data.manifest import MANIFEST, Record, iterate_manifest, write_manifest
from ratewise.data.naming import assign_names
from ratewise.data.shards import FOLDER, Sample, shard_name, write_files, write_shard
from ratewise.data.sources import Entry, Loaded, Source
from ratewise.data.store import cached_codec, versions_json, write_state
from ratewise.errors import InputError, PlaceError, RatewiseError
from ratewise.execution import Failure, Resources, map_items, progress
from ratewise.execution.locks import lock
from ratewise.files import fingerprint, is_local, read_json, write_json

SHARD_IMAGES = 1000
_PARTS, _PART_IMAGES = "parts", 100
_LOOKS_AT_ONCE = 16
_TOGETHER = 32
"""Images that are loaded at a time, for codecs that code several faster than one."""


@dataclass(frozen=True)
class Place:
    """Where shards, or the parts of a plain store, are noted: ``folder`` of ``store``."""

    store: Path
    folder: str

    @property
    def shards(self) -> bool:
        """Whether images go into tar files; else each is a file of its own."""
        return self.folder == FOLDER

    def name(self, number: int) -> str:
        """What a shard or part is called."""
        return f"{self.folder}/{number:06d}"

    def beside(self, number: int, ending: str) -> Path:
        """The file of a shard or part with this ending."""
        return self.store / f"{self.name(number)}.{ending}"

    def size_of(self, number: int) -> int:
        """The bytes of a shard's tar file."""
        return self.beside(number, "tar").stat().st_size


@dataclass(frozen=True)
class Shard:
    """A shard to make: its number, and its tasks, the first of which has the number ``first``."""

    number: int
    first: int
    tasks: tuple[Task, ...]

    @property
    def digest(self) -> str:
        """What it is made of."""
        return fingerprint([[t.entry.key, t.entry.size, t.entry.label] for t in self.tasks])


def compress_shards(
    source: Source,
    destination: Path,
    codec_spec: str,
    *,
    shard_images: int = SHARD_IMAGES,
    resources: Resources = Resources(),
    quiet: bool = True,
) -> StoreSummary:
    """Encode the images of ``source`` into a store of shards, ``shard_images`` of them in each.

    ``destination`` is a folder or an address. A run that was stopped goes on where it was; shards
    whose images changed, failed or are gone are made again. Raises :class:`InputError` before any
    work as :func:`ratewise.data.compress.compress_store` does.
    """
    if shard_images < 1:
        raise InputError(f"{shard_images} images per shard: must be 1 or more")
    place = Place(destination, FOLDER)
    return _compress(source, place, codec_spec, shard_images, resources, quiet)


def compress_parts(
    source: Source,
    destination: Path,
    codec_spec: str,
    *,
    resources: Resources = Resources(),
    quiet: bool = True,
) -> StoreSummary:
    """Encode the images of ``source`` into a plain store at an address, in parts.

    As :func:`compress_shards`, but for what becomes of the images. No lock can be held there: two
    processes must not write one store. Raises :class:`InputError` for a folder, which
    :func:`ratewise.data.compress.compress_store` writes.
    """
    if is_local(destination):
        raise InputError(f"{destination}: is no address")
    return _compress(source, Place(destination, _PARTS), codec_spec, _PART_IMAGES, resources, quiet)


def _compress(
    source: Source,
    place: Place,
    codec_spec: str,
    size: int,
    resources: Resources,
    quiet: bool,
) -> StoreSummary:
    codec, destination = codecs.codec(codec_spec), place.store
    check_apart(source.root, destination)
    state = replace(begin_state(source, codec), shard_images=size if place.shards else None)
    earlier = check_destination(destination, state)
    entries = source.entries()
    if not entries:
        raise InputError(f"{source.root or 'the source'}: no images found")
    shards = list(shards_of(entries, codec.suffix, size))
    with ExitStack() as held:
        if is_local(destination):
            held.enter_context(_alone(destination))
        todo = shards
        if earlier:  # else there is nothing to look for, which at an address takes its time
            keys = {entry.key for entry in entries}
            if earlier.complete and not place.shards:  # perhaps one that was copied there
                _check_gone(place, keys, [destination / MANIFEST])
            todo = _not_made(place, shards)
            _check_kept(place, keys, todo, shards)
        if earlier and earlier.complete and not todo:
            return store_summary(earlier, done=0, skipped=len(entries), failed=0)
        source.check([t.entry for s in todo for t in s.tasks], resources, quiet=quiet)
        try:
            write_state(destination, state)
        except OSError as error:
            raise InputError(f"{destination}: cannot be written ({error.strerror})") from None
        job = Job(source, destination, codec.spec, versions_json(dict(codec.versions)))
        _make(_Work(job, place), todo, len(entries), resources, quiet)
        failures = _failures(place, shards)
        state = write_finished(destination, state, _records(place, shards), failures)
    tried, failed = sum(len(shard.tasks) for shard in todo), len(failures)
    return store_summary(state, done=tried - failed, skipped=len(entries) - tried, failed=failed)


def shards_of(entries: Sequence[Entry], suffix: str, size: int) -> Iterator[Shard]:
    """The shards of a source's images, ``size`` of them in each."""
    names = assign_names(entries, suffix)
    for number, first in enumerate(range(0, len(entries), size)):
        pairs = zip(entries[first : first + size], names[first : first + size], strict=True)
        yield Shard(number, first, tuple(Task(entry, *name) for entry, name in pairs))


def _alone(destination: Path) -> Any:
    folder = destination / FOLDER  # a plain store on a disk has a journal, which is locked
    folder.mkdir(parents=True, exist_ok=True)
    file = (folder / ".lock").open("a+b")
    try:
        lock(file)
    except OSError:
        file.close()
        raise InputError(f"{destination}: another process is writing this store") from None
    return closing(file)


def _read_mark(place: Place, number: int) -> dict[str, Any] | None:
    """What a shard says it was made of; None if it is not finished."""
    try:
        value = read_json(place.beside(number, "json"))
        return value if isinstance(value, dict) else None
    except (OSError, ValueError):
        return None


def _is_made(place: Place, shard: Shard) -> bool:
    """Whether a shard is there, of these images and without failures. A look, no reading."""
    mark = _read_mark(place, shard.number)
    if mark is None or mark.get("digest") != shard.digest or mark.get("failures"):
        return False
    records = place.beside(shard.number, "parquet")
    if not place.shards:
        return records.is_file() and not any(
            is_lost(place.store, record) for record in iterate_manifest(records)
        )
    try:
        return place.size_of(shard.number) == mark.get("tar_bytes") and records.is_file()
    except OSError:
        return False


def _not_made(place: Place, shards: Sequence[Shard]) -> list[Shard]:
    """The shards that must be made; several are looked at at once, which counts at an address."""
    with ThreadPoolExecutor(_LOOKS_AT_ONCE) as pool:
        made = pool.map(partial(_is_made, place), shards)
        return [shard for shard, is_made in zip(shards, made, strict=True) if not is_made]


def _check_kept(
    place: Place, keys: set[str], todo: Sequence[Shard], shards: Sequence[Shard]
) -> None:
    """Raise :class:`InputError` if the store has images that the source has no more."""
    numbers = [shard.number for shard in todo]
    beyond = len(shards)
    while place.beside(beyond, "json").is_file():
        numbers.append(beyond)
        beyond += 1
    noted = [place.beside(number, "parquet") for number in numbers]
    _check_gone(place, keys, [one for one in noted if one.is_file()])


def _check_gone(place: Place, keys: set[str], manifests: Sequence[Path]) -> None:
    """Raise :class:`InputError` if one of ``manifests`` has an image that is none of ``keys``."""
    gone = [
        record.source
        for manifest in manifests
        for record in iterate_manifest(manifest)
        if record.source not in keys
    ]
    if gone:
        raise InputError(
            f"{place.store}: holds images that the source has no more ({len(set(gone))}, such as "
            f"{gone[0]}); make a new store"
        )


@dataclass(frozen=True)
class _Work:
    """What a worker needs to make shards."""

    job: Job
    place: Place


def _make(
    work: _Work, todo: Sequence[Shard], total: int, resources: Resources, quiet: bool
) -> None:
    """Have every shard made; RatewiseError names one that cannot be."""
    skipped = total - sum(len(shard.tasks) for shard in todo)
    with (
        progress(f"compress {work.job.spec}", total, initial=skipped, quiet=quiet) as bar,
        closing(map_items(_make_shard, todo, resources, context=work)) as outcomes,
    ):
        for outcome in outcomes:
            if outcome.failure:
                full = outcome.failure.kind == CannotWriteError.__name__
                raise (PlaceError if full else RatewiseError)(
                    f"{work.place.name(outcome.item.number)}: {outcome.failure.message}; run the "
                    f"same command again to go on"
                )
            bar.advance(len(outcome.item.tasks))


def _make_shard(work: _Work, shard: Shard) -> None:
    """Make a shard, unless a worker that died since has made it."""
    job, place, number = work.job, work.place, shard.number
    if _is_made(place, shard):
        return
    place.beside(number, "json").unlink(missing_ok=True)  # what is written now is not that
    failures: list[tuple[str, Failure]] = []
    labels = {label: number for number, label in enumerate(job.source.labels or ())}
    samples = _samples(job, shard, labels, failures)
    try:
        if place.shards:
            name = shard_name(number)
            records = write_shard(place.store / name, name, samples)
        else:
            records = write_files(place.store, samples)
        write_manifest(place.beside(number, "parquet"), records, shards=place.shards)
        mark = {
            "digest": shard.digest,
            "tar_bytes": place.size_of(number) if place.shards else None,
            "images": len(records),
            "failures": [[key, one.kind, one.message] for key, one in failures],
        }
        write_json(place.beside(number, "json"), mark)
    except OSError as error:
        raise CannotWriteError(
            f"{job.destination}: cannot be written ({error.strerror or error})"
        ) from None


def _samples(
    job: Job, shard: Shard, labels: dict[str, int], failures: list[tuple[str, Failure]]
) -> Iterator[Sample]:
    """The samples of a shard, made as they are written; what fails is added to ``failures``."""
    numbers = {task.entry.key: shard.first + i for i, task in enumerate(shard.tasks)}
    suffix = cached_codec(job.spec).suffix

    def made(task: Task, loaded: Loaded, trips: Trips) -> list[Sample]:
        found = []
        for index, trip in enumerate(trips):
            coded = code_image(job, task, loaded, index, trip)
            name = f"{numbers[task.entry.key]:09d}{loaded.images[index][0]}"
            label = None if coded.record.label is None else labels[coded.record.label]
            found.append(Sample(name, suffix, coded.record, coded.data, coded.mask, label))
        return found

    together = min(_TOGETHER, cached_codec(job.spec).batch_size)
    tasks = iter(shard.tasks)
    while some := list(islice(tasks, together)):
        for task, (samples, failure) in zip(some, coded_together(job, some, made), strict=True):
            if failure:
                failures.append((task.entry.key, failure))
            yield from samples or ()


def _records(place: Place, shards: Sequence[Shard]) -> Iterator[Record]:
    """The records of all shards, those of one at a time."""
    for shard in shards:
        yield from iterate_manifest(place.beside(shard.number, "parquet"))


def _failures(place: Place, shards: Sequence[Shard]) -> list[tuple[str, Failure]]:
    """What failed in any shard."""
    return [
        (key, Failure(kind, message))
        for shard in shards
        for key, kind, message in (_read_mark(place, shard.number) or {})["failures"]
    ]
