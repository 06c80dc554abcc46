"""What BPG costs beside x265 and FFmpeg's HEVC decoder, and what a second worker gives.

    python benchmarks/bpg.py                          # a photograph that scikit-image brings
    python benchmarks/bpg.py --image kodim08.png      # one of your own

Prints four figures, and the limit of each:

- the share of x265 in the CPU seconds of encoding 1024x512 pixels;
- images per second of two workers over those of one, where two cores are free;
- milliseconds that decoding 224x224 pixels to RGB takes longer than decoding their HEVC stream
  once, on the clock and, for comparison, in CPU time of all threads; the lowest of many;
- bytes of a file of 224x224 pixels beside its slice.

The exit code is 1 where a limit is missed.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from PIL import Image as PillowImage

from ratewise.codecs import codec
from ratewise.codecs.bpg import hevc
from ratewise.errors import InputError
from ratewise.execution import Resources, map_items
from ratewise.images import Image, read_image

SHARE_LIMIT, SPEEDUP_LIMIT, DECODE_LIMIT, OVERHEAD_LIMIT = 0.95, 1.8, 1.5, 24
WIDTH, HEIGHT, SIDE = 1024, 512, 224
FREE = 0.3
"""The load of a machine on which nothing else runs."""

_Row = tuple[str, str, str, bool]


def pictures(path: Path | None) -> tuple[Image, Image]:
    """A photograph in the two sizes that are measured: scaled, and cut from its centre."""
    if path is None:
        from skimage import data

        photo = data.astronaut()
        wide = np.concatenate([photo, photo[:, ::-1]], axis=1)
    else:
        photo = wide = read_image(path)
        if min(photo.shape[:2]) < SIDE:
            raise InputError(f"{path}: at least {SIDE}x{SIDE} pixels are needed")
    large = PillowImage.fromarray(wide).resize((WIDTH, HEIGHT), PillowImage.Resampling.LANCZOS)
    top, left = (photo.shape[0] - SIDE) // 2, (photo.shape[1] - SIDE) // 2
    return np.array(large), np.ascontiguousarray(photo[top : top + SIDE, left : left + SIDE])


@contextmanager
def x265_cpu() -> Iterator[list[float]]:
    """The CPU seconds of each call into x265, of all threads, while the block runs."""
    import av

    spent: list[float] = []
    real = av.VideoCodecContext

    class Context:
        """A codec context of PyAV whose ``encode`` is timed."""

        def __init__(self, inner: Any) -> None:
            object.__setattr__(self, "inner", inner)

        @staticmethod
        def create(*arguments: Any) -> Context:
            return Context(real.create(*arguments))

        def __getattr__(self, name: str) -> Any:
            return getattr(self.inner, name)

        def __setattr__(self, name: str, value: Any) -> None:
            setattr(self.inner, name, value)

        def encode(self, frame: Any) -> Any:
            start = time.process_time()
            packets = self.inner.encode(frame)
            spent.append(time.process_time() - start)
            return packets

    av.VideoCodecContext = Context
    try:
        yield spent
    finally:
        av.VideoCodecContext = real


def share(image: Image, spec: str, repeats: int) -> tuple[float, float]:
    """x265's share of the CPU time of an encode, and that time in seconds."""
    coder = codec(spec)
    coder.encode(image)
    with x265_cpu() as spent:
        start = time.process_time()
        for _ in range(repeats):
            coder.encode(image)
        total = time.process_time() - start
    return sum(spent) / total, total / repeats


def encoded_size(work: tuple[str, Image], shift: int) -> int:
    """A worker's task: the bytes of an image that was moved by ``shift`` columns."""
    spec, image = work
    return len(codec(spec).encode(np.roll(image, shift, axis=1)))


def seconds(image: Image, spec: str, workers: int, count: int) -> float:
    """Seconds in which ``workers`` code ``count`` images, from the first result to the last.

    Starting the workers, which is done once for a store of any size, is not counted.
    """
    shifts = range(8, 8 * (count + workers) + 1, 8)
    outcomes = map_items(encoded_size, shifts, Resources(workers), context=(spec, image))
    done = [time.perf_counter() for outcome in outcomes if outcome.failure is None]
    if len(done) != len(shifts):
        raise RuntimeError("an image could not be coded")
    return done[-1] - done[workers - 1]


