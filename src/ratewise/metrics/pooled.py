"""The difference between two ways of training, pooled over operating points, with an interval.

Both ways were run at several operating points, with one or more seeds, and tested on the same
images. The difference ``d[p, s, i]`` of point p, seed s and image i varies with the images that
happened to be in the test set and with the seeds that happened to be drawn; the interval holds
both. Its two levels are drawn anew in every resample:

- *Images*, with replacement, the same for all points and seeds. What an image contributes is its
  difference averaged over runs. A part of how these averages vary is chance of single runs; the
  level of the seeds holds that already, and what is drawn twice makes an interval too wide
  (A. B. Owen, "The pigeonhole bootstrap", Annals of Applied Statistics 1(2), 2007), so that it is
  taken out here.
- *Seeds*: each run's deviation from the mean of its point is drawn, with replacement, from those of
  all runs at points with several seeds, so that points with one seed have their share of it. The
  deviations are widened by ``sqrt(S / (S - 1))``, as those of S runs from their own mean are too
  small, and those of a resample by ``sqrt(n / chi2(n))``, n degrees of freedom, as the spread of
  few runs is itself uncertain (what Student's distribution does).

Operating points are not drawn: they are the ones that were asked about. Runs of one seed at
different points count as independent, which they are if a seed only shuffles; where it also made
the model that all begin with, the interval is a little too narrow.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ratewise.errors import InputError
from ratewise.metrics.paired import CONFIDENCE

Outcomes: TypeAlias = NDArray[Any]
"""What became of each test image under each seed, ``(seeds, images)``: whether it was right, or a
score."""

_TOGETHER = 4_000_000  # counts drawn at once
_Values: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class PooledDifference:
    """The mean difference with the interval ``low`` to ``high``, and what it rests on.

    ``points`` are the means of the operating points. ``runs`` counts pairs of runs (points times
    their seeds). ``freedom`` is the number of runs less that of points, among points with several
    seeds: where it is 0 nothing is known of the chance of seeds, and the interval is that of images
    alone.
    """

    mean: float
    low: float
    high: float
    points: tuple[float, ...]
    images: int
    runs: int
    freedom: int

    @property
    def detectable(self) -> float:
        """Half the width of the interval: the smallest mean difference that would have put 0
        outside of it. (To be found in 80 % of such studies, a difference must be about 1.4 times
        as large.)"""
        return (self.high - self.low) / 2

    @property
    def clear(self) -> bool:
        """Whether 0 lies outside of the interval."""
        return self.low > 0 or self.high < 0


def pooled_difference(
    points: Sequence[tuple[Outcomes, Outcomes]],
    *,
    resamples: int = 4_000,
    seed: int = 0,
    confidence: float = CONFIDENCE,
) -> PooledDifference:
    """The second of each pair of outcomes minus the first, averaged over images, seeds and points.

    ``points`` has for each operating point the outcomes of both ways of training, ``(S, N)`` each:
    the same S seeds in the same order, and the same N images in the same order at all points.
    Booleans are counted as 0 and 1, so that the difference is one of accuracies; every point weighs
    the same. The same ``seed`` gives the same interval.

    Raises :class:`InputError` for no points, shapes that are no such pairs, fewer than two images,
    values that are not finite, fewer than 100 resamples, or a confidence not between 0 and 1.

    >>> right = np.array([[True, False, True, True]])
    >>> pooled_difference([(right, np.ones_like(right))]).mean
    0.25
    """
    if resamples < 100:
        raise InputError(f"resamples = {resamples} are too few for an interval; take 100 or more")
    if not 0 < confidence < 1:
        raise InputError(f"confidence {confidence} is not allowed; it is between 0 and 1")
    differences = _differences(points)
    rng = np.random.default_rng(seed)
    of_images = np.mean([one.mean(axis=0) for one in differences], axis=0)
    means = [float(one.mean()) for one in differences]
    mean = math.fsum(means) / len(means)
    freedom = sum(len(one) - 1 for one in differences)
    drawn = mean + _shared(differences, of_images) * (
        _draw_images(of_images, resamples, rng) - mean
    )
    if freedom:
        drawn += _draw_seeds(differences, freedom, resamples, rng)
    tail = (1 - confidence) / 2
    low, high = np.quantile(drawn, (tail, 1 - tail))
    runs = sum(len(one) for one in differences)
    return PooledDifference(
        mean, float(low), float(high), tuple(means), of_images.size, runs, freedom
    )


def _differences(points: Sequence[tuple[Outcomes, Outcomes]]) -> list[_Values]:
    """After minus before at each point, ``(S, N)`` each."""
    if not points:
        raise InputError("there are no operating points to pool")
    found = []
    for before, after in points:
        if before.shape != after.shape or before.ndim != 2 or not before.size:
            raise InputError(
                f"outcomes {before.shape} and {after.shape} are no pair of (seeds, images)"
            )
        found.append(after.astype(np.float64) - before.astype(np.float64))
    counts = sorted({one.shape[1] for one in found})
    if len(counts) > 1:
        raise InputError(
            f"the operating points have {counts[0]} and {counts[-1]} images; all must have the same"
        )
    if counts[0] < 2:
        raise InputError("an interval needs two images or more")
    if not all(np.isfinite(one).all() for one in found):
        raise InputError("an outcome is not a finite number")
    return found


def _shared(differences: Sequence[_Values], of_images: _Values) -> float:
    """What is left of the deviations of images without the chance of single runs, 0 to 1.

    The chance of image and run together is what two-way analysis of variance calls interaction; it
    can be told at points with several seeds.
    """
    total = float(of_images.var(ddof=1))
    squares, freedom = 0.0, 0
    for one in differences:
        if len(one) > 1:
            rest = one - one.mean(axis=0) - one.mean(axis=1, keepdims=True) + one.mean()
            squares += float((rest**2).sum())
            freedom += (len(one) - 1) * (one.shape[1] - 1)
    if not freedom or not total:
        return 1.0
    chance = squares / freedom * sum(1 / len(one) for one in differences) / len(differences) ** 2
    return math.sqrt(max(0.0, 1 - chance / total))


def _draw_images(of_images: _Values, resamples: int, rng: np.random.Generator) -> _Values:
    """Means of as many images drawn with replacement, ``(resamples,)``.

    Few different values occur among correct and wrong answers, so that drawing how often each of
    them comes is the same and far cheaper.
    """
    values, counts = np.unique(of_images, return_counts=True)
    images, step = of_images.size, max(1, _TOGETHER // values.size)
    sizes = [min(step, resamples - start) for start in range(0, resamples, step)]
    drawn = [rng.multinomial(images, counts / images, size=size) @ values for size in sizes]
    means: _Values = np.concatenate(drawn) / images
    return means


def _draw_seeds(
    differences: Sequence[_Values], freedom: int, resamples: int, rng: np.random.Generator
) -> _Values:
    """What other seeds would add to the mean over points, ``(resamples,)``."""
    deviations = []
    for one in differences:
        if len(one) > 1:
            of_runs = one.mean(axis=1)
            widened = math.sqrt(len(one) / (len(one) - 1))
            deviations.append(widened * (of_runs - of_runs.mean()))
    pool = np.concatenate(deviations)
    added = np.zeros(resamples)
    for one in differences:
        added += rng.choice(pool, size=(resamples, len(one))).mean(axis=1)
    spread: _Values = np.sqrt(freedom / rng.chisquare(freedom, size=resamples))
    scaled: _Values = added / len(differences) * spread
    return scaled
