"""Making a store of the smallest files on which a model predicts as on the originals.

Each image is tried at the rungs of the codec's ladder from the worst upwards, and the first that
agrees ends it: agreement need not grow with quality, so a search by halves could stop at a larger
file than needed. What was tried is noted; then the rungs are chosen, and the images encoded at
them.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from ratewise.codecs.allocation import Curves, Rungs
from ratewise.codecs.budget_objective import Objective
from ratewise.codecs.points import Points
from ratewise.data.fitting import FittedSummary, fit_store
from ratewise.data.measuring import Sweep
from ratewise.data.rate_control import Agreement, RateControl, budget_ladder, spell_points
from ratewise.data.rounds import Rounds
from ratewise.data.sources import Source
from ratewise.errors import InputError
from ratewise.execution import Failure, Resources

__all__ = ["check_agreement", "compress_to_agreement"]

_MOST = 128
"""Rungs that are tried: of a ladder with more, so many that are spread evenly over it."""

_CLOSE = 1e-12
"""So much a share of pixels may be under the one asked, for the rounding of their quotient."""

_CHANGED = (
    "encodes to other bytes than before: the codec's encoder is not deterministic, or the image's "
    "file changed while the store was made"
)


def check_agreement(agreement: float, name: str = "agreement") -> None:
    """Raise :class:`InputError` for a share that is none; ``name`` is what the message calls it."""
    if not 0 < agreement <= 1:
        raise InputError(f"{name} = {agreement:g}: must be above 0 and at most 1")


def compress_to_agreement(
    source: Source,
    destination: Path,
    codec_spec: str,
    agreement: float,
    *,
    disagreement: Objective,
    of: Literal["images", "pixels"],
    resources: Resources = Resources(),
    quiet: bool = True,
) -> FittedSummary:
    """Encode each image of ``source`` to the smallest file on which a model predicts as before.

    ``disagreement`` measures the share of a decoded image's predictions that differ from those on
    the original. With ``of="pixels"`` at most ``1 - agreement`` of the pixels of each image may;
    an image that no operating point brings there has the finest. With ``of="images"`` the one
    prediction of an image agrees or does not, and ``agreement`` is the share of the images of the
    store that must: those that may disagree are the ones that save most bytes by it, and are at
    their smallest; if more disagree everywhere than may, the rest of them have the finest. An
    image here is one of the store, so a tile is one.

    Like :func:`ratewise.data.budget.compress_to_budget` in all else, and in what it raises.
    """
    check_agreement(agreement)
    rungs = budget_ladder(codec_spec)
    control = RateControl(
        None,
        disagreement.name,
        spell_points(rungs),
        model=disagreement.model,
        agreement=Agreement(agreement, of),
    )

    def fit(rounds: Rounds) -> RateControl:
        limit = 1 - agreement + _CLOSE if of == "pixels" else 0.0
        _measure(rounds, limit)
        chosen = _choose(rounds.points, limit, agreement, of)
        for index in sorted(rounds.write(chosen)):
            rounds.drop(index, Failure("CodecError", _CHANGED))
        reached = _reached(rounds.points, chosen, limit, agreement, of)
        return replace(control, agreement=reached)

    return fit_store(
        source, destination, rungs, disagreement, control, fit, resources=resources, quiet=quiet
    )


def _measure(rounds: Rounds, limit: float) -> None:
    count = len(rounds.scales.rungs)
    tried = np.unique(np.linspace(0, count - 1, min(count, _MOST)).round().astype(int))
    rungs = tuple(int(rung) for rung in tried)
    items = {index: Sweep(task, rungs, limit) for index, task in enumerate(rounds.tasks)}
    for index, tiles in rounds.sweep(items, 0):
        first = len(rounds.points)
        rounds.images[index] = range(first, first + len(tiles))
        for tile in tiles:
            image = rounds.points.new_image()
            for point in tile:
                rounds.points.add(image, *point)


def _choose(
    points: Points, limit: float, agreement: float, of: Literal["images", "pixels"]
) -> Rungs:
    """The rung of each image, -1 for those that failed."""
    chosen = np.full(len(points), -1, np.intp)
    savings: list[tuple[bool, int, int, int]] = []
    for image in map(int, np.flatnonzero(points.alive)):
        rungs, size, distortion = points.row(image)
        agrees = distortion <= limit
        best = _last_least(np.where(agrees, size, np.inf)) if agrees.any() else len(rungs) - 1
        least = _last_least(size)
        chosen[image] = rungs[best]
        saved = int(size[best] - size[least])
        savings.append((not agrees.any(), saved, -image, int(rungs[least])))
    if of == "images":
        # Those that agree nowhere count among those that may disagree before any other.
        may = len(savings) - _required(agreement, len(savings))
        for _, _, image, rung in sorted(savings, reverse=True)[:may]:
            chosen[-image] = rung
    return chosen


def _last_least(sizes: Curves) -> int:
    """The place of the smallest file; of several the last, which is the best picture."""
    return len(sizes) - 1 - int(sizes[::-1].argmin())


def _required(agreement: float, images: int) -> int:
    """How many images must agree."""
    return math.ceil(agreement * images - _CLOSE * images)


def _reached(
    points: Points, chosen: Rungs, limit: float, agreement: float, of: Literal["images", "pixels"]
) -> Agreement:
    """What the images that are in the store reach."""
    images = map(int, np.flatnonzero(points.alive))
    values = [points.distortion_at(image, int(chosen[image])) for image in images]
    agreeing = sum(value <= limit for value in values)
    required = len(values) if of == "pixels" else _required(agreement, len(values))
    reached = 1 - math.fsum(values) / len(values) if values else 0.0
    return Agreement(agreement, of, reached, max(0, required - agreeing))
