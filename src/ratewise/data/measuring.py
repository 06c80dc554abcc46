"""What workers do while the rates of a store are chosen: encode an image at some rungs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from ratewise.codecs.budget_objective import Objective, finite
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

_WOBBLY = 10.0
"""The same where a distortion need not fall: a price from a few such curves is a rough estimate."""


@dataclass(frozen=True)
class Scales:
    """What images are measured with; it travels to a worker once."""

    source: Source
    rungs: Ladder
    objective: Objective

    def points(self, image: Image, rungs: Sequence[int]) -> list[Point]:
        """Encode and decode an image at some rungs, and measure the results together."""
        trips = [round_trip(cached_codec(self.rungs.spec(rung)), image) for rung in rungs]
        values = finite(self.objective, image, [decoded for _, decoded in trips])
        sizes = [len(data) for data, _ in trips]
        return list(zip(rungs, sizes, values, strict=True))


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
    image, objective = images[middle][1], scales.objective
    points: list[Point] = []
    waiting: list[tuple[int, int, Image]] = []

    def measure_waiting() -> None:
        values = finite(objective, image, [decoded for _, _, decoded in waiting])
        points.extend((*trip[:2], value) for trip, value in zip(waiting, values, strict=True))
        waiting.clear()

    def size(rung: int) -> float:
        data, decoded = round_trip(cached_codec(scales.rungs.spec(rung)), image)
        waiting.append((rung, len(data), decoded))
        if len(waiting) == objective.batch:
            measure_waiting()
        return len(data)

    limit = 4 * item.share / len(images)
    spread(size, len(scales.rungs), max(limit, 1.0), item.most)
    measure_waiting()
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
        so_far: list[Point] = []
        for group in _groups(item.samples, scales.objective.batch):
            new = scales.points(image, [rung for rung in group if rung not in known])
            points += new
            measured = known | {point[0]: point for point in new}
            so_far += [measured[rung] for rung in group]
            if _enough(so_far, item.price, scales.objective):
                break
        found.append(points)
    return found


def _groups(rungs: Sequence[int], size: int) -> list[Sequence[int]]:
    return [rungs[start : start + size] for start in range(0, len(rungs), size)]


def _enough(points: Sequence[Point], price: float, objective: Objective) -> bool:
    """Whether what lies above these points of an image costs more than it can be worth."""
    if objective.monotone:
        if len(points) < 2:
            return False
        before, last = points[-2:]
        cost, gain = last[1] - before[1], before[2] - last[2]
        return cost > 0 and gain / cost < price / _DEAR
    # Nothing is below 0, so what has the bytes of the last point costs at least those.
    price /= _WOBBLY
    least = min(distortion + price * size for _, size, distortion in points)
    return objective.positive and price * points[-1][1] > least


@dataclass(frozen=True)
class Extra:
    """Measure the images that a source image becomes at ``rungs``, those of each one's own."""

    task: Task
    rungs: tuple[tuple[int, ...], ...]


def extra(scales: Scales, item: Extra) -> Tiles:
    """The points of each image."""
    images = scales.source.load(item.task.entry).images
    if len(images) != len(item.rungs):
        raise CodecError(f"{item.task.entry.key}: the image changed while the store was made")
    return [
        scales.points(image, rungs) for (_, image, _), rungs in zip(images, item.rungs, strict=True)
    ]


@dataclass(frozen=True)
class Sweep:
    """Measure an image at ``rungs``, upwards until its distortion is at most ``limit``."""

    task: Task
    rungs: tuple[int, ...]
    limit: float


def sweep(scales: Scales, item: Sweep) -> Tiles:
    """The points of each image that the source image becomes."""
    images = scales.source.load(item.task.entry).images
    found: Tiles = []
    for _, image, _ in images:
        points: list[Point] = []
        for group in _groups(item.rungs, scales.objective.batch):
            points += scales.points(image, group)
            if min(distortion for _, _, distortion in points) <= item.limit:
                break
        found.append(points)
    return found


@dataclass(frozen=True)
class Keep:
    """Put an image in the store at ``rungs``, one per tile; -1 leaves a tile as it is.

    ``measured``: whether its distortion is wanted too (NaN else).
    """

    task: Task
    rungs: tuple[int, ...]
    measured: bool = True


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
            kept.append(_kept(writer, item, loaded, index, rung) if rung >= 0 else None)
    except BaseException:  # what the journal will not name is not left behind
        for record, _ in filter(None, kept):
            remove_files(writer.job.destination, record)
        raise
    return kept


def _kept(
    writer: Writer, item: Keep, loaded: Loaded, index: int, rung: int
) -> tuple[Record, Point]:
    job = replace(writer.job, spec=writer.scales.rungs.spec(rung))
    record, decoded = keep_image(job, item.task, loaded, index)
    if not item.measured:
        return record, (rung, record.bytes, math.nan)
    try:
        value = finite(writer.scales.objective, loaded.images[index][1], [decoded])[0]
    except BaseException:
        remove_files(job.destination, record)
        raise
    return record, (rung, record.bytes, value)


def remove_files(store: Path, record: Record) -> None:
    """Delete the files that ``record`` names."""
    for name in filter(None, (record.path, record.mask)):
        (store / name).unlink(missing_ok=True)
