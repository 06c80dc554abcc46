"""The BD-rate table of a bench: each codec family against an anchor, per metric."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ratewise.codecs import spec as specs_of
from ratewise.codecs.registry import codec as make_codec
from ratewise.codecs.registry import family, kind
from ratewise.errors import InputError
from ratewise.metrics.bjontegaard import (
    MINIMUM_POINTS,
    Curve,
    Overlap,
    bd_quality,
    bd_rate,
    curve,
    quality_overlap,
    rate_overlap,
)
from ratewise.metrics.distortion import MS_SSIM_MIN_SIDE

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    "codec",
    "anchor",
    "metric",
    "bd_rate_percent",
    "bd_quality_db",
    "quality_low",
    "quality_high",
    "bpp_low",
    "bpp_high",
    "images",
    "note",
)
"""The columns of bdrate.csv. ``bd_rate_percent`` is over the qualities ``quality_low`` to
``quality_high`` that both curves reach, ``bd_quality_db`` over the rates ``bpp_low`` to
``bpp_high``; ``images`` is the number of images behind the curves."""

METRICS = {"psnr": "PSNR", "ms_ssim_db": "MS-SSIM"}
"""The metrics of a comparison, columns of a bench, and how people call them; both in dB."""

_NOTHING = {
    "psnr": "no image has a finite PSNR at all operating points: some are lossless",
    "ms_ssim_db": "no image has a finite MS-SSIM in dB at all operating points: some are lossless, "
    f"or all images have a side under {MS_SSIM_MIN_SIDE} pixels",
}

_ENOUGH_OVERLAP = 0.5
"""Under this share of both curves' range in common, the note says so."""


def families(specs: Sequence[str]) -> dict[str, list[str]]:
    """The operating points of each codec family, in the order in which families are named."""
    found: dict[str, list[str]] = {}
    for spec in specs:
        found.setdefault(family(spec), []).append(spec)
    return found


def has_operating_point(name: str) -> bool:
    """Whether the codecs of a family trade rate for quality; a lossless one does not.

    They do so by an operating point, or by the weights that they are given.
    """
    found = kind(specs_of.parse(name)[0])
    return found.range() is not None or any(one.name == "weights" for one in found.options())


def choose_anchor(specs: Sequence[str], anchor: str | None = None) -> str | None:
    """The family that the others are compared with, of those that ``specs`` (canonical) belong to.

    ``anchor`` names it in any spelling, with or without an operating point; the name of a codec
    alone will do where one family is of that codec. None takes the first family that has at least
    two operating points, and gives None where there is none. Raises :class:`InputError` for a name
    that is none of the families or of one that has too few operating points.
    """
    found = families(specs)
    able = [
        name
        for name, points in found.items()
        if has_operating_point(name) and len(points) >= MINIMUM_POINTS
    ]
    if anchor is None:
        return able[0] if able else None
    chosen = _named(anchor, list(found))
    if chosen is None:
        raise InputError(
            f"anchor {anchor!r} is none of the codecs given; it is one of {', '.join(found)}"
        )
    if chosen not in able:
        reason = "lossless and has no curve"
        if has_operating_point(chosen):
            reason = f"given at one operating point; a curve needs {MINIMUM_POINTS}"
        others = f"; take one of {', '.join(able)}" if able else ""
        raise InputError(f"anchor {anchor!r} is {reason}{others}")
    return chosen


