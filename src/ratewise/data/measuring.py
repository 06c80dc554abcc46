"""What workers do while a store is fitted to a budget: encode an image at some rungs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from ratewise.codecs.budget_objective import BudgetObjective
from ratewise.codecs.curves import spread
from ratewise.codecs.ladder import Ladder
from ratewise.codecs.round_trip import round_trip
from ratewise.data.coding import Job, Task, keep_image, write_file
from ratewise.data.manifest import Record
from ratewise.data.measurements import Point, Tiles
from ratewise.data.sources import Loaded, Source
from ratewise.data.store import cached_codec
from ratewise.errors import CodecError
from ratewise.images import Image

_DEAR = 1.5
"""A step up whose gain per byte is under the price by this factor is the last one measured: the
price is an estimate, and what lies beyond takes the most bytes and time to encode."""


@dataclass(frozen=True)
class Scales:
    """What images are measured with; it travels to a worker once."""

    source: Source
    rungs: Ladder
    objective: BudgetObjective

    def point(self, image: Image, rung: int) -> Point:
        """Encode and decode an image at a rung."""
        data, decoded = round_trip(cached_codec(self.rungs.spec(rung)), image)
        return rung, len(data), self.objective.measure(image, decoded)


@dataclass(frozen=True)
class Scout:
    """Measure one image (the middle one of a source image's tiles) at ``most`` rungs.

    ``share`` is the source image's share of the budget in bytes: rungs whose bytes are far above
    it are left out.
    """

    task: Task
    share: float
    most: int


def scout(scales: Scales, item: Scout) -> Tiles:
    """The points of the image measured, in its place among the tiles; the others have none."""
    images = scales.source.load(item.task.entry).images
    middle = len(images) // 2
    points: list[Point] = []

    def measure(rung: int) -> float:
        points.append(scales.point(images[middle][1], rung))
        return points[-1][1]

    limit = 4 * item.share / len(images)
    spread(measure, len(scales.rungs), max(limit, 1.0), item.most)
    return [points if tile == middle else [] for tile in range(len(images))]


@dataclass(frozen=True)
class Survey:
    """Measure an image at ``samples``, upwards until bytes cost far more than ``price``.

    ``known`` is what a scout found already.
    """

    task: Task
    samples: tuple[int, ...]
    price: float
    known: Tiles | None


def survey(scales: Scales, item: Survey) -> Tiles:
    """The points of each image that the source image becomes, without those known."""
    images = scales.source.load(item.task.entry).images
    found: Tiles = []
    for tile, (_, image, _) in enumerate(images):
        known = {point[0]: point for point in item.known[tile]} if item.known else {}
        points: list[Point] = []
        before: Point | None = None
        for rung in item.samples:
            point = known.get(rung)
            if point is None:
                point = scales.point(image, rung)
                points.append(point)
            if before:
                cost, gain = point[1] - before[1], before[2] - point[2]
                if cost > 0 and gain / cost < item.price / _DEAR:
                    break
            before = point
        found.append(points)
    return found


@dataclass(frozen=True)
class Keep:
    """Put an image in the store at ``rungs``, one per tile; -1 leaves a tile as it is."""

    task: Task
    rungs: tuple[int, ...]


@dataclass(frozen=True)
class Restore:
    """Write files of a finished store again. ``lost`` says so per record of a source image."""

    task: Task
    records: tuple[Record, ...]
    lost: tuple[bool, ...]


def restore(job: Job, item: Restore) -> int:
    """Encode what is lost at the operating points of its records; how many images.

    Raises :class:`CodecError` where other bytes come out; nothing is written then.
    """
    loaded = job.source.load(item.task.entry)
    if len(loaded.images) != len(item.records):
        raise CodecError(f"{item.task.entry.key}: it becomes another number of images now")
    for index, record in enumerate(item.records):
        if not item.lost[index]:
            continue
        with TemporaryDirectory() as folder:
            apart = replace(job, destination=Path(folder), spec=record.codec)
            found, _ = keep_image(apart, item.task, loaded, index)
            if (found.sha256, found.mask_sha256) != (record.sha256, record.mask_sha256):
                raise CodecError(f"{item.task.entry.key} does not encode to {record.path} again")
            for name in filter(None, (record.path, record.mask)):
                write_file(job.destination / name, (Path(folder) / name).read_bytes())
    return sum(item.lost)


@dataclass(frozen=True)
class Writer:
    """What images are put in the store with; it travels to a worker once."""

    scales: Scales
    job: Job


def keep(writer: Writer, item: Keep) -> list[tuple[Record, Point] | None]:
    """The record of each tile that was written, and what was measured of it."""
    loaded = writer.scales.source.load(item.task.entry)
    if len(loaded.images) != len(item.rungs):
        raise CodecError(f"{item.task.entry.key}: the image changed while the store was made")
    kept: list[tuple[Record, Point] | None] = []
    try:
        for index, rung in enumerate(item.rungs):
            kept.append(_kept(writer, item.task, loaded, index, rung) if rung >= 0 else None)
    except BaseException:  # what the journal will not name is not left behind
        for record, _ in filter(None, kept):
            remove_files(writer.job.destination, record)
        raise
    return kept


def _kept(
    writer: Writer, task: Task, loaded: Loaded, index: int, rung: int
) -> tuple[Record, Point]:
    job = replace(writer.job, spec=writer.scales.rungs.spec(rung))
    record, decoded = keep_image(job, task, loaded, index)
    try:
        value = writer.scales.objective.measure(loaded.images[index][1], decoded)
    except BaseException:
        remove_files(job.destination, record)
        raise
    return record, (rung, record.bytes, value)


def remove_files(store: Path, record: Record) -> None:
    """Delete the files that ``record`` names."""
    for name in filter(None, (record.path, record.mask)):
        (store / name).unlink(missing_ok=True)
