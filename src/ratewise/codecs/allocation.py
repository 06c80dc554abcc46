"""Sharing a budget of bytes among images whose rate-distortion curves are known.

An image's curve is a row of two arrays: ``bytes`` and ``distortion`` at each of the codec's rungs
(operating points), of shape ``(N, R)``; a rung that an image does not have is ``inf`` in both.
The distortion of a set is the sum over its images. Here are no images and no files.

For a price of a byte each image picks the rung of least ``distortion + price * bytes``, which lies
on the lower convex hull of its curve; the picks are optimal for the bytes that they add up to
(Shoham and Gersho 1988, "Efficient bit allocation for an arbitrary set of quantizers", theorem 1).
Bisection finds the lowest price that keeps to the budget, and what it leaves is filled greedily.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Rungs: TypeAlias = NDArray[np.intp]
Curves: TypeAlias = NDArray[np.float64]

_BLOCK = 4096
"""Rows that are weighed at a time, so that what is computed on the way stays small."""

_CLOSE = 1 + 1e-9
"""Two prices this close lead to the same picks but for exact ties, which :func:`fill` settles."""

_BRACKET = 8
"""Factor by which a price is raised or lowered until the wanted one lies between two of them: the
first guess is a mean slope, so a few steps do, and bisection halves the rest."""

_DEAREST, _FREE = 1e200, 1e-200
"""Prices beyond which the sum ``distortion + price * bytes`` is its one part alone; reached only
where slopes are infinite or 0. Far enough from the ends of a float that no product overflows."""

_BINS = 4096


@dataclass(frozen=True)
class Allocation:
    """The rung of each image, ``(N,)``, and the price of a byte that led to it (0: no limit)."""

    rungs: Rungs
    price: float


def allocate(size: Curves, distortion: Curves, budget: float) -> Allocation:
    """The rungs of least distortion by Lagrangian bisection; at most ``budget`` bytes in all.

    No rungs of as many bytes in all, or fewer, have less distortion. Up to one step of one
    image's hull (or of several images with equal slopes) may be left of the budget: see
    :func:`fill`. Raises ValueError if even the smallest files exceed the budget.
    """
    best = _least(distortion, size)
    if spent(size, best) <= budget:
        return Allocation(best, 0.0)
    smallest = _least(size, distortion)
    if spent(size, smallest) > budget:
        raise ValueError(f"{spent(size, smallest):.0f} bytes at least, but the budget is {budget}")
    low = high = _typical_slope(size, distortion, best, smallest)
    found = smallest
    while high < _DEAREST:
        rungs = _cheapest(size, distortion, high)
        if spent(size, rungs) <= budget:
            found = rungs
            break
        low, high = high, high * _BRACKET
    else:
        return Allocation(smallest, high)
    while low > _FREE and spent(size, _cheapest(size, distortion, low)) <= budget:
        low /= _BRACKET
    while high / low > _CLOSE:
        middle = (low * high) ** 0.5  # prices of images differ by orders of magnitude
        rungs = _cheapest(size, distortion, middle)
        if spent(size, rungs) <= budget:
            high, found = middle, rungs
        else:
            low = middle
    return Allocation(found, high)


def spent(size: Curves, rungs: Rungs) -> float:
    """The bytes of all images at ``rungs``."""
    return float(size[np.arange(len(rungs)), rungs].sum())


def fill(size: Curves, distortion: Curves, rungs: Rungs, budget: float) -> Rungs:
    """``rungs`` with steps up, best gain per byte first, until no step fits in ``budget``.

    A step takes one image to any other rung of less distortion.
    """
    rungs = rungs.copy()
    left = budget - spent(size, rungs)
    heap = list(_steps_up(size, distortion, rungs, left))
    heapq.heapify(heap)
    while heap:
        _, image, rung = heapq.heappop(heap)
        cost = size[image, rung] - size[image, rungs[image]]
        if cost <= left:
            rungs[image], left = rung, left - cost
        row = slice(image, image + 1)
        for slope, _, rung in _steps_up(size[row], distortion[row], rungs[row], left):
            heapq.heappush(heap, (slope, image, rung))
    return rungs


def trim(size: Curves, distortion: Curves, rungs: Rungs, budget: float) -> Rungs:
    """``rungs`` with steps down, least loss per byte first, until they keep to ``budget``.

    Raises ValueError if even the smallest files exceed it.
    """
    rungs = rungs.copy()
    over = spent(size, rungs) - budget
    heap = list(_steps_down(size, distortion, rungs))
    heapq.heapify(heap)
    while over > 0:
        if not heap:
            raise ValueError(f"the smallest files exceed the budget of {budget} bytes")
        _, image, rung = heapq.heappop(heap)
        over -= size[image, rungs[image]] - size[image, rung]
        rungs[image] = rung
        row = slice(image, image + 1)
        for slope, _, rung in _steps_down(size[row], distortion[row], rungs[row]):
            heapq.heappush(heap, (slope, image, rung))
    return rungs


def combine(size: Curves, distortion: Curves, low: float, high: float) -> Rungs | None:
    """The rungs of least distortion that take ``low`` to ``high`` bytes; None if there are none.

    Unlike steps of one image at a time it finds the combinations that fill a budget with few
    images: sets of images are joined one after the other and, of those whose bytes fall in one of
    4096 equal bins, the best is kept. Time and memory grow with ``N * R``.
    """
    smallest = size.min(axis=1)
    room = high - (smallest.sum() - np.cumsum(smallest))  # left for the images so far
    total, loss = np.zeros(1), np.zeros(1)
    history: list[tuple[Rungs, Rungs]] = []
    for row in range(len(size)):
        sums = (total[:, None] + size[row]).ravel()
        losses = (loss[:, None] + distortion[row]).ravel()
        fits = np.flatnonzero(sums <= room[row])
        bins = np.floor(sums[fits] * (_BINS / high))
        order = fits[np.lexsort((sums[fits], losses[fits], bins))]
        kept = np.floor(sums[order] * (_BINS / high))
        order = order[np.r_[True, kept[1:] != kept[:-1]][: len(order)]]
        if not len(order):
            return None
        total, loss = sums[order], losses[order]
        history.append((order // size.shape[1], order % size.shape[1]))
    enough = np.flatnonzero(total >= low)
    if not len(enough):
        return None
    state = enough[np.argmin(loss[enough])]
    rungs = np.zeros(len(size), np.intp)
    for row in reversed(range(len(size))):
        before, rung = history[row]
        rungs[row], state = rung[state], before[state]
    return rungs


def _blocks(count: int) -> Iterator[slice]:
    return (slice(start, start + _BLOCK) for start in range(0, count, _BLOCK))


def _least(first: Curves, then: Curves) -> Rungs:
    """Per row the place of the least of ``first``, and of ``then`` where several are equal."""
    found = np.zeros(len(first), np.intp)
    for block in _blocks(len(first)):
        rows = first[block]
        equal = rows == rows.min(axis=1, keepdims=True)
        found[block] = np.where(equal, then[block], np.inf).argmin(axis=1)
    return found


def _cheapest(size: Curves, distortion: Curves, price: float) -> Rungs:
    found = np.zeros(len(size), np.intp)
    for block in _blocks(len(size)):
        found[block] = (distortion[block] + price * size[block]).argmin(axis=1)
    return found


def _typical_slope(size: Curves, distortion: Curves, best: Rungs, smallest: Rungs) -> float:
    gain = spent(distortion, smallest) - spent(distortion, best)
    cost = spent(size, best) - spent(size, smallest)
    return gain / cost if gain > 0 and cost > 0 else 1.0


def _steps_up(
    size: Curves, distortion: Curves, rungs: Rungs, left: float
) -> Iterator[tuple[float, int, int]]:
    """Each row's best step that costs at most ``left``, as (minus gain per byte, row, rung)."""
    for block in _blocks(len(rungs)):
        here = rungs[block][:, None]
        cost = size[block] - np.take_along_axis(size[block], here, 1)
        gain = np.take_along_axis(distortion[block], here, 1) - distortion[block]
        possible = (gain > 0) & (cost <= left)
        with np.errstate(divide="ignore", invalid="ignore"):
            slope = np.where(cost > 0, gain / cost, np.inf)
        slope = np.where(possible, slope, -np.inf)
        rung = slope.argmax(axis=1)
        for row in np.flatnonzero(possible.any(axis=1)):
            yield -float(slope[row, rung[row]]), block.start + int(row), int(rung[row])


def _steps_down(size: Curves, distortion: Curves, rungs: Rungs) -> Iterator[tuple[float, int, int]]:
    """Each row's step to a smaller file of least (loss per byte), as (that, row, rung)."""
    for block in _blocks(len(rungs)):
        here = rungs[block][:, None]
        saved = np.take_along_axis(size[block], here, 1) - size[block]
        loss = distortion[block] - np.take_along_axis(distortion[block], here, 1)
        possible = saved > 0
        with np.errstate(divide="ignore", invalid="ignore"):
            slope = np.where(possible, loss / saved, np.inf)
        rung = slope.argmin(axis=1)
        for row in np.flatnonzero(possible.any(axis=1)):
            yield float(slope[row, rung[row]]), block.start + int(row), int(rung[row])
