"""Rate-distortion curves that others published, beside a bench of the same images.

Others publish MS-SSIM as a mean over images; a bench's ``ms_ssim_db`` is the mean over images of
each one's decibels, which is more. So both are put in decibels after the mean here
(:func:`decibels_of_means`), before they are compared or drawn together.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from ratewise.codecs.bdrate import COLUMNS, METRICS, compare, families, has_operating_point
from ratewise.errors import InputError
from ratewise.metrics.bjontegaard import MINIMUM_POINTS
from ratewise.metrics.distortion import decibels
from ratewise.report.csv_rows import read_rows

if TYPE_CHECKING:
    import pandas as pd

PUBLISHED_COLUMNS = ("curve", "bpp", "psnr", "ms_ssim", "source")
"""Means over images: bits per pixel, PSNR of RGB in dB, MS-SSIM from 0 to 1. ``source`` says
where they are from."""


def read_published(path: Path) -> pd.DataFrame:
    """The points (:data:`PUBLISHED_COLUMNS`) of the curves in a CSV file.

    Raises :class:`InputError` for a missing column, and a number that there cannot be.
    """
    points = read_rows(path, "published curves", PUBLISHED_COLUMNS)
    for column, least, most in (("bpp", 0, math.inf), ("psnr", 0, math.inf), ("ms_ssim", -1, 1)):
        for line, text in enumerate(points[column].astype(str), 2):
            try:
                allowed = least < float(text) <= most and math.isfinite(float(text))
            except ValueError:
                allowed = False
            if not allowed:
                raise InputError(f"{path}, line {line}: {column} = {text} is not allowed")
    return points


def decibels_of_means(points: pd.DataFrame) -> pd.DataFrame:
    """``points`` with ``ms_ssim_db``: the decibels of ``ms_ssim``, a mean over images."""
    return points.assign(ms_ssim_db=[decibels(float(value)) for value in points["ms_ssim"]])


def against_published(summary: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """Each codec family of a bench against each published curve, as BD-rate rows.

    ``summary`` is a bench's, and has the mean over all images that each operating point could do.
    Families with fewer than two operating points, and those that share no quality with a curve in
    any metric, have no rows.
    """
    import pandas as pd

    ours = decibels_of_means(summary).set_index("codec")
    rows = []
    for curve, points in published.groupby("curve", sort=False):
        theirs = decibels_of_means(points)
        theirs.index = pd.Index([f"{curve} {number}" for number in range(len(points))])
        every = pd.concat([ours, theirs])
        for name, specs in families(list(ours.index)).items():
            if len(specs) < MINIMUM_POINTS or not has_operating_point(name):
                continue
            both = [
                {"codec": name, "anchor": curve, "metric": metric}
                | compare(every, list(theirs.index), specs, metric)
                for metric in METRICS
            ]
            if any("bd_rate_percent" in row for row in both):
                rows += both
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.astype(dict.fromkeys(COLUMNS[3:-2], float))
