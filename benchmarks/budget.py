"""What a budget gives over one fixed operating point of the same bytes, and what it costs.

    python benchmarks/budget.py kodak/                    # a folder of photographs
    python benchmarks/budget.py kodak/ --size full        # not cropped to 384x256

For some operating points of each codec: a store at that point, and two stores whose budget is its
bytes, for the objectives psnr and mse. Prints their bytes over the budget, the gain in mean PSNR
and in PSNR of the mean MSE (each in dB over the fixed point), encodes per image, and CPU seconds
over those of the fixed point. Exit code 1 if a budget is exceeded, less than 98 % of it is used,
or objective psnr has no higher mean PSNR than the fixed point.
"""

from __future__ import annotations

import argparse
import math
import os
import resource
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

FIXED = {
    "bpg": ["bpg:qp=46", "bpg:qp=37", "bpg:qp=29"],
    "jpeg": ["jpeg:quality=10", "jpeg:quality=30", "jpeg:quality=75"],
}
LEAST_USED = 0.98


def qualities(folder: Path) -> tuple[float, float]:
    """Mean PSNR, and PSNR of the mean MSE, of a store's images in dB."""
    from ratewise.data.store import open_store

    psnrs = [record.psnr for record in open_store(folder).records]
    mean_error = sum(10 ** (-psnr / 10) for psnr in psnrs) / len(psnrs)
    return sum(psnrs) / len(psnrs), -10 * math.log10(mean_error)


def timed(function: Callable[[], Any]) -> tuple[Any, float]:
    """The value of a call and its CPU seconds."""
    start = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    value = function()
    return value, sum(resource.getrusage(resource.RUSAGE_SELF)[:2]) - start


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", type=Path, help="folder of photographs")
    parser.add_argument("--codec", action="append", choices=list(FIXED), help="default: all")
    parser.add_argument("--size", default="384x256", help="of the crop, or full")
    options = parser.parse_args()

    from ratewise.data.budget import compress_to_budget
    from ratewise.data.compress import compress_store
    from ratewise.data.prepare import PrepareSettings
    from ratewise.data.sources import FolderSource

    crop = None
    if options.size != "full":
        width, height = map(int, options.size.split("x"))
        crop = (width, height)
    source = FolderSource(options.images, PrepareSettings(crop=crop))
    print(f"{len(source.entries())} images, {options.size}")
    print(
        f"{'fixed point':<16} {'bytes':>9} {'PSNR':>6}  objective    used   gain in PSNR   "
        "of mean MSE   encodes/image   CPU"
    )
    wrong = False
    for codec in options.codec or FIXED:
        for fixed in FIXED[codec]:
            with tempfile.TemporaryDirectory() as folder:
                one = Path(folder) / "fixed"
                summary, once = timed(lambda f=fixed, o=one: compress_store(source, o, f))
                before = qualities(one)
                for aim in ("psnr", "mse"):
                    out = Path(folder) / aim
                    fitted, seconds = timed(
                        lambda c=codec, o=out, a=aim, s=summary: compress_to_budget(
                            source, o, c, s.bytes, objective=a
                        )
                    )
                    used = fitted.store.bytes / summary.bytes
                    gains = [a - b for a, b in zip(qualities(out), before, strict=True)]
                    wrong |= not LEAST_USED <= used <= 1 or (aim == "psnr" and gains[0] <= 0)
                    start = f"{fixed:<16} {summary.bytes:>9} {before[0]:>6.2f}"
                    print(
                        f"{start if aim == 'psnr' else '':<33}  {aim:<9} {used:>7.2%}   "
                        f"{gains[0]:>+9.2f} dB   {gains[1]:>+8.2f} dB   "
                        f"{fitted.encodes / summary.images:>13.1f}   {seconds / once:.1f}x",
                        flush=True,
                    )
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
