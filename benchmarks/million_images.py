"""A store of very many images: compressed, listed and verified, with the memory that each takes.

    python benchmarks/million_images.py                  # 1,000,000 images: half an hour
    python benchmarks/million_images.py --images 50000

The images are 16x16 pixels, 64 different ones under as many names as are asked for (hard links, so
the disk holds them once). They become shards of 1,000. Each command is a process of its own; memory
is the most that it, or one of its workers, ever had, over what the same command has for 1,000
images. What the commands say is checked; there is no limit on memory: it is printed for
``docs/scaling.md``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ratewise.images import write_png

DIFFERENT, FEW, SIDE = 64, 1000, 16
_IN_A_FOLDER = 1000


@dataclass(frozen=True)
class Ran:
    """What a command took, and printed."""

    seconds: float
    megabytes: float
    printed: Path


def make_images(folder: Path, count: int) -> None:
    """``count`` names of :data:`DIFFERENT` files, below ``folder``."""
    rng = np.random.default_rng(0)
    originals = folder.parent / f"{folder.name}-originals"
    for number in range(DIFFERENT):
        coarse = rng.integers(0, 256, (4, 4, 3), np.uint8)
        write_png(originals / f"{number}.png", np.kron(coarse, np.ones((4, 4, 1), np.uint8)))
    for number in range(count):
        where = folder / f"{number // _IN_A_FOLDER:04d}"
        if number % _IN_A_FOLDER == 0:
            where.mkdir(parents=True)
        os.link(originals / f"{number % DIFFERENT}.png", where / f"{number:07d}.png")


def run(printed: Path, *arguments: str) -> Ran:
    """``ratewise store ...`` in a process of its own."""
    start = time.perf_counter()
    with printed.open("w") as out:
        command = [sys.executable, "-m", "ratewise", "store", *arguments]
        process = subprocess.Popen(command, stdout=out)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, f"{' '.join(arguments)} failed"
    return Ran(time.perf_counter() - start, used.ru_maxrss / 1024, printed)


def life(folder: Path, count: int) -> dict[str, Ran]:
    """Compress, list, describe and verify a store of ``count`` images."""
    images, store = folder / f"images-{count}", str(folder / f"store-{count}")
    make_images(images, count)
    out = folder / f"{count}.txt"
    found = {
        "compress": run(
            out, "compress", str(images), store, "--codec", "jpeg:quality=50",
            "--shard-images", str(FEW), "--workers", "2", "--quiet", "--json",
        )
    }  # fmt: skip
    said = json.loads(out.read_text())
    assert (said["images"], said["failed"]) == (count, 0), said
    found["list"] = run(out, "list", store)
    with out.open() as lines:
        assert sum(1 for _ in lines) == count
    found["info"] = run(out, "info", store, "--json")
    assert json.loads(out.read_text())["images"] == count
    found["verify"] = run(out, "verify", store, "--workers", "2", "--quiet", "--json")
    assert json.loads(out.read_text())["problems"] == []
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=1_000_000)
    count = parser.parse_args().images
    with tempfile.TemporaryDirectory() as folder:
        few, many = life(Path(folder), FEW), life(Path(folder), count)
        manifest = Path(folder) / f"store-{count}" / "manifest.parquet"
        size = manifest.stat().st_size / 1e6
    print(f"{count:,} images in {-(-count // FEW):,} shards; the manifest has {size:.0f} MB")
    for name, ran in many.items():
        before = few[name].megabytes
        print(
            f"{name}: {ran.seconds:.0f} s, {1e6 * ran.seconds / count:.0f} us an image; "
            f"{ran.megabytes:.0f} MB at most, {before:.0f} MB for {FEW:,} images"
        )


if __name__ == "__main__":
    main()
