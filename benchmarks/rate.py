"""How many encodes a target takes, against plain bisection, and how much of a rate it uses.

    python benchmarks/rate.py --images kodak --images imagenet-samples --every 8 --offset 4
    python benchmarks/rate.py --images kodak --images imagenet-samples --every 8 --typical

The second prints the table of ``codecs/typical.py``; the first measures on other images.

For each codec and kind of target, over all images and targets that the codec can meet: the mean
encodes per image of ``ratewise.codecs.rate`` and of bisection over the same operating points, the
ratio of their CPU seconds, and the bytes used of those allowed (of rates), or the dB above the
target (of PSNR). Exit code 1 where the search does not take fewer encodes than bisection, or does
not keep a target. Images that are no PNG are cropped to 224x224.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from ratewise.codecs import codec, encode_to_bytes, encode_to_psnr
from ratewise.codecs.ladder import Ladder, ladder
from ratewise.data.listing import find_images
from ratewise.errors import InputError
from ratewise.images import Image, read_image
from ratewise.metrics.distortion import psnr

CODECS = ("bpg", "jpeg", "webp", "jpeg2000", "avif", "msh")
RATES = (0.25, 0.5, 1.0)
QUALITIES = (28.0, 32.0, 36.0)
CROP = 224

POINTS: dict[str, tuple[float, ...]] = {
    "bpg": (*range(0, 49, 4), 51),
    "jpeg": (
        1, 2, 3, 4, 6, 8, 10, 15, 20, 30, 40, 50, 60, 70, 80, 85, 90, 93, 96, 98, 100,
    ),
    "webp": (0, 1, 2, 4, 7, 10, 20, 30, 40, 50, 60, 70, 75, 80, 85, 90, 95, 98, 100),
    "avif": (0, 2, 5, 10, 20, 30, 40, 50, 60, 70, 80, 85, 90, 95, 98, 100),
    "msh": (1, 2, 3, 4, 5),
    "jpeg2000": (
        1, 2, 2.5, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 512, 1024, 1_000_000,
    ),
}  # fmt: skip
"""Where the curves of ``codecs/typical.py`` are sampled."""


def load(folders: list[Path], every: int, offset: int) -> Iterator[Image]:
    """Each ``every``-th image of each folder, from ``offset`` on."""
    for folder in folders:
        for name in find_images(folder)[offset::every]:
            image = read_image(folder / name)
            if Path(name).suffix.lower() != ".png":
                top, left = ((side - CROP) // 2 for side in image.shape[:2])
                if min(top, left) < 0:
                    continue
                image = np.ascontiguousarray(image[top : top + CROP, left : left + CROP])
            yield image


def bisection(rungs: Ladder, image: Image, high: Callable[[bytes, str], bool]) -> int:
    """The encodes of plain bisection for the first rung that is ``high``."""
    below, above, encodes = -1, len(rungs), 0
    while above - below > 1:
        middle = (below + above) // 2
        spec = rungs.spec(middle)
        encodes += 1
        if high(codec(spec).encode(image), spec):
            above = middle
        else:
            below = middle
    return encodes


def reaches(image: Image, decibels: float) -> Callable[[bytes, str], bool]:
    """Whether a file decodes to at least so many dB."""
    return lambda data, spec: psnr(image, codec(spec).decode(data)) >= decibels


def measure(name: str, images: list[Image], kind: str, targets: tuple[float, ...]) -> bool:
    """Print the row of a codec and kind of target; whether it is as it should be."""
    rungs = ladder(name)
    ours, plain, used = [], [], []
    clock = {"ours": 0.0, "plain": 0.0}
    unmet, kept = 0, True
    for image in images:
        pixels = image.shape[0] * image.shape[1]
        for target in targets:
            limit = int(target * pixels / 8)
            start = time.process_time()
            try:
                if kind == "bpp":
                    choice = encode_to_bytes(name, image, limit)
                else:
                    choice = encode_to_psnr(name, image, target)
            except InputError:
                unmet += 1
                continue
            middle = time.process_time()
            clock["ours"] += middle - start
            ours.append(choice.encodes)
            if kind == "bpp":
                plain.append(bisection(rungs, image, lambda data, _, most=limit: len(data) > most))
            else:
                plain.append(bisection(rungs, image, reaches(image, target)))
            clock["plain"] += time.process_time() - middle
            if kind == "bpp":
                used.append(100 * len(choice.data) / limit)
                kept &= len(choice.data) <= limit
            else:
                used.append(psnr(image, codec(choice.spec).decode(choice.data)) - target)
                kept &= used[-1] >= 0
    mean, bisected = float(np.mean(ours)), float(np.mean(plain))
    share = f"{np.mean(used):.1f} % used" if kind == "bpp" else f"{np.mean(used):.2f} dB above"
    print(
        f"| {name} | {len(rungs)} | {kind} | {len(ours)} | {mean:.2f} | {max(ours)} "
        f"| {bisected:.2f} | {mean / bisected:.2f} | {clock['ours'] / clock['plain']:.2f} "
        f"| {share} | {unmet} |",
        flush=True,
    )
    return kept and mean < bisected


def typical(name: str, images: list[Image]) -> None:
    """Print the codec's rows of ``codecs/typical.py``."""
    blank = np.zeros((16, 16, 3), np.uint8)
    overhead = 0 if name == "jpeg2000" else len(codec(name).encode(blank))  # it aims at the whole
    print(f'    "{name}": {overhead} bytes')
    point = codec(name).operating_point
    assert point is not None
    for value in POINTS[name]:
        coder = codec(f"{name}:{point.name}={value}")
        files = [coder.encode(image) for image in images]
        pairs = list(zip(files, images, strict=True))
        logs = [math.log((len(f) - overhead) * 8 / (i.shape[0] * i.shape[1])) for f, i in pairs]
        quality = [psnr(image, coder.decode(data)) for data, image in pairs]
        print(
            f"            ({value}, {math.exp(np.mean(logs)):.3g}, {np.std(logs):.3f}, "
            f"{np.mean(quality):.2f}, {np.std(quality):.2f}),",
            flush=True,
        )


def main() -> int:
    """Measure and print; exit code 1 if a search is no better than bisection."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=Path, action="append", required=True)
    parser.add_argument("--codec", action="append", choices=CODECS)
    parser.add_argument("--every", type=int, default=1, help="take each N-th image of a folder")
    parser.add_argument("--offset", type=int, default=0, help="from this image on")
    parser.add_argument("--typical", action="store_true", help="print typical curves instead")
    options = parser.parse_args()
    images = list(load(options.images, options.every, options.offset))
    if options.typical:
        for name in options.codec or CODECS:
            typical(name, images)
        return 0
    print(
        "| codec | rungs | target | images x targets | encodes | most | bisection | ratio "
        "| CPU ratio | of the target | not met |"
    )
    print("|---|---:|---|---:|---:|---:|---:|---:|---:|---|---:|")
    good = True
    for name in options.codec or CODECS:
        good &= measure(name, images, "bpp", RATES)
        good &= measure(name, images, "psnr", QUALITIES)
    return int(not good)


if __name__ == "__main__":
    sys.exit(main())
