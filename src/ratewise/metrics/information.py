"""Semantic information loss, estimated from held-out cross-entropies.

The driving paper (section III-C) defines it as ``S = I(X, Y) - I(X^, Y)``, with X an image, X^ its
compressed version and Y its labels. ``I(X, Y) = H(Y) - H(Y|X)``, and the cross-entropy of any
model on images that it was not trained on is at least ``H(Y|X)`` on average: each ``H(Y) - CE`` is
a lower bound of an information. H(Y) cancels in the difference, and what is left,
``CE(X^) - CE(X)``, is a difference of two lower bounds: an estimate, and no bound in either
direction. It may be negative, which S cannot.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ratewise.errors import InputError

CONFIDENCE = 0.95


@dataclass(frozen=True)
class InformationLoss:
    """Bits per pixel: the mean over seeds with its interval, and the value of each seed.

    ``low`` and ``high`` are NaN where there is only one unit to draw from.
    """

    mean: float
    low: float
    high: float
    seeds: tuple[float, ...]
    units: int


def information_loss(
    reference: NDArray[np.float64],
    other: NDArray[np.float64],
    pixels: NDArray[np.float64],
    units: NDArray[np.integer],
    *,
    resamples: int = 2_000,
    seed: int = 0,
) -> InformationLoss:
    """``CE(other) - CE(reference)`` in bits per pixel, with a 95 % interval.

    ``reference`` and ``other`` ``(seeds, N)`` are the bits that the labels of N images cost under
    models on originals and on compressed images, ``pixels (N,)`` how many labels they are, and
    ``units (N,)`` which images belong together (tiles of one frame).

    Whole units are drawn with replacement, the same for both models and all seeds: the difference
    is paired. With one seed the interval is the middle 95 % of what comes out. With several, the
    variance of the mean over seeds is added and Student's distribution taken, with Welch and
    Satterthwaite's degrees of freedom: drawing from two to four seeds with replacement instead
    would give too narrow an interval. The temperatures count as known.
    """
    if reference.shape != other.shape or reference.ndim != 2:
        raise InputError(f"cross-entropies of {reference.shape} and {other.shape} are no pairs")
    count = reference.shape[1]
    if pixels.shape != (count,) or units.shape != (count,) or not pixels.sum() > 0:
        raise InputError("the images of the cross-entropies have no labelled pixels")
    _, owner = np.unique(units, return_inverse=True)
    sizes = np.bincount(owner, pixels).astype(np.float64)
    sums = [np.bincount(owner, row) for row in other - reference]
    differences = np.stack(sums).astype(np.float64)
    values = differences.sum(1) / sizes.sum()
    low, high = _interval(differences, sizes, values, resamples, np.random.default_rng(seed))
    return InformationLoss(
        float(values.mean()), low, high, tuple(float(v) for v in values), len(sizes)
    )


def _interval(
    differences: NDArray[np.float64],
    sizes: NDArray[np.float64],
    values: NDArray[np.float64],
    resamples: int,
    rng: np.random.Generator,
) -> tuple[float, float]:
    units, seeds = len(sizes), len(values)
    if units < 2:
        return math.nan, math.nan
    drawn = rng.multinomial(units, np.full(units, 1 / units), size=resamples)
    totals = drawn @ sizes
    means = (drawn @ differences.mean(0))[totals > 0] / totals[totals > 0]
    tail = (1 - CONFIDENCE) / 2
    if seeds == 1:
        low, high = np.quantile(means, (tail, 1 - tail))
        return float(low), float(high)
    from scipy.stats import t

    parts = np.array([means.var(ddof=1), values.var(ddof=1) / seeds])
    variance = float(parts.sum())
    if variance == 0:
        return float(values.mean()), float(values.mean())
    freedom = variance**2 / float((parts**2 / (units - 1, seeds - 1)).sum())
    half = float(t.ppf(1 - tail, freedom)) * math.sqrt(variance)
    return float(values.mean()) - half, float(values.mean()) + half