def bdrate_table(images: pd.DataFrame, specs: Sequence[str], anchor: str | None) -> pd.DataFrame:
    """A row (:data:`COLUMNS`) per family other than ``anchor`` and per metric of :data:`METRICS`.

    ``images`` has a row per codec and image with ``codec``, ``image``, ``bpp`` and the metrics. A
    point of a curve is the mean over the images that have a finite value at all operating points
    of all families, so that all curves are of the same images; points without any value are left
    out. A number that there cannot be is NaN (an empty cell in CSV), and ``note`` says why. No
    anchor, no rows.
    """
    import pandas as pd

    rows: list[dict[str, Any]] = []
    if anchor is not None:
        found = families(specs)
        for name in (name for name in found if name != anchor):
            for metric in METRICS:
                means, count = _common_means(images, found, metric)
                row = {"codec": name, "anchor": anchor, "metric": metric, "images": count}
                if not has_operating_point(name):
                    row["note"] = "lossless: it has no operating points"
                elif not count:
                    row["note"] = _NOTHING[metric]
                else:
                    row |= compare(means, found[anchor], found[name], metric)
                rows.append(row)
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.astype(dict.fromkeys(COLUMNS[3:-2], float))


def _named(anchor: str, found: list[str]) -> str | None:
    """The one of ``found`` that ``anchor`` spells."""
    if anchor in found:
        return anchor
    try:
        name, options = specs_of.parse(anchor)
        spelled = family(make_codec(anchor).spec)
    except InputError:
        return None
    if spelled in found:
        return spelled
    same = [other for other in found if specs_of.parse(other)[0] == name]
    return same[0] if len(same) == 1 and not options else None


def _common_means(
    images: pd.DataFrame, found: dict[str, list[str]], metric: str
) -> tuple[pd.DataFrame, int]:
    """``bpp`` and the metric of each operating point, over the images they all have; how many."""
    lossy = [spec for name, points in found.items() if has_operating_point(name) for spec in points]
    rows = images[images["codec"].isin(lossy) & np.isfinite(images[metric].astype(float))]
    per_image = rows.groupby("image")["codec"].nunique()
    common = per_image.index[per_image == rows["codec"].nunique()]
    rows = rows[rows["image"].isin(common)]
    return rows.groupby("codec")[["bpp", metric]].mean(), len(common)


def compare(
    means: pd.DataFrame, anchor: Sequence[str], other: Sequence[str], metric: str
) -> dict[str, Any]:
    """The numbers and the note (of :data:`COLUMNS`) of two curves; what there cannot be is absent.

    ``means`` has ``bpp`` and ``metric`` (in dB) per point; ``anchor`` and ``other`` are the names
    in its index of each curve's points.
    """
    row: dict[str, Any] = {}
    notes: list[str] = []
    anchor_curve, anchor_notes = _curve(means, anchor, metric, "the anchor: ")
    other_curve, other_notes = _curve(means, other, metric, "")
    four = (anchor_curve.rate, anchor_curve.quality, other_curve.rate, other_curve.quality)

    def fill(
        column: str,
        delta: Callable[..., float],
        overlap: Callable[[Curve, Curve], Overlap],
        prefix: str,
        what: str,
    ) -> None:
        try:
            row[column] = delta(*four)
            common = overlap(anchor_curve, other_curve)
        except InputError as error:
            notes.append(str(error))
            return
        row[f"{prefix}_low"], row[f"{prefix}_high"] = common.low, common.high
        if common.share < _ENOUGH_OVERLAP:
            notes.append(
                f"only {math.floor(100 * common.share)} % of the range of {what} is in common"
            )

    fill("bd_rate_percent", bd_rate, quality_overlap, "quality", "quality")
    fill("bd_quality_db", bd_quality, rate_overlap, "bpp", "rates")
    row["note"] = "; ".join(dict.fromkeys([*notes, *anchor_notes, *other_notes]))
    return row


def _curve(
    means: pd.DataFrame, points: Sequence[str], metric: str, whose: str
) -> tuple[Curve, list[str]]:
    """The cleaned curve, and what was left out of it."""
    own = means.reindex(list(points))
    found = curve(own["bpp"].to_numpy(float), own[metric].to_numpy(float))
    notes = [
        f"{whose}{count} of {len(points)} points left out ({why})"
        for count, why in ((found.not_finite, f"no {metric}"), (found.dominated, "dominated"))
        if count
    ]
    return found, notes
