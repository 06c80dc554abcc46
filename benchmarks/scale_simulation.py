"""What 10 million images would take on 1 to 256 workers: arithmetic on costs measured here.

    python benchmarks/scale_simulation.py

Measured in this run, with one worker: the seconds of each image (read, encode, decode, score, put
in a shard), its bytes in and out, the seconds that the driver takes to hand out one shard and note
it, and those that the driver takes per image to list the source and merge the manifest. Assumed,
and an option each: what the storage delivers to all workers together, how long a worker takes to
start, and by how much machines differ.

A worker takes the next shard when it is free. The time of a shard is the sum of the times of its
images, drawn from those measured, divided by the speed of its worker; where all workers together
would read and write faster than the storage, everything is slowed to what it delivers. The driver
does its part alone: the listing before, shards one after the other, the manifest after. What limits
a number of workers is what takes longest: `work` (they are busy, and twice as many would take half
the time), `storage`, `driver`, or `stragglers` (some wait for the last shards).
"""

from __future__ import annotations

import argparse
import heapq
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ratewise.data.sharding import compress_shards
from ratewise.data.sources import FolderSource
from ratewise.execution import Resources, map_items
from ratewise.images import write_png

WORKERS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


@dataclass(frozen=True)
class Costs:
    """What was measured."""

    image_seconds: np.ndarray[Any, Any]
    bytes_in: float
    bytes_out: float
    shard_seconds: float
    """Of the driver, for each shard."""
    listing_seconds: float
    """Of the driver, for each image: listing before and manifest after."""


class _Timed(FolderSource):
    """A source that notes when each image was asked for."""

    def load(self, entry: Any) -> Any:
        STARTS.append(time.perf_counter())
        return super().load(entry)


STARTS: list[float] = []


def _nothing(item: int) -> None:
    return None


def measured(images: int) -> Costs:
    """The costs of this machine for pictures of 480x360 with JPEG at quality 50."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number in range(images):
            detail = int(rng.integers(2, 24))
            coarse = rng.integers(0, 256, (-(-360 // detail), -(-480 // detail), 3), np.uint8)
            big = np.kron(coarse, np.ones((detail, detail, 1), np.uint8))[:360, :480]
            write_png(folder / "in" / f"{number:05d}.png", big)
        STARTS.clear()
        source = _Timed(folder / "in")
        started = time.perf_counter()
        summary = compress_shards(source, folder / "out", "jpeg:quality=50", shard_images=100)
        ended = time.perf_counter()
        seconds = np.diff([*STARTS, ended])
        # What comes before the first image, and a run that finds all done, are the driver's.
        started_again = time.perf_counter()
        compress_shards(source, folder / "out", "jpeg:quality=50", shard_images=100)
        listing = (STARTS[0] - started + time.perf_counter() - started_again) / images
    count = 2000
    begun = time.perf_counter()
    for _ in map_items(_nothing, range(count), Resources(2)):
        pass
    per_item = (time.perf_counter() - begun) / count
    return Costs(
        np.sort(seconds)[: int(0.98 * images)],  # the ends of shards are no image's
        summary.source_bytes / images,
        summary.bytes / images,
        per_item * 32,  # a chunk of items costs at most what its items do one by one
        listing,
    )


@dataclass(frozen=True)
class Cluster:
    """What is assumed of the machines."""

    bandwidth: float
    """Bytes per second that the storage delivers, to all workers together."""
    start_seconds: float
    spread: float
    """Standard deviation of the logarithm of a worker's speed."""


def simulated(
    costs: Costs, cluster: Cluster, images: int, per_shard: int, workers: int
) -> tuple[float, float, str]:
    """Hours, the share of the workers' time that is work, and what limits them."""
    rng = np.random.default_rng(workers)
    shards = -(-images // per_shard)
    mean, deviation = costs.image_seconds.mean(), costs.image_seconds.std()
    work = rng.normal(mean * per_shard, deviation * np.sqrt(per_shard), shards)
    speeds = np.exp(rng.normal(0, cluster.spread, workers))
    free = [(cluster.start_seconds, worker) for worker in range(workers)]
    heapq.heapify(free)
    busy, handed = 0.0, 0.0
    for seconds in work:
        start, worker = heapq.heappop(free)
        handed = max(handed, start) + costs.shard_seconds  # the driver hands out one at a time
        busy += seconds / speeds[worker]
        heapq.heappush(free, (handed + seconds / speeds[worker], worker))
    ends = sorted(end for end, _ in free)
    moved = images * (costs.bytes_in + costs.bytes_out) / cluster.bandwidth
    driver = images * costs.listing_seconds
    whole = driver + max(ends[-1], moved)
    idle = sum(ends[-1] - end for end in ends) / workers
    parts = {
        "work": busy / workers,
        "storage": max(0.0, moved - ends[-1]) + (moved if moved > ends[-1] else 0.0),
        "driver": driver + shards * costs.shard_seconds,
        "stragglers": idle + cluster.start_seconds,
    }
    return whole / 3600, busy / workers / whole, max(parts, key=lambda name: parts[name])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=10_000_000)
    parser.add_argument("--shard-images", type=int, default=1000)
    parser.add_argument("--bandwidth", type=float, default=1.25, help="GB/s of the storage")
    parser.add_argument("--start", type=float, default=30.0, help="seconds until a worker works")
    parser.add_argument("--spread", type=float, default=0.1, help="of the workers' speeds, log")
    parser.add_argument("--measured", type=int, default=400, help="images to measure with")
    options = parser.parse_args()
    costs = measured(options.measured)
    cluster = Cluster(options.bandwidth * 1e9, options.start, options.spread)
    print(
        f"measured: {1000 * costs.image_seconds.mean():.2f} ms an image (deviation "
        f"{1000 * costs.image_seconds.std():.2f}), {costs.bytes_in / 1e3:.1f} kB in and "
        f"{costs.bytes_out / 1e3:.1f} kB out, driver {1000 * costs.shard_seconds:.2f} ms a shard "
        f"and {1e6 * costs.listing_seconds:.0f} us an image"
    )
    print(
        f"assumed: {options.bandwidth:g} GB/s of storage, {options.start:g} s to start a worker, "
        f"speeds that differ by {100 * options.spread:g} %; {options.images:,} images in shards of "
        f"{options.shard_images:,}"
    )
    print("\n| workers | hours | images/s | speed-up | workers busy | limited by |")
    print("| --: | --: | --: | --: | --: | :-- |")
    first = None
    for workers in WORKERS:
        hours, busy, limit = simulated(
            costs, cluster, options.images, options.shard_images, workers
        )
        first = first or hours
        rate = options.images / hours / 3600
        print(
            f"| {workers} | {hours:.2f} | {rate:,.0f} | {first / hours:.1f} | {100 * busy:.0f} % | "
            f"{limit} |"
        )


if __name__ == "__main__":
    main()
