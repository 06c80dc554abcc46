"""Finding where a rising curve passes a goal, when each point of it costs an encode.

A codec's bytes and PSNR rise with its rungs, nearly as they do on other images. So the search
starts where the *expected* curve passes the goal, moves it through what is measured, and looks
where it passes now. Every guess is kept inside the bracket of what is known, and near enough to
its middle that the measurements left would do for bisection: the idea of the ITP method
(Oliveira and Takahashi 2020, "An enhancement of the bisection method average performance
preserving minmax optimality", section 2), here for whole numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Curve: TypeAlias = NDArray[np.float64]

_FARTHEST = 4.0
"""An image is taken to be at most so many spreads away from the mean of images."""

_MOST_STRETCH = 4.0
"""And its curve to be at most so much steeper or flatter."""

_FINE = 500
"""With so many rungs, one more or less says little."""


@dataclass(frozen=True)
class Expected:
    """What is known of a curve before it is measured, per rung: its mean and spread over images.

    Both have shape ``(R,)``. Images differ by a multiple of ``spread``, above 0: a curve that lies
    one spread above the mean at a rung is expected to do so at all.
    """

    mean: Curve
    spread: Curve

    def __len__(self) -> int:
        return len(self.mean)

    def through(self, points: Sequence[tuple[int, float]]) -> Curve:
        """The expected curve through none, one or two measured points ``(rung, value)``.

        The first point says how many spreads from the mean the curve lies; the second stretches
        it, within reason. It never falls.
        """
        if not points:
            return np.maximum.accumulate(self.mean)
        (rung, value), *others = points
        score = np.clip((value - self.mean[rung]) / self.spread[rung], -_FARTHEST, _FARTHEST)
        curve = np.maximum.accumulate(self.mean + score * self.spread)
        curve -= curve[rung]
        for other, wanted in others:
            if curve[other]:
                curve *= np.clip((wanted - value) / curve[other], 1 / _MOST_STRETCH, _MOST_STRETCH)
        return curve + value


def most_measurements(rungs: int) -> int:
    """The most that :func:`first_above` measures of ``rungs`` rungs: ``ceil(log2(rungs)) + 2``."""
    return (rungs - 1).bit_length() + 2


def first_above(
    measure: Callable[[int], float],
    expected: Expected,
    goal: float,
    *,
    equal_is_above: bool,
) -> int:
    """The first rung whose value is above ``goal``; the number of rungs if none is.

    ``measure(rung)`` gives a value of a curve that rises or stays, which is infinite at most at
    its end; it is asked once per rung. The rung that is returned and the one before it, if there
    are such, were measured: the first is above ``goal`` and the other is not, also where the curve
    falls in between and there are several such places. ``equal_is_above`` says where a value that
    equals ``goal`` belongs. At most :func:`most_measurements` rungs are measured.
    """
    count = len(expected)
    below, above = -1, count  # of the rungs measured, the last below and the first above
    values: dict[int, float] = {}
    for left in range(most_measurements(count) - 1, -1, -1):
        if above - below == 1:
            break
        rung = _guess(expected, goal, below, above, values, equal_is_above)
        reach = 2**left  # what the measurements left can bisect
        lowest, highest = max(below + 1, above - reach), min(above - 1, below + reach)
        rung = min(max(rung, lowest), highest)
        value = values[rung] = measure(rung)
        if value >= goal if equal_is_above else value > goal:
            above = rung
        else:
            below = rung
    return above


def _guess(
    expected: Expected,
    goal: float,
    below: int,
    above: int,
    values: dict[int, float],
    equal_is_above: bool,
) -> int:
    """The rung that is expected to lie nearest to the goal, or just beyond it.

    Not necessarily between ``below`` and ``above``.
    """
    known = [(rung, value) for rung, value in values.items() if np.isfinite(value)]
    known.sort(key=lambda point: abs(point[1] - goal))
    both = [point for point in known if point[0] in (below, above)]
    curve = expected.through(both if len(both) == 2 else known[:2])
    first = int(np.searchsorted(curve, goal, side="left" if equal_is_above else "right"))
    first = min(max(first, below + 1), above)
    if first - 1 <= below:
        rung = below + 1
    elif first >= above:
        rung = above - 1
    elif len(both) == 1:  # the side that is not known yet
        rung = first if both[0][0] == below else first - 1
    else:
        rung = first if curve[first] - goal < goal - curve[first - 1] else first - 1
    if len(both) == 1 and len(known) > 1:  # always on one side: step further, to see the other
        last, flat = both[0][0], known[0][1] == known[1][1]
        further = abs(rung - last) // 2 + len(expected) // _FINE + int(flat)
        rung += further if rung > last else -further
    return rung
