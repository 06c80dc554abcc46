"""From predicted to measured: rungs whose bytes were all measured, and fill the budget.

The first choice stands on predicted curves. What it asks for is measured, which shows by how much
the bytes are off; steps of as few images as possible bring them back under the budget, or fill it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np

from ratewise.codecs.allocation import Curves, Rungs, allocate, combine, fill, spent, trim
from ratewise.codecs.curves import Shape, predict
from ratewise.codecs.points import Points

Measure: TypeAlias = Callable[[Mapping[int, int], Rungs], None]
"""Encodes images (keys) at rungs (values); it is told the rungs of all images, too."""

ENOUGH = 0.995
"""With this share of the budget used, no more images are encoded to use the rest."""

LEAST = 0.98
"""At least this share is used, where the operating points allow."""

_ROUNDS = 12
"""After so many rounds only what was measured is chosen among: where a codec's curve is flat, no
prediction can tell its rungs apart."""

_WOBBLES = 3
"""Where a distortion need not fall from point to point, predictions are worst where they look best,
so the whole choice is made anew after so many rounds, not after the first alone."""

_FEW = 8
"""So few images are chosen together, as steps of one of them are too large to fill a budget."""

_AROUND = 6
"""Few images are measured at so many rungs to each side of their choice: predictions are a few
rungs off, and with few images those do not average out."""

_SEARCHABLE = 512
"""Up to so many images, combinations are searched where single steps leave too much."""


def settle(
    points: Points,
    shape: Shape,
    logarithmic: bool,
    budget: int,
    measure: Measure,
    start: Rungs | None = None,
    *,
    monotone: bool = True,
) -> Rungs:
    """The rung of each image, -1 for those that are not alive; all of them are measured.

    ``measure`` encodes images (keys) at rungs (values) and adds what it finds to ``points``, or
    takes an image out of those alive; it is told the rungs chosen for all.
    Each image must have been measured at its worst rung, and these must keep to the budget. The
    result depends on the measurements alone, and on ``start``, an earlier result: where its rung
    of an image is not -1, steps are taken from there, so that few other images are encoded again.
    Where the distortion is not ``monotone``, bytes that buy nothing are left over.
    """
    rungs = np.full(len(points), -1, np.intp)
    size, distortion = predict(points, shape, logarithmic)
    rungs[points.alive] = _best(size, distortion, budget, monotone)
    rounds = 0
    if start is not None and points.alive.sum() > _FEW:
        kept = points.alive & (start >= 0)
        rungs[kept] = start[kept]
        rounds = 1
    rungs = _measured(points, shape, logarithmic, budget, measure, rungs, rounds, monotone)
    if 1 < points.alive.sum() <= _FEW:
        return _looked_around(points, shape, logarithmic, budget, measure, rungs, monotone)
    return rungs


def promising(
    points: Points, shape: Shape, logarithmic: bool, budget: int, most: int
) -> dict[int, tuple[int, ...]]:
    """The rungs to look at next, by image: ``most`` of those not measured, or as many as are left.

    They have the least predicted distortion plus price of their bytes, where the price is what a
    byte of ``budget`` costs. Where the distortion wobbles, what is measured there is what can be
    chosen for being lower than its neighbours. Each image must have been measured at its worst
    rung, and these must keep to the budget.
    """
    size, distortion = predict(points, shape, logarithmic)
    if not len(size):
        return {}
    cost = distortion + allocate(size, distortion, budget).price * size
    found: dict[int, tuple[int, ...]] = {}
    for place, image in enumerate(np.flatnonzero(points.alive)):
        known = points.row(int(image))[0]
        row = cost[place]
        row[known] = np.inf
        order = np.argsort(row, kind="stable")[: min(most, len(row) - len(known))]
        if len(order):
            found[int(image)] = tuple(sorted(int(rung) for rung in order))
    return found


def _measured(
    points: Points,
    shape: Shape,
    logarithmic: bool,
    budget: int,
    measure: Measure,
    rungs: Rungs,
    rounds: int,
    monotone: bool,
) -> Rungs:
    """``rungs``, changed until all are measured, keep to the budget and use it."""
    size, distortion = predict(points, shape, logarithmic)
    anew = 1 if monotone else _WOBBLES
    while True:
        missing = _unmeasured(points, rungs)
        if missing:
            measure(missing, rungs)
            rounds += 1
            rungs[~points.alive] = -1
            size, distortion = predict(points, shape, logarithmic)
            if rounds >= _ROUNDS:
                size, distortion = points.known(size, distortion)
        here = rungs[points.alive]
        used = spent(size, here)
        alone = len(here) == 1  # then nothing less than the best rung that fits will do
        if missing and (rounds <= anew or rounds >= _ROUNDS or len(here) <= _FEW):
            better = _best(size, distortion, budget, monotone)
        elif (1 if alone else ENOUGH) * budget <= used <= budget:
            return rungs
        else:
            better = fill(size, distortion, trim(size, distortion, here, budget), budget)
        if (better == here).all():
            if used >= (1 if alone else LEAST) * budget:
                return rungs
            other = _other_steps(points, size, distortion, here, budget, monotone)
            if other is None:
                return rungs
            better = other
        rungs[points.alive] = better


def _unmeasured(points: Points, rungs: Rungs) -> dict[int, int]:
    """The images, with their rungs, that are not measured at them yet."""
    wanted = {int(i): int(rungs[i]) for i in np.flatnonzero(rungs >= 0)}
    return {image: rung for image, rung in wanted.items() if not points.has(image, rung)}


def _looked_around(
    points: Points,
    shape: Shape,
    logarithmic: bool,
    budget: int,
    measure: Measure,
    rungs: Rungs,
    monotone: bool,
) -> Rungs:
    """The best rungs of a few images, all those near them measured too."""
    offsets = [sign * step for step in range(1, _AROUND + 1) for sign in (-1, 1)]
    while points.alive.any():
        for offset in offsets:
            there = np.where(points.alive, np.clip(rungs + offset, 0, len(shape) - 1), -1)
            missing = _unmeasured(points, there)
            if missing:
                measure(missing, there)
        size, distortion = points.known(*predict(points, shape, logarithmic))
        better = np.full(len(points), -1, np.intp)
        better[points.alive] = _best(size, distortion, budget, monotone)
        if (better == rungs).all():
            break
        rungs = better
    return np.where(points.alive, rungs, -1)


def _best(size: Curves, distortion: Curves, budget: int, monotone: bool) -> Rungs:
    """The rungs of least distortion on these curves."""
    if len(size) <= _FEW:
        for least in (LEAST * budget, 0) if monotone else (0,):
            found = combine(size, distortion, least, budget)
            if found is not None:
                return found
    return fill(size, distortion, allocate(size, distortion, budget).rungs, budget)


def _other_steps(
    points: Points,
    size: Curves,
    distortion: Curves,
    rungs: Rungs,
    budget: int,
    monotone: bool,
) -> Rungs | None:
    """Other rungs that may use :data:`LEAST` of the budget where no single step does."""
    if monotone and len(rungs) <= _SEARCHABLE and spent(size, rungs) < LEAST * budget:
        found = combine(size, distortion, LEAST * budget, budget)
        if found is not None:
            return found
    # Predicted bytes may be too high: try what must cost more than the rung below it, and fits.
    left = budget - spent(size, rungs)
    tries = []
    for place, image in enumerate(np.flatnonzero(points.alive)):
        known, known_size, _ = points.row(int(image))
        above = np.searchsorted(known, np.arange(size.shape[1]))
        at_least = known_size[np.maximum(above - 1, 0)]
        costs = size[place] - size[place, rungs[place]]
        open_ = (at_least - size[place, rungs[place]] < left) & (costs > left)
        open_ &= distortion[place] < distortion[place, rungs[place]]
        open_[known] = False
        tries += [(costs[rung], place, rung) for rung in np.flatnonzero(open_)]
    if not tries:
        return None
    _, place, rung = min(tries)
    found = rungs.copy()
    found[place] = rung
    return found
