"""Crops at equal rate: what each codec family makes of a picture with the same number of bytes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ratewise import codecs
from ratewise.codecs import read_picture
from ratewise.codecs.bdrate import families, has_operating_point
from ratewise.errors import RatewiseError
from ratewise.execution import Resources, map_items, progress
from ratewise.images import Image
from ratewise.metrics.distortion import psnr
from ratewise.metrics.rate import bits_per_pixel
from ratewise.report.pictures import crop

if TYPE_CHECKING:
    import pandas as pd

WIDTH, HEIGHT = 184, 144
"""The size of a crop, three of which stand side by side at twice their size. Multiples of 8."""

_BLOCK = 8  # detail is summed over blocks of this size


@dataclass(frozen=True)
class CodedCrop:
    """A part of the picture that one family coded; ``bytes`` and ``psnr`` (dB) are of all of it.

    ``pixels`` is None where the family could not, and ``reason`` says why.
    """

    family: str
    spec: str = ""
    bytes: int = 0
    bpp: float = math.nan
    psnr: float = math.nan
    pixels: Image | None = None
    reason: str = ""


@dataclass(frozen=True)
class CropRow:
    """One picture: where it was cropped (``box``: x, y, width, height), and what became of it."""

    image: str
    width: int
    height: int
    box: tuple[int, int, int, int]
    limit: int
    original: Image
    coded: tuple[CodedCrop, ...]


@dataclass(frozen=True)
class _Job:
    family: str
    image: str
    box: tuple[int, int, int, int]
    limit: int


def equal_rate_crops(
    images: pd.DataFrame,
    specs: Sequence[str],
    resources: Resources = Resources(),
    *,
    quiet: bool = True,
) -> list[CropRow]:
    """Crops of one or two of the benched images, each family coded to the same number of bytes.

    ``images`` are the rows of a bench of ``specs``. The images are the first one and the one that
    took most bits per pixel (the most detailed, as the codecs see it), of those that every
    operating point could do. The limit of bytes is the middle (on a logarithmic scale) of the range
    that the families were benched at with that image; each takes the best operating point that
    keeps to it, which need not be one of those benched. Lossless families are left out. An image
    that cannot be read any more is left out too.
    """
    found = {name: points for name, points in families(specs).items() if has_operating_point(name)}
    rows = []
    for name in _choose(images, found):
        try:
            picture = read_picture(Path(name))
        except (RatewiseError, OSError):
            continue
        limit = _middle(images[images["image"] == name], found)
        rows.append((name, picture, detailed_box(picture), limit))
    jobs = [_Job(each, name, box, limit) for name, _, box, limit in rows for each in found]
    coded: dict[str, list[CodedCrop]] = {name: [] for name, *_ in rows}
    with progress("crops", len(jobs), unit="crops", quiet=quiet) as bar:
        for outcome in map_items(_code, jobs, resources):
            job = outcome.item
            reason = outcome.failure.message if outcome.failure else ""
            coded[job.image].append(outcome.value or CodedCrop(job.family, reason=reason))
            bar.advance(1)
    return [
        CropRow(
            name,
            picture.shape[1],
            picture.shape[0],
            box,
            limit,
            crop(picture, box),
            tuple(coded[name]),
        )
        for name, picture, box, limit in rows
    ]


def detailed_box(image: Image) -> tuple[int, int, int, int]:
    """The part ``(x, y, width, height)`` of ``image (H, W, 3)`` with the most detail.

    Detail is the sum of absolute differences between neighbours of the mean of R, G and B. The box
    is :data:`WIDTH` by :data:`HEIGHT`, or as large as the image, at multiples of 8 pixels.
    """
    grey = image.sum(axis=2, dtype=np.int32)
    height, width = grey.shape
    detail = np.zeros((-height % _BLOCK + height, -width % _BLOCK + width), np.int64)
    detail[:height, 1:width] += np.abs(np.diff(grey, axis=1))
    detail[1:height, :width] += np.abs(np.diff(grey, axis=0))
    blocks = detail.reshape(len(detail) // _BLOCK, _BLOCK, -1, _BLOCK).sum(axis=(1, 3))
    sums = np.pad(blocks.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    box_width, box_height = min(WIDTH, width), min(HEIGHT, height)
    rows, columns = -(-box_height // _BLOCK), -(-box_width // _BLOCK)
    inside = (sums[rows:, columns:] - sums[:-rows, columns:] - sums[rows:, :-columns]) + sums[
        :-rows, :-columns
    ]
    y, x = np.unravel_index(int(inside.argmax()), inside.shape)
    left = min(int(x) * _BLOCK, width - box_width)
    top = min(int(y) * _BLOCK, height - box_height)
    return left, top, box_width, box_height


def _choose(images: pd.DataFrame, found: dict[str, list[str]]) -> list[str]:
    """The names of the images that are shown."""
    lossy = [spec for points in found.values() for spec in points]
    rows = images[images["codec"].isin(lossy)]
    counts = rows.groupby("image", sort=False)["codec"].nunique()
    complete = [str(name) for name in counts.index[counts == len(lossy)]]
    if not complete:
        return []
    means = rows.groupby("image")["bpp"].mean()
    return list(dict.fromkeys([complete[0], max(complete, key=lambda name: float(means[name]))]))


def _middle(rows: pd.DataFrame, found: dict[str, list[str]]) -> int:
    """The middle of the bytes that the families have in common; between them where they have none.

    The families that were benched at one operating point alone count only where all were.
    """
    sizes = [rows[rows["codec"].isin(points)]["bytes"] for points in found.values()]
    sizes = [own for own in sizes if len(own) > 1] or sizes
    low, high = max(own.min() for own in sizes), min(own.max() for own in sizes)
    return round(math.sqrt(float(low) * float(high)))


def _code(job: _Job) -> CodedCrop:
    from ratewise.codecs.rate import encode_to_bytes

    image = read_picture(Path(job.image))
    choice = encode_to_bytes(job.family, image, job.limit)
    decoded = codecs.codec(choice.spec).decode(choice.data)
    return CodedCrop(
        job.family,
        choice.spec,
        len(choice.data),
        bits_per_pixel(len(choice.data), *image.shape[:2]),
        psnr(image, decoded),
        np.ascontiguousarray(crop(decoded, job.box)),
    )
