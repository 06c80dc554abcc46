"""Bjøntegaard deltas: how far apart two rate-quality curves are, as one number.

Bjøntegaard, VCEG-M33 (2001) and VCEG-AI11 (2008), with interpolation by pieces instead of one cubic
through four points. The logarithm of the rate is taken as a function of the quality (BD-rate), or
the quality as a function of that logarithm (BD-quality), interpolated for both curves, and their
difference is averaged over the range that the curves have in common.

Quality is anything in dB that grows as the picture gets better: PSNR, ``-10 log10(1 - MS-SSIM)``.

- ``akima``, the default, is Akima's spline of 1970 (not the modified one, "makima"). It is what
  Herglotz et al., "The Bjøntegaard Bible" (2024), found to come nearest to densely sampled curves,
  and what the package ``bjontegaard`` calls by the name, so that numbers can be compared. From 3
  points; a curve of 2 is a straight line.
- ``pchip`` is Fritsch and Carlson's monotone cubic, of the video coding groups' spreadsheets. From
  2 points, where it is a straight line too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from ratewise.errors import InputError

Method = Literal["akima", "pchip"]
Values: TypeAlias = Sequence[float] | npt.NDArray[np.floating[Any]]

MINIMUM_POINTS = 2
"""Fewer points make no curve."""

_AKIMA_POINTS = 3
_LEAST_SHARE = 1e-6  # of both curves' range together; below it the mean is rounding noise
_TOO_CLOSE = "the curves cannot be compared: their points lie too close together or too far apart"


@dataclass(frozen=True)
class Curve:
    """A cleaned curve: rate (above 0) and quality both rise strictly from point to point.

    ``not_finite`` and ``dominated`` say how many of the points given were left out, and why.
    """

    rate: npt.NDArray[np.float64]
    quality: npt.NDArray[np.float64]
    not_finite: int = 0
    dominated: int = 0

    def __len__(self) -> int:
        return len(self.rate)


@dataclass(frozen=True)
class Overlap:
    """The range that two curves share, and its share of the range of both together."""

    low: float
    high: float
    share: float


def curve(rate: Values, quality: Values) -> Curve:
    """The points that make a curve, by rising rate.

    Points that are not finite are dropped (a lossless file has an infinite PSNR). So are dominated
    ones: another point has no more rate and no less quality, so nobody would choose them, and with
    them there were no function from quality to rate. Raises :class:`InputError` for two lists of
    different length and for a rate that is not above 0.
    """
    rates, qualities = np.asarray(rate, float), np.asarray(quality, float)
    if rates.ndim != 1 or rates.shape != qualities.shape:
        raise InputError(
            "a curve needs one quality for each rate, not shapes "
            f"{rates.shape} (rate) and {qualities.shape} (quality)"
        )
    finite = np.isfinite(rates) & np.isfinite(qualities)
    if (rates[finite] <= 0).any():
        raise InputError(f"a rate of {rates[finite].min():g} is not allowed; rates are above 0")
    rates, qualities = rates[finite], qualities[finite]
    order = np.lexsort((-qualities, rates))  # the better one first where two rates are equal
    rates, qualities = rates[order], qualities[order]
    best_before = np.concatenate([[-math.inf], np.maximum.accumulate(qualities)[:-1]])
    kept = qualities > best_before[: len(qualities)]
    return Curve(rates[kept], qualities[kept], int((~finite).sum()), int((~kept).sum()))


def bd_rate(
    anchor_rate: Values,
    anchor_quality: Values,
    rate: Values,
    quality: Values,
    method: Method = "akima",
) -> float:
    """The mean difference in rate to the anchor at equal quality, in per cent.

    -20 means that the curve needs 20 % fewer bits than the anchor. Rates are in any one unit, such
    as bits per pixel. Points are cleaned by :func:`curve`. Raises :class:`InputError` where a curve
    has fewer than two points or the two have no quality in common; the result is never NaN.
    """
    anchor, other = curve(anchor_rate, anchor_quality), curve(rate, quality)
    common = quality_overlap(anchor, other)
    difference = _mean(other.quality, np.log10(other.rate), common, method) - _mean(
        anchor.quality, np.log10(anchor.rate), common, method
    )
    with np.errstate(over="ignore"):
        return _finite(100.0 * (np.float64(10.0) ** difference - 1.0))


def bd_quality(
    anchor_rate: Values,
    anchor_quality: Values,
    rate: Values,
    quality: Values,
    method: Method = "akima",
) -> float:
    """The mean difference in quality to the anchor at equal rate, in the unit of quality (dB).

    Positive means better than the anchor. The mean is over the logarithm of the rate. With PSNR it
    is known as BD-PSNR. Points, refusals: as for :func:`bd_rate`, with the rate in common.
    """
    anchor, other = curve(anchor_rate, anchor_quality), curve(rate, quality)
    shared = rate_overlap(anchor, other)
    common = Overlap(math.log10(shared.low), math.log10(shared.high), shared.share)
    return _finite(
        _mean(np.log10(other.rate), other.quality, common, method)
        - _mean(np.log10(anchor.rate), anchor.quality, common, method)
    )


bd_psnr = bd_quality
"""BD-PSNR, where the qualities are PSNRs in dB."""


def quality_overlap(anchor: Curve, other: Curve) -> Overlap:
    """The qualities that both curves reach; :class:`InputError` where there are none."""
    return _overlap(anchor, other, anchor.quality, other.quality, "quality")


def rate_overlap(anchor: Curve, other: Curve) -> Overlap:
    """The rates that both curves reach, its share on a logarithmic scale; :class:`InputError`
    where there are none."""
    found = _overlap(anchor, other, np.log10(anchor.rate), np.log10(other.rate), "rate")
    low, high = max(anchor.rate[0], other.rate[0]), min(anchor.rate[-1], other.rate[-1])
    return Overlap(float(low), float(high), found.share)


def _overlap(
    anchor: Curve,
    other: Curve,
    a: npt.NDArray[np.float64],
    b: npt.NDArray[np.float64],
    what: str,
) -> Overlap:
    for name, points in (("the anchor", anchor), ("the curve", other)):
        if len(points) < MINIMUM_POINTS:
            raise InputError(
                f"{name} has too few points ({_count(points)}); a comparison needs "
                f"{MINIMUM_POINTS} on each curve"
            )
    low, high = float(max(a[0], b[0])), float(min(a[-1], b[-1]))
    both = float(max(a[-1], b[-1]) - min(a[0], b[0]))
    if high - low <= _LEAST_SHARE * both:
        of_anchor, of_other = (_range(points, what) for points in (anchor, other))
        raise InputError(
            f"the curves have no {what} in common: the anchor's is {of_anchor}, the other's "
            f"{of_other}"
        )
    return Overlap(low, high, (high - low) / both)


def _mean(
    x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], common: Overlap, method: str
) -> float:
    """The mean of the interpolated ``y(x)`` over the common range, integrated exactly."""
    from scipy.interpolate import Akima1DInterpolator, PchipInterpolator

    if method not in ("akima", "pchip"):
        raise InputError(f"method {method!r} is not allowed; it is akima or pchip")
    akima = method == "akima" and len(x) >= _AKIMA_POINTS
    with np.errstate(all="ignore"):  # what comes of it is checked by _finite
        try:
            pieces = (Akima1DInterpolator if akima else PchipInterpolator)(x, y)
        except ValueError:  # x of two points is the same once rounded, or a slope overflows
            raise InputError(_TOO_CLOSE) from None
        # The ends may have been rounded past the points by a logarithm.
        low, high = max(common.low, float(x[0])), min(common.high, float(x[-1]))
        return float(pieces.integrate(low, high)) / (high - low)


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise InputError(_TOO_CLOSE)
    return float(value)


def _count(points: Curve) -> str:
    left_out = [
        f"{count} {why}"
        for count, why in ((points.not_finite, "not finite"), (points.dominated, "dominated"))
        if count
    ]
    return ", ".join([str(len(points)), *left_out])


def _range(points: Curve, what: str) -> str:
    values = points.quality if what == "quality" else points.rate
    return f"{values[0]:.4g} to {values[-1]:.4g}"
