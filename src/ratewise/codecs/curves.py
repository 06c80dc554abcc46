"""Rate-distortion curves of images at all rungs of a ladder, from the few that were encoded.

What is measured is kept as it is. Between, the logarithm of the bytes and the distortion follow
the *shape* of the codec on this source: its mean curve over a few images that were encoded at many
rungs, stretched to go through the image's own points. So it does not matter how uneven the steps
of a codec's operating point are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ratewise.codecs.allocation import Curves, Rungs
from ratewise.codecs.points import Points

_LEAST_STEP = 1e-6
"""Between two rungs of a shape, so that it can be inverted where a codec's curve is flat."""

_STEEPEST = 2.0
"""An image's curve beyond its points rises at most so much more than the shape."""


@dataclass(frozen=True)
class Shape:
    """The mean curve of a codec over a few images, per rung: log bytes and distortion.

    Both are strictly monotone: ``size`` rises and ``distortion`` falls.
    """

    size: Curves
    distortion: Curves

    def __len__(self) -> int:
        return len(self.size)

    def samples(self, count: int) -> Rungs:
        """At most ``count`` rungs from the worst to the best, evenly spread over the bytes' log."""
        wanted = np.linspace(self.size[0], self.size[-1], count)
        places = np.interp(wanted, self.size, np.arange(len(self)))
        return np.unique(np.rint(places).astype(np.intp))


def shape_of(points: Points, rungs: int, logarithmic: bool) -> Shape:
    """The shape of the images in ``points``, each of which has at least two of ``rungs`` rungs."""
    every = np.arange(rungs, dtype=float)
    even = Shape(every, -every)
    size, distortion = predict(points, even, logarithmic)
    if logarithmic:
        distortion = np.log(_above_zero(distortion))
    steps = _LEAST_STEP * every
    return Shape(
        np.maximum.accumulate(np.log(np.maximum(size, 1)).mean(axis=0)) + steps,
        np.minimum.accumulate(distortion.mean(axis=0)) - steps,
    )


def predict(points: Points, shape: Shape, logarithmic: bool) -> tuple[Curves, Curves]:
    """Bytes and distortion, ``(M, R)``, of the ``M`` images alive at every rung of ``shape``.

    ``logarithmic``: the distortion is above 0 and its logarithm is what follows the shape.
    16 bytes per image and rung.
    """
    rows = np.flatnonzero(points.alive)
    size, distortion = np.empty((len(rows), len(shape))), np.empty((len(rows), len(shape)))
    for place, image in enumerate(rows):
        rungs, known_size, known_distortion = points.row(int(image))
        log_size = np.log(np.maximum(known_size, 1))
        size[place] = np.exp(_stretched(shape.size, rungs, log_size))
        if logarithmic:
            logs = np.log(_above_zero(known_distortion))
            distortion[place] = np.exp(_stretched(shape.distortion, rungs, logs))
        else:
            distortion[place] = _stretched(shape.distortion, rungs, known_distortion)
        size[place, rungs], distortion[place, rungs] = known_size, known_distortion
    return size, distortion


def _above_zero(distortion: Curves) -> Curves:
    """``distortion`` for a logarithm: none (a lossless rung) counts as a millionth of the worst."""
    worst = distortion.max(axis=-1, keepdims=True)
    return np.maximum(distortion, np.where(worst > 0, 1e-6 * worst, 1.0))


def _stretched(shape: Curves, rungs: Rungs, values: Curves) -> Curves:
    """``shape`` made to pass through ``values`` at ``rungs``: linear in the shape between them."""
    known = shape[rungs]
    up = shape[-1] > shape[0]
    found = np.interp(shape if up else -shape, known if up else -known, values)
    ends = ((slice(None, rungs[0]), 0, 1), (slice(rungs[-1] + 1, None), -1, -2))
    for beyond, end, inner in ends:
        slope = 1.0
        if len(rungs) > 1:
            slope = float(
                np.clip((values[end] - values[inner]) / (known[end] - known[inner]), 0, _STEEPEST)
            )
        found[beyond] = values[end] + slope * (shape[beyond] - known[end])
    return np.asarray(found)


def spread(measure: Callable[[int], float], rungs: int, limit: float, most: int) -> Sequence[int]:
    """The rungs at which an image was measured, so that its bytes are spread over their log.

    ``measure`` gives the bytes at a rung. It is called upwards in even steps until the bytes are
    over ``limit``, then where the bytes of two neighbours are furthest apart, ``most`` times in
    all.
    """
    found: dict[int, float] = {}
    for rung in np.unique(np.linspace(0, rungs - 1, most // 2 + 1).round().astype(int)):
        found[int(rung)] = np.log(max(measure(int(rung)), 1))
        if found[int(rung)] > np.log(limit) and len(found) > 1:
            break
    while len(found) < most:
        known = sorted(found)
        gaps = [(found[b] - found[a], a, b) for a, b in pairwise(known) if b - a > 1]
        if not gaps:
            break
        _, low, high = max(gaps)
        middle = (low + high) // 2
        found[middle] = np.log(max(measure(middle), 1))
    return sorted(found)
