"""What a study offers: its points, and estimates between them by curves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from ratewise.study.advise.cost import ORIGINALS, Point, Sample
from ratewise.study.advise.learning_curves import (
    MIN_RATES,
    MIN_SIZES,
    LearningCurve,
    RateCurve,
    Values,
    fit_learning_curve,
)

STUDIED, LEARNING, RATE = "studied", "learning curve", "rate curve"
"""Where an option's accuracy comes from."""

_STEPS = 500


@dataclass(frozen=True)
class Option:
    """Something to collect: ``images`` images through ``configuration`` at ``codec``.

    ``cost`` in bytes, ``accuracy`` from 0 to 1, ``std`` that of a single model: over seeds
    where it was ``studied``, else as the curve has it; NaN where it is not known. ``bpp`` is the
    rate of the training images; of a rate curve ``codec`` names the neighbours.
    """

    configuration: str
    codec: str
    family: str
    bpp: float
    images: float
    cost: float
    accuracy: float
    std: float
    seeds: int
    basis: str


@dataclass(frozen=True)
class Curve:
    """The learning curve of a configuration at a codec, and the cost along it.

    ``costs`` are those of ``sizes`` images (ascending); between them cost is linear.
    """

    points: tuple[Point, ...]
    fitted: LearningCurve
    sizes: Values
    costs: Values

    def options(self) -> list[Option]:
        """Whole numbers of images all along the curve."""
        low, high = int(np.ceil(self.fitted.low)), int(self.fitted.high)
        counts = np.unique(np.rint(np.geomspace(low, high, _STEPS)).astype(np.int64))
        accuracies, stds = self.fitted.accuracy(counts), self.fitted.std(counts)
        costs, first = np.interp(counts, self.sizes, self.costs), self.points[0]
        bpp = float(np.mean([point.bpp for point in self.points]))
        return [
            Option(first.curve, first.codec, first.family, bpp, float(n), float(cost), float(y),
                   float(std), self.fitted.count, LEARNING)
            for n, cost, y, std in zip(counts, costs, accuracies, stds, strict=True)
        ]  # fmt: skip


def studied(points: Iterable[Point]) -> list[Option]:
    """The points themselves."""
    return [
        Option(p.curve, p.codec, p.family, p.bpp, p.images, p.cost, p.accuracy, p.std,
               len(p.samples), STUDIED)
        for p in points
    ]  # fmt: skip


def learning_curves(points: Sequence[Point]) -> list[Curve]:
    """One for each configuration and codec that was studied with three or more image shares."""
    curves = []
    for group in _grouped(points, lambda p: (p.curve, p.codec)):
        ordered = sorted(group, key=lambda p: (p.images, p.cost))
        # Budgets that buy all images give the same models as all images do.
        samples = list(dict.fromkeys(s for p in ordered for s in p.samples))
        sizes, costs = _cost_by_size(samples)
        if len({p.images for p in ordered}) >= MIN_SIZES:
            fitted = fit_learning_curve([s.images for s in samples], [s.accuracy for s in samples])
            curves.append(Curve(tuple(ordered), fitted, sizes, costs))
    return curves


def rate_options(points: Sequence[Point]) -> list[Option]:
    """Rates between the operating points of each configuration with three or more of them."""
    options: list[Option] = []
    compressed = [p for p in points if p.codec != ORIGINALS and p.bpp > 0]
    for group in _grouped(compressed, lambda p: (p.configuration, p.family)):
        ordered = [p for _, p in sorted({p.bpp: p for p in group}.items())]
        if len(ordered) < MIN_RATES:
            continue
        curve = RateCurve(
            *(np.array([getattr(p, name) for p in ordered], dtype=np.float64)
              for name in ("bpp", "accuracy", "std", "cost", "images"))
        )  # fmt: skip
        rates = np.geomspace(curve.bpp[0], curve.bpp[-1], _STEPS)[1:-1]
        above = np.searchsorted(curve.bpp, rates)
        values = zip(rates, above, *curve.at(rates), strict=True)
        for rate, i, accuracy, std, cost, images in values:
            low, high = ordered[i - 1], ordered[i]
            options.append(
                Option(low.curve, f"between {low.codec} and {high.codec}", low.family,
                       float(rate), float(images), float(cost), float(accuracy), float(std),
                       min(len(low.samples), len(high.samples)), RATE)
            )  # fmt: skip
    return options


def _cost_by_size(samples: Iterable[Sample]) -> tuple[Values, Values]:
    by_size: dict[int, list[float]] = {}
    for sample in samples:
        by_size.setdefault(sample.images, []).append(sample.cost)
    sizes = sorted(by_size)
    return (
        np.array(sizes, dtype=np.float64),
        np.array([np.mean(by_size[n]) for n in sizes], dtype=np.float64),
    )


def _grouped(points: Iterable[Point], key: Callable[[Point], tuple[str, str]]) -> list[list[Point]]:
    return [list(group) for _, group in groupby(sorted(points, key=key), key)]