def decoding(image: Image, qp: int, repeats: int) -> tuple[float, float, float]:
    """Milliseconds: full minus HEVC by the clock, the same in CPU time, and HEVC by the clock."""
    coder = codec(f"bpg:qp={qp}")
    data = coder.encode(image)
    calls: list[tuple[Any, ...]] = []
    decode = hevc.decode

    def noted(*arguments: Any, **options: Any) -> Any:
        calls.append(arguments)
        return decode(*arguments, **options)

    hevc.decode = noted
    try:
        coder.decode(data)
    finally:
        hevc.decode = decode
    work: list[Callable[[], object]] = [lambda: coder.decode(data), lambda: decode(*calls[0])]
    wall: list[list[float]] = [[], []]
    cpu: list[list[float]] = [[], []]
    for _ in range(repeats):
        for index, run in enumerate(work):
            start, used = time.perf_counter(), time.process_time()
            run()
            cpu[index].append(time.process_time() - used)
            wall[index].append(time.perf_counter() - start)
    full, single = (1e3 * min(values) for values in wall)
    return full - single, 1e3 * (min(cpu[0]) - min(cpu[1])), single


def measure(options: argparse.Namespace) -> Iterator[_Row]:
    """The rows of the table: what, limit, measured, and whether the limit is kept."""
    large, small = pictures(options.image)
    found, cost = share(large, f"bpg:qp={options.qp}", options.repeats)
    yield (
        f"x265 in the CPU time of an encode, {WIDTH}x{HEIGHT}, QP {options.qp}",
        f"at least {SHARE_LIMIT:.0%}",
        f"{found:.1%} of {1e3 * cost:.0f} ms",
        found >= SHARE_LIMIT,
    )
    spec = f"bpg:qp={options.qp}"
    one, two = (
        min(seconds(large, spec, workers, options.count) for _ in range(options.rounds))
        for workers in (1, 2)
    )
    yield (
        "images per second, two workers / one",
        f"at least {SPEEDUP_LIMIT}",
        f"{one / two:.2f} ({options.count / two:.1f} / {options.count / one:.1f})",
        one / two >= SPEEDUP_LIMIT,
    )
    for qp in (29, 41):
        more, cpu, single = decoding(small, qp, 100 * options.repeats)
        yield (
            f"decoding minus HEVC, {SIDE}x{SIDE}, QP {qp}",
            f"at most {DECODE_LIMIT} ms",
            f"{more:.2f} ms (CPU {cpu:.2f}; HEVC {single:.2f})",
            more <= DECODE_LIMIT,
        )
    for qp in (29, 41):
        coder = codec(f"bpg:qp={qp}")
        data = coder.encode(small)
        beside = len(data) - coder.parts(data)["slices"]
        yield (
            f"bytes beside the slice, {SIDE}x{SIDE}, QP {qp}",
            f"at most {OVERHEAD_LIMIT}",
            f"{beside} of {len(data)}",
            beside <= OVERHEAD_LIMIT,
        )


def main() -> int:
    """Measure and print; exit code 1 if a limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--image", type=Path, help="a photograph; scikit-image's without")
    parser.add_argument("--qp", type=int, default=41, help="for the two figures of encoding")
    parser.add_argument("--count", type=int, default=24, help="images for the workers")
    parser.add_argument("--rounds", type=int, default=3, help="for the workers; the best counts")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    load = os.getloadavg()[0]
    versions = ", ".join(f"{name} {version}" for name, version in hevc.libraries().items())
    print(versions)
    kept = True
    for what, limit, found, good in measure(options):
        print(f"{what:<56}{limit:<16}{found}{'' if good else '  MISSED'}", flush=True)
        kept &= good
    if load > FREE:
        print(
            f"The machine's load was {load:.1f} before: it is not free, and neither the second "
            "worker nor the clock of decoding shows what it would be."
        )
    return int(not kept)


if __name__ == "__main__":
    sys.exit(main())
