"""What running at scale costs: the Ray engine, memory of workers, overhead of stages, plans.

    python benchmarks/scale.py                   # all of it, about two minutes on two cores
    python benchmarks/scale.py engines memory    # some of it

- ``engines``: 2,000 JPEG encodes of 480x360 by two workers, on Ray over the local engine; rounds
  alternate, and the median ratio counts (limit 1.15). The start of Ray, and of the workers up to
  the first image, are printed apart.
- ``memory``: the most memory that a worker of either engine ever had, after 20,000 images over
  after 1,000 (limit 1.05).
- ``listing``: what the process that hands out shards has for each of a million files (no limit).
- ``stages``: seconds that a stage takes beside its own work, over 50 ms (limit 1).
- ``plan``: seconds to build a plan of 10,000 stages and check it against a cache, over 5 s
  (limit 1).

Exit code 1 if a limit is exceeded.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ratewise import codecs
from ratewise.execution import Resources, map_items

ROUNDS, ENCODES, WORKERS = 3, 2000, 2
LOCAL, RAY = Resources(WORKERS), Resources(WORKERS, "ray")


def picture(seed: int) -> np.ndarray[Any, Any]:
    """480x360 pixels with edges and a little noise."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (45, 60, 3), np.uint8)
    smooth = np.kron(coarse, np.ones((8, 8, 1), np.uint8)).astype(np.int16)
    return np.clip(smooth + rng.integers(-9, 9, smooth.shape), 0, 255).astype(np.uint8)


def encode(pictures: list[np.ndarray[Any, Any]], index: int) -> tuple[int, int]:
    """The size of a picture's file, and the most kB that this process ever had."""
    data = codecs.codec("jpeg:quality=50").encode(pictures[index % len(pictures)])
    return len(data), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@dataclass(frozen=True)
class Mapped:
    """Seconds until the first encode was there, seconds from then on, the largest memory of a
    worker in kB, and the sizes."""

    start: float
    seconds: float
    memory: int
    sizes: list[int]


def mapped(resources: Resources, count: int) -> Mapped:
    """What ``count`` encodes take."""
    pictures = [picture(seed) for seed in range(8)]
    begun = first = time.perf_counter()
    most, sizes = 0, list[int]()
    for outcome in map_items(encode, range(count), resources, context=pictures):
        assert outcome.value is not None, outcome.failure
        first = first if sizes else time.perf_counter()
        sizes.append(outcome.value[0])
        most = max(most, outcome.value[1])
    return Mapped(first - begun, time.perf_counter() - first, most, sizes)


def engines() -> float:
    from ratewise.execution.cluster import connect

    start = time.perf_counter()
    connect(RAY)
    print(f"engines: Ray started in {time.perf_counter() - start:.1f} s")
    mapped(RAY, 10), mapped(LOCAL, 10)
    pairs = [(mapped(RAY, ENCODES), mapped(LOCAL, ENCODES)) for _ in range(ROUNDS)]
    assert all(ray.sizes == local.sizes for ray, local in pairs)
    ratio = statistics.median(ray.seconds / local.seconds for ray, local in pairs)
    for place, name in enumerate(("Ray", "locally")):
        runs = [pair[place] for pair in pairs]
        start = statistics.median(run.start for run in runs)
        then = statistics.median(run.seconds for run in runs)
        print(
            f"engines: {name}: {start:.2f} s to the first of {ENCODES} encodes, then {then:.2f} s"
        )
    print(f"engines: ratio without the start {ratio:.2f} (limit 1.15)")
    return ratio / 1.15


def memory() -> float:
    worst = 0.0
    for name, resources in (("local", LOCAL), ("ray", RAY)):
        few, many = (mapped(resources, count).memory for count in (1_000, 20_000))
        print(
            f"memory: a {name} worker had {few / 1024:.0f} MB at most over 1,000 images, "
            f"{many / 1024:.0f} MB over 20,000: ratio {many / few:.3f} (limit 1.05)"
        )
        worst = max(worst, many / few / 1.05)
    return worst


def listing() -> float:
    from ratewise.data.sharding import shards_of
    from ratewise.data.sources import Entry

    count = 1_000_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    entries = [
        Entry(f"drive{i // 1000:04d}/{i:07d}.png", None, f"drive{i // 1000:04d}", 10**5)
        for i in range(count)
    ]
    made = list(shards_of(entries, ".jpg", 1000))
    size = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    print(f"listing: {len(made)} shards of {count:,} files: {size / count:.0f} bytes for each file")
    return 0.0


def stages() -> float:
    from ratewise.study.cache import Cache
    from ratewise.study.events import EventLog
    from ratewise.study.observers import Announcer
    from ratewise.study.plan import Plan, Stage
    from ratewise.study.scheduler import Finished, run_plan

    class Executor:
        """Stages whose work is to write one small file."""

        def __init__(self, cache: Cache) -> None:
            self.cache, self.stage = cache, list[Stage]()

        @property
        def room(self) -> bool:
            return not self.stage

        @property
        def busy(self) -> bool:
            return bool(self.stage)

        def start(self, stage: Stage) -> None:
            self.stage.append(stage)

        def wait(self) -> Finished:
            stage = self.stage.pop()
            path = self.cache.folder(stage) / "result"
            path.write_text("x")
            self.cache.complete(stage, [path], 0.0)
            return Finished(stage, 0.0)

    count = 500
    with tempfile.TemporaryDirectory() as folder:
        cache = Cache(Path(folder))
        chain: list[Stage] = []
        for number in range(count):
            rests = {"on": chain[-1].fingerprint} if chain and number % 2 else {}
            chain.append(Stage("train", str(number), {"n": number}, rests))
        plan = Plan({stage.fingerprint: stage for stage in chain}, ())
        observers = (EventLog(Path(folder) / "events.jsonl", cache), Announcer(lambda line: None))
        start = time.perf_counter()
        run_plan(plan, cache, Executor(cache), observers)
        each = (time.perf_counter() - start) / count
    print(f"stages: {1000 * each:.2f} ms a stage beside its work (limit 50)")
    return each / 0.05


def plan() -> float:
    from ratewise.study.cache import Cache
    from ratewise.study.graph import Contents
    from ratewise.study.planner import make_plan
    from ratewise.study.settings import StudySettings

    settings = StudySettings.model_validate(
        {
            "name": "large",
            "data": {"name": "streets"},
            "task": {"encoder": "tu-mobilenetv3_small_050"},
            "codecs": [f"bpg:qp={qp}" for qp in range(10, 50)],
            "configurations": ["OO", "CO", "OC", "CC"],
            "seeds": list(range(50)),
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        made = make_plan(settings, Contents({"train": "a" * 64, "val": "b" * 64}))
        cache = Cache(Path(folder))
        done = sum(cache.is_complete(stage) for stage in made.stages.values())
        seconds = time.perf_counter() - start
    print(
        f"plan: {len(made.stages)} stages for {len(made.runs)} results built and checked in "
        f"{seconds:.2f} s ({done} cached); {10_000 / len(made.stages) * seconds:.2f} s for 10,000 "
        f"(limit 5)"
    )
    return 10_000 / len(made.stages) * seconds / 5


PARTS: dict[str, Callable[[], float]] = {
    "engines": engines,
    "memory": memory,
    "listing": listing,
    "stages": stages,
    "plan": plan,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="by default all")
    chosen = parser.parse_args().parts or list(PARTS)
    return int(max(PARTS[name]() for name in chosen) > 1)


if __name__ == "__main__":
    sys.exit(main())
