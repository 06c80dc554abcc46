"""What a store costs beside a bare loop, what a second worker gives, and how memory grows.

    python benchmarks/store.py                        # generated images
    python benchmarks/store.py --images camvid/train  # a folder of your own, repeated

Prints three ratios, and the limit of each:

- CPU seconds (user and system, imports of the store's libraries included) of a store over those
  of a loop that reads, encodes, decodes, scores, hashes and writes; the lower of several rounds;
- seconds with one worker over seconds with two;
- peak memory at 4,000 images over that at 200.

Each measurement is a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

os.environ.setdefault("OMP_NUM_THREADS", "1")

CPU_LIMIT, SPEEDUP_LIMIT, MEMORY_LIMIT = 1.15, 1.8, 1.1
SMALL = (96, 64)


def bare_loop(images: Path, out: Path, spec: str) -> None:
    """What must be done in any case, and nothing else."""
    from ratewise.codecs import codec
    from ratewise.data.listing import find_images
    from ratewise.files import sha256_bytes
    from ratewise.images import read_image
    from ratewise.metrics.distortion import psnr

    coder = codec(spec)
    out.mkdir()
    for name in find_images(images):
        image = read_image((images / name).read_bytes())
        data = coder.encode(image)
        psnr(image, coder.decode(data))
        sha256_bytes(data)
        (out / name).with_suffix(coder.suffix).write_bytes(data)


def store(images: Path, out: Path, spec: str, workers: int) -> None:
    """The same through ``compress_store``."""
    from ratewise.data.compress import compress_store
    from ratewise.data.sources import FolderSource
    from ratewise.execution import Resources

    compress_store(FolderSource(images), out, spec, resources=Resources(workers))


def measure(what: str, images: Path, spec: str, workers: int) -> None:
    """In the process of a measurement: do it, and print what it took as JSON."""
    import ratewise.codecs
    import ratewise.metrics.distortion  # noqa: F401

    with tempfile.TemporaryDirectory() as folder:
        start, cpu = time.perf_counter(), time.process_time()
        if what == "bare":
            bare_loop(images, Path(folder) / "out", spec)
        else:
            store(images, Path(folder) / "out", spec, workers)
        wall, cpu = time.perf_counter() - start, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"cpu": cpu, "wall": wall, "peak_kb": peak}))


def run(what: str, images: Path, spec: str, workers: int = 1) -> dict[str, float]:
    """One measurement in a fresh process."""
    command = [sys.executable, __file__, "--measure", what, "--images", str(images)]
    command += ["--codec", spec, "--workers", str(workers)]
    # With compiled modules kept, as is usual: importing is not what is measured here.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    values: dict[str, float] = json.loads(done.stdout)
    return values


def generate(folder: Path, count: int, size: tuple[int, int], distinct: int = 16) -> None:
    """``count`` PNG files of smooth pictures with some noise; ``distinct`` different ones."""
    from ratewise.images import encode_png

    folder.mkdir()
    y, x = np.mgrid[0 : size[1], 0 : size[0]][:, :, :, None] / 40
    files = []
    for seed in range(distinct):
        rng = np.random.default_rng(seed)
        a, b, phase = rng.uniform(0.3, 2, (3, 3))
        picture = 128 + 90 * np.sin(a * x + phase) * np.cos(b * y) + rng.normal(0, 5, (*y.shape,))
        files.append(encode_png(np.clip(picture, 0, 255).astype(np.uint8)))
    for index in range(count):
        (folder / f"{index:05d}.png").write_bytes(files[index % distinct])


def repeat(images: Path, folder: Path, count: int) -> None:
    """Links to the images of a folder, over and over."""
    from ratewise.data.listing import find_images

    folder.mkdir()
    names = find_images(images)
    for index in range(count):
        path = (images / names[index % len(names)]).resolve()
        (folder / f"{index:05d}{path.suffix}").symlink_to(path)


def main() -> int:
    """Measure and print; exit code 1 if a limit is passed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=Path, help="folder of images; generated without")
    parser.add_argument("--count", type=int, default=2000, help="images for CPU and speed-up")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--codec", default="jpeg:quality=50")
    parser.add_argument("--measure", choices=["bare", "store"], help=argparse.SUPPRESS)
    parser.add_argument("--workers", type=int, default=1, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(options.measure, options.images, options.codec, options.workers)
        return 0
    with tempfile.TemporaryDirectory() as temporary:
        base = Path(temporary)
        if options.images:
            repeat(options.images, base / "images", options.count)
        else:
            generate(base / "images", options.count, (480, 360))
        rounds: dict[str, list[dict[str, float]]] = {"bare": [], "store": [], "two": []}
        for _ in range(options.rounds):
            rounds["bare"].append(run("bare", base / "images", options.codec))
            rounds["store"].append(run("store", base / "images", options.codec))
            rounds["two"].append(run("store", base / "images", options.codec, workers=2))
        peaks = []
        for count in (200, 4000):
            generate(base / str(count), count, SMALL)
            peaks.append(run("store", base / str(count), options.codec)["peak_kb"])
    best = {
        (name, key): min(values[key] for values in found)
        for name, found in rounds.items()
        for key in ("cpu", "wall")
    }
    overhead = best["store", "cpu"] / best["bare", "cpu"]
    speedup = best["store", "wall"] / best["two", "wall"]
    growth = peaks[1] / peaks[0]
    per_image = 1000 / options.count
    print(f"{options.count} images, {options.codec}, best of {options.rounds} rounds")
    print(
        f"CPU, store / bare loop:        {overhead:.3f}  (limit {CPU_LIMIT}; "
        f"{best['store', 'cpu'] * per_image:.2f} and {best['bare', 'cpu'] * per_image:.2f} "
        "ms per image)"
    )
    print(
        f"time, one worker / two:        {speedup:.3f}  (at least {SPEEDUP_LIMIT}; "
        f"{best['store', 'wall']:.2f} and {best['two', 'wall']:.2f} s)"
    )
    print(
        f"peak memory, 4,000 / 200:      {growth:.3f}  (limit {MEMORY_LIMIT}; "
        f"{peaks[1] / 1024:.0f} and {peaks[0] / 1024:.0f} MB)"
    )
    return int(overhead > CPU_LIMIT or speedup < SPEEDUP_LIMIT or growth > MEMORY_LIMIT)


if __name__ == "__main__":
    sys.exit(main())
