"""Where curves over the rate reach a level, and where two of them cross.

Curves are interpolated by Fritsch and Carlson's monotone cubic (PCHIP) over the logarithm of the
rate, as in :mod:`ratewise.metrics.bjontegaard`; two points make a straight line. Nothing is said
outside of the points.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ratewise.errors import InputError
from ratewise.metrics.bjontegaard import MINIMUM_POINTS, Curve, Values

_NEAR = 1e-9  # relative; a level that equals an end of the curve is reached there


class AboveCurveError(InputError):
    """A level that a curve exceeds at its lowest rate already."""


@dataclass(frozen=True)
class Crossings:
    """Where a difference of two curves changes its sign: ``rates``, ascending, and the sign (-1, 0
    or 1) that it has at the lowest and at the highest rate."""

    rates: tuple[float, ...]
    below: int
    above: int


def rate_at(curve: Curve, level: float) -> float:
    """The rate at which a curve reaches the quality ``level``.

    Raises :class:`InputError` with a sentence for a curve of under two points and for a level that
    it does not reach, :class:`AboveCurveError` for one that it exceeds at its lowest rate.
    """
    from scipy.interpolate import PchipInterpolator

    if len(curve) < MINIMUM_POINTS:
        raise InputError(
            f"the curve has too few points ({len(curve)}; {MINIMUM_POINTS} are needed)"
        )
    low, high = float(curve.quality[0]), float(curve.quality[-1])
    if level < low - _NEAR * abs(low):
        raise AboveCurveError("the curve is above this level at its lowest rate already")
    if level > high + _NEAR * abs(high):
        raise InputError("the curve does not reach this level at its highest rate")
    pieces = PchipInterpolator(curve.quality, np.log(curve.rate))
    return math.exp(float(pieces(min(max(level, low), high))))


def crossings(rate: Values, difference: Values) -> Crossings:
    """Where the difference of two curves, known at the rates ``rate``, changes its sign.

    Raises :class:`InputError` for under two points, for a rate that stands twice or is not above 0.
    """
    from scipy.interpolate import PchipInterpolator

    rates, values = np.asarray(rate, float), np.asarray(difference, float)
    if len(rates) < MINIMUM_POINTS or rates.shape != values.shape:
        raise InputError(f"a crossing needs {MINIMUM_POINTS} points at least, not {len(rates)}")
    order = np.argsort(rates)
    rates, values = rates[order], values[order]
    if rates[0] <= 0 or (np.diff(rates) <= 0).any():
        raise InputError("rates must be above 0 and differ")
    pieces = PchipInterpolator(np.log(rates), values)
    found: list[float] = []
    for (left, a), (right, b) in zip(
        zip(np.log(rates[:-1]), values[:-1], strict=True),
        zip(np.log(rates[1:]), values[1:], strict=True),
        strict=True,
    ):  # the pieces are monotone, so that each has one root if its ends differ in sign, else none
        if a * b < 0:
            roots = pieces.roots(extrapolate=False)
            inside = roots[(roots >= left) & (roots <= right)]
            found.append(math.exp(float(inside[0])))
    # A point at exactly 0 is a crossing where the sign differs on both sides of it.
    found += [
        float(rates[index])
        for index in range(1, len(rates) - 1)
        if values[index] == 0 and values[index - 1] * values[index + 1] < 0
    ]
    return Crossings(tuple(sorted(found)), int(np.sign(values[0])), int(np.sign(values[-1])))
