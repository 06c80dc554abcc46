"""Measuring codecs on images: bytes, distortion and CPU time, per image and on average."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ratewise.codecs.base import Codec
from ratewise.codecs.bdrate import bdrate_table, choose_anchor
from ratewise.codecs.pictures import read_picture
from ratewise.codecs.registry import codec as make_codec
from ratewise.errors import CodecError, RatewiseError
from ratewise.execution import Resources, map_items, progress
from ratewise.files import write_atomically
from ratewise.images import Image
from ratewise.metrics.distortion import decibels, ms_ssim, psnr, ssim
from ratewise.metrics.rate import bits_per_pixel

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    "codec",
    "image",
    "width",
    "height",
    "bytes",
    "bpp",
    "psnr",
    "ssim",
    "ms_ssim",
    "encode_ms",
    "decode_ms",
)
"""The columns of images.csv."""

MEANS = ("bytes", "bpp", "psnr", "ssim", "ms_ssim", "ms_ssim_db", "encode_ms", "decode_ms")
"""The columns of summary.csv that are means over images."""


@dataclass(frozen=True)
class BenchFailure:
    """An image that one codec could not do; ``codec`` is empty if it could not be read."""

    codec: str
    image: str
    message: str


@dataclass(frozen=True)
class BenchResult:
    """What :func:`bench` measured.

    ``images`` has a row per codec and image (:data:`COLUMNS`; times in CPU ms of the codec alone,
    summed over the threads of the process). ``summary`` has a row per codec: ``codec``, ``images``
    (how many were measured), ``failures``, then the means (:data:`MEANS`) over the images that have
    the value; ``ms_ssim_db`` is the mean over images of ``-10 log10(1 - ms_ssim)``. ``bdrate``
    compares each codec family with the family ``anchor``
    (:func:`ratewise.codecs.bdrate.bdrate_table`).
    """

    images: pd.DataFrame
    summary: pd.DataFrame
    bdrate: pd.DataFrame
    anchor: str | None
    failures: tuple[BenchFailure, ...]

    def save(self, folder: Path) -> None:
        """Write images.csv, summary.csv and bdrate.csv, and failures.csv if there are failures."""
        write_atomically(folder / "images.csv", self.images.to_csv(index=False))
        write_atomically(folder / "summary.csv", self.summary.to_csv(index=False))
        write_atomically(folder / "bdrate.csv", self.bdrate.to_csv(index=False))
        path = folder / "failures.csv"
        path.unlink(missing_ok=True)
        if self.failures:
            import pandas as pd

            table = pd.DataFrame([vars(failure) for failure in self.failures])
            write_atomically(path, table.to_csv(index=False))


def bench(
    images: Sequence[Path],
    specs: Sequence[str],
    resources: Resources = Resources(),
    *,
    anchor: str | None = None,
    quiet: bool = True,
) -> BenchResult:
    """Encode, decode and score each of ``images`` with each of ``specs``.

    ``anchor`` names the codec family that the others are compared with; None takes the first that
    has at least two operating points. An image that cannot be read, or that a codec cannot do, is
    a failure in the result, and the others are done. Raises :class:`InputError` for a wrong spec
    or anchor before any work.
    """
    codecs = list(dict.fromkeys(make_codec(spec).spec for spec in specs))
    anchor = choose_anchor(codecs, anchor)
    rows: list[dict[str, Any]] = []
    failures: list[BenchFailure] = []
    with progress("bench", len(images), quiet=quiet) as bar:
        for outcome in map_items(measure, images, resources, context=tuple(codecs)):
            if outcome.value is not None:
                rows += outcome.value[0]
                failures += outcome.value[1]
            elif outcome.failure is not None:
                failures.append(BenchFailure("", outcome.item.as_posix(), outcome.failure.message))
            bar.advance(1, f"{len(failures)} failed" if failures else "")
    return _result(codecs, rows, failures, anchor)


def measure(specs: tuple[str, ...], path: Path) -> tuple[list[dict[str, Any]], list[BenchFailure]]:
    """The rows and failures of one image with every codec; raises if it cannot be read."""
    image = read_picture(path)
    rows, failures = [], []
    for spec in specs:
        try:
            rows.append({"codec": spec, "image": path.as_posix()} | measure_image(spec, image))
        except Exception as error:  # whatever a codec raises, the others are measured
            failures.append(BenchFailure(spec, path.as_posix(), str(error)))
    return rows, failures


def measure_image(spec: str, image: Image) -> dict[str, Any]:
    """The columns from ``width`` on of ``image`` through the codec ``spec``."""
    codec = _ready(spec)
    start = time.process_time()  # of all threads: an encoder of many gains nothing by them
    data = codec.encode(image)
    encoded = time.process_time()
    decoded = codec.decode(data)
    done = time.process_time()
    if decoded.shape != image.shape:
        raise CodecError(f"{spec}: decoded to shape {decoded.shape}, not {image.shape}")
    height, width = image.shape[:2]
    return {
        "width": width,
        "height": height,
        "bytes": len(data),
        "bpp": bits_per_pixel(len(data), height, width),
        "psnr": psnr(image, decoded),
        "ssim": ssim(image, decoded),
        "ms_ssim": ms_ssim(image, decoded),
        "encode_ms": 1e3 * (encoded - start),
        "decode_ms": 1e3 * (done - encoded),
    }


@functools.cache
def _ready(spec: str) -> Codec:
    """The codec, used once in this process, so that no timing counts loading its libraries."""
    codec = make_codec(spec)
    with contextlib.suppress(RatewiseError):
        codec.decode(codec.encode(np.zeros((64, 64, 3), np.uint8)))
    return codec


def _result(
    codecs: Sequence[str],
    rows: list[dict[str, Any]],
    failures: list[BenchFailure],
    anchor: str | None,
) -> BenchResult:
    import pandas as pd

    images = pd.DataFrame(rows, columns=list(COLUMNS))
    order = {spec: index for index, spec in enumerate(codecs)}
    images = images.sort_values("codec", key=lambda c: c.map(order), kind="stable")
    images = images.reset_index(drop=True)
    scored = images.assign(ms_ssim_db=[decibels(float(x)) for x in images["ms_ssim"]])
    summary = []
    for spec in codecs:
        own = scored[scored["codec"] == spec]
        failed = sum(failure.codec in ("", spec) for failure in failures)
        means = {name: float(own[name].mean()) if len(own) else float("nan") for name in MEANS}
        summary.append({"codec": spec, "images": len(own), "failures": failed} | means)
    columns = ["codec", "images", "failures", *MEANS]
    table = pd.DataFrame(summary, columns=columns)
    bdrate = bdrate_table(scored, codecs, anchor)
    return BenchResult(images, table, bdrate, anchor, tuple(failures))
