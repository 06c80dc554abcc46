"""Coding the images of a store: loaded, encoded, decoded, scored and written, by workers.

Images of a codec that codes several faster than one are coded together; each still fails alone.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import islice, repeat, zip_longest
from pathlib import Path
from typing import TypeAlias, TypeVar

from ratewise.codecs.round_trip import round_trip, round_trips
from ratewise.data.manifest import Record
from ratewise.data.sources import Entry, Loaded, Source
from ratewise.data.store import cached_codec
from ratewise.errors import RatewiseError
from ratewise.execution import Failure, Resources, map_items
from ratewise.execution.mapping import call
from ratewise.files import sha256_bytes, write_atomically
from ratewise.images import Image, encode_png
from ratewise.metrics.distortion import psnr
from ratewise.metrics.rate import bits_per_pixel


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


@dataclass(frozen=True)
class Coded:
    """An image that was coded: its record, its bitstream, its mask's PNG and the decoded image."""

    record: Record
    data: bytes
    mask: bytes | None
    decoded: Image


def code_image(
    job: Job, task: Task, loaded: Loaded, index: int, trip: tuple[bytes, Image] | None = None
) -> Coded:
    """Encode, decode, score and hash one of the images that were loaded for ``task``.

    ``trip`` are its file and the decoded image where these are there already. Raises
    :class:`CodecError` if the codec cannot code it.
    """
    global _last_pixels
    codec, entry = cached_codec(job.spec), task.entry
    suffix, image, mask = loaded.images[index]
    data, decoded = trip or round_trip(codec, image)
    mask_path = png = None
    if mask is not None and task.mask_name is not None:
        mask_path, png = task.mask_name + suffix + ".png", encode_png(mask)
    height, width = image.shape[:2]
    record = Record(
        key=_with_suffix(entry.key, suffix),
        path=task.name + suffix + codec.suffix,
        mask=mask_path,
        group=entry.group,
        width=width,
        height=height,
        bytes=len(data),
        bpp=bits_per_pixel(len(data), height, width),
        psnr=psnr(image, decoded),
        sha256=sha256_bytes(data),
        mask_sha256=None if png is None else sha256_bytes(png),
        codec=job.spec,
        versions=job.versions,
        source=entry.key,
        source_format=loaded.format,
        source_bytes=entry.size or 0,
        label=entry.label,
    )
    _last_pixels = (loaded, decoded)
    return Coded(record, data, png, decoded)


def keep_image(
    job: Job, task: Task, loaded: Loaded, index: int, trip: tuple[bytes, Image] | None = None
) -> tuple[Record, Image]:
    """:func:`code_image`, and the files written: the record and the decoded image.

    Raises :class:`CannotWriteError` if the folder cannot take them.
    """
    coded = code_image(job, task, loaded, index, trip)
    write_file(job.destination / coded.record.path, coded.data)
    if coded.record.mask is not None and coded.mask is not None:
        write_file(job.destination / coded.record.mask, coded.mask)
    return coded.record, coded.decoded


def _compress_one(job: Job, task: Task) -> list[Record]:
    """The records of an image (or of its tiles) once they are in the store."""
    return _keep_all(job, task, job.source.load(task.entry))


Trips: TypeAlias = Sequence["tuple[bytes, Image] | None"]
"""The file of each image and the decoded image, where it was coded already."""


def _keep_all(job: Job, task: Task, loaded: Loaded, trips: Trips = ()) -> list[Record]:
    pairs = zip_longest(range(len(loaded.images)), trips)
    return [keep_image(job, task, loaded, index, trip)[0] for index, trip in pairs]


Result = tuple[list[Record] | None, Failure | None]
"""The records of a task, or why it has none."""

T = TypeVar("T")


def coded_together(
    job: Job, tasks: Sequence[Task], use: Callable[[Task, Loaded, Trips], T]
) -> list[tuple[T | None, Failure | None]]:
    """What ``use`` makes of tasks whose images are coded together, or why it does not."""
    loaded = [call(job.source.load, None, task.entry) for task in tasks]
    images = [image for one, _ in loaded if one for _, image, _ in one.images]
    trips: Iterator[tuple[bytes, Image] | None]
    if cached_codec(job.spec).batch_size == 1:
        trips = repeat(None)
    else:
        found, failure = call(partial(round_trips, cached_codec(job.spec)), None, images)
        # Of one image: each by itself then, so that it alone fails.
        trips = repeat(None) if failure else iter(found or [])
    results = list[tuple[T | None, Failure | None]]()
    for task, (one, why) in zip(tasks, loaded, strict=True):
        if one is None:
            results.append((None, why))
            continue
        results.append(call(partial(use, task, one), None, list(islice(trips, len(one.images)))))
    return results


def _compress_batch(job: Job, tasks: Sequence[Task]) -> list[Result]:
    """The results of tasks whose images are coded together."""
    return coded_together(job, tasks, partial(_keep_all, job))


def stored(
    job: Job, work: Sequence[Task], resources: Resources
) -> Generator[tuple[Task, Result], None, None]:
    """Each task with its result, in order: loaded, coded and written by workers."""
    most = cached_codec(job.spec).batch_size
    if most == 1:
        yield from _stored_alone(job, work, resources)
        return
    size = max(1, min(most, len(work) // (2 * resources.processes)))
    chunks = [work[start : start + size] for start in range(0, len(work), size)]
    with closing(map_items(_compress_batch, chunks, resources, context=job)) as batches:
        for batch in batches:
            if batch.failure:  # its process died
                yield from _stored_alone(job, batch.item, resources)
            else:
                yield from zip(batch.item, batch.value or [], strict=True)


def _stored_alone(
    job: Job, work: Sequence[Task], resources: Resources
) -> Iterator[tuple[Task, Result]]:
    with closing(map_items(_compress_one, work, resources, context=job)) as outcomes:
        for one in outcomes:
            yield one.item, (one.value, one.failure)


def _with_suffix(key: str, suffix: str) -> str:
    """``a/b.png`` and ``_r0_c1`` make ``a/b_r0_c1.png``."""
    if not suffix:
        return key
    path = Path(key)
    return str(path.with_name(path.stem + suffix + path.suffix).as_posix())
