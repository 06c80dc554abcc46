"""The two passes that fit a store to a budget: measure every image at a few rungs, then encode."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np

from ratewise.codecs.allocation import Rungs, allocate, spent
from ratewise.codecs.curves import Shape, predict, shape_of
from ratewise.codecs.points import Points
from ratewise.codecs.settling import promising, settle
from ratewise.data.measurements import Tiles
from ratewise.data.measuring import Extra, Scout, Survey
from ratewise.data.rounds import Rounds
from ratewise.errors import InputError
from ratewise.execution import Failure

_SCOUTS = 4
_SCOUT_RUNGS = 12
_SAMPLES, _WOBBLY_SAMPLES = 5, 8
"""Rungs at which each image is measured: more where its distortion need not fall with them."""

_CLOSER, _CLOSER_RUNGS = 2, 4
"""There each image is also measured so many times more, at so many of the rungs that the price
likes best: a distortion that wobbles is much lower at some rungs than at their neighbours, and only
what is measured can be chosen for it."""

_SCOUTING, _SURVEY, _CHOICES = 0, 1, 2
"""Rounds of measurements; closer looks and choices count on from theirs. What is measured anew
after round n is noted as round -n, so that it is never taken for a choice (or a choice for it)."""

_CHANGES = (
    "encodes to other bytes each time: the codec's encoder is not deterministic, or the image's "
    "file changes while the store is made"
)


class Passes:
    """The two passes over the images of ``rounds``.

    :meth:`measure`, :meth:`choose` and :meth:`write` are called in this order. ``least`` is the
    bytes of all images at their smallest.
    """

    def __init__(self, rounds: Rounds) -> None:
        self.rounds = rounds
        self.tasks, self.points, self.images = rounds.tasks, rounds.points, rounds.images
        self.scales = rounds.scales
        self.least = 0
        self.shape = Shape(np.zeros(0), np.zeros(0))
        self.samples: tuple[int, ...] = ()
        self.price = float("inf")
        self.round = _CHOICES
        self.remeasured: set[int] = set()  # tasks whose bytes were not those measured, in this run

    # ----- pass 1 ---------------------------------------------------------------------------

    def measure(self, budget: int) -> bool:
        """Pass 1; whether the images fit in the budget at the worst rung."""
        scouted = self._scout(budget)
        if not scouted:
            return True  # not one image can be read
        self.samples, self.price = self._plan(scouted, budget)
        items = {
            index: Survey(task, self.samples, self.price, scouted.get(index))
            for index, task in enumerate(self.tasks)
            if index not in self.rounds.failures
        }
        for index, tiles in self.rounds.survey(items, _SURVEY):
            known = scouted.get(index)
            first = len(self.points)
            self.images[index] = range(first, first + len(tiles))
            for tile in range(len(tiles)):
                image = self.points.new_image()
                for point in [*tiles[tile], *(known[tile] if known else [])]:
                    self.points.add(image, *point)
        if not self._fits(budget):
            return False
        if not self.scales.objective.monotone:
            for _ in range(_CLOSER):
                self._look_closer(budget)
        return True

    def _look_closer(self, budget: int) -> None:
        positive = self.scales.objective.positive
        rungs = promising(self.points, self.shape, positive, budget, _CLOSER_RUNGS)
        items = {
            index: Extra(self.tasks[index], tuple(rungs.get(image, ()) for image in images))
            for index, images in self.images.items()
            if any(image in rungs for image in images)
        }
        for index, tiles in self.rounds.extra(items, self.round):
            for image, points in zip(self.images[index], tiles, strict=True):
                for point in points:
                    self.points.add(image, *point)
        self.round += 1

    def _fits(self, budget: int) -> bool:
        self.least = sum(self.points.least(int(i)) for i in np.flatnonzero(self.points.alive))
        return self.least <= budget

    def _scout(self, budget: int) -> dict[int, Tiles]:
        """What a few images, spread over the source, measure at many rungs."""
        count = len(self.tasks)
        spread = np.linspace(0, count - 1, min(_SCOUTS, count)).round().astype(int).tolist()
        order = [*spread, *(i for i in range(count) if i not in spread)]
        for start in range(0, count, _SCOUTS):
            items = {
                index: Scout(self.tasks[index], budget / count, _SCOUT_RUNGS)
                for index in order[start : start + _SCOUTS]
            }
            found = dict(self.rounds.scout(items, _SCOUTING))
            if found:
                return found
        return {}

    def _plan(self, scouted: Mapping[int, Tiles], budget: int) -> tuple[tuple[int, ...], float]:
        """The rungs of the survey, and about what a byte will cost."""
        points, positive = Points(), self.scales.objective.positive
        count = 0
        for tiles in scouted.values():
            count += len(tiles)
            for rungs in filter(None, tiles):
                image = points.new_image()
                for point in rungs:
                    points.add(image, *point)
        self.shape = shape_of(points, len(self.scales.rungs), positive)
        everything = len(self.tasks) * count / len(scouted)
        size, distortion = predict(points, self.shape, positive)
        try:
            price = allocate(size, distortion, budget * len(points) / everything).price
        except ValueError:
            price = float("inf")
        samples = _SAMPLES if self.scales.objective.monotone else _WOBBLY_SAMPLES
        return tuple(int(rung) for rung in self.shape.samples(samples)), price

    # ----- pass 2 ---------------------------------------------------------------------------

    def choose(self, budget: int, start: Rungs | None = None) -> Rungs:
        """The rungs of all images, each of them measured; most are in the store already.

        ``start``: an earlier choice, to be changed as little as it takes; -1 where there is none.
        """
        if not self.points.alive.any():
            return np.full(len(self.points), -1, np.intp)

        def measure(wanted: Mapping[int, int], rungs: Rungs) -> None:
            for index, tiles in self.rounds.encode(wanted, rungs, self.round):
                for image, points in zip(self.images[index], tiles, strict=True):
                    for point in points:
                        self.points.replace(image, *point)  # it is what the store holds
            self.round += 1

        aim = self.scales.objective
        return settle(
            *(self.points, self.shape, aim.positive, budget, measure, start), monotone=aim.monotone
        )

    def write(self, chosen: Rungs, budget: int) -> Rungs:
        """Put the images in the store that are not there at the rung that was chosen.

        An image that encodes to other bytes than were measured (its file has changed since, or
        an earlier run was on a machine where the encoder gives others) is measured anew, and the
        choice, which is returned, settled again; so it is when an image fails. One whose bytes
        differ once more in the same run fails. InputError if what was measured anew does not fit.
        """
        while True:
            failed = len(self.rounds.failures)
            # Those that a run that was stopped has measured anew at this point.
            earlier = {index for index in self.images if self.rounds.noted(index, -self.round)}
            changed = earlier | self.rounds.write(chosen, earlier)
            for index in sorted(changed & self.remeasured):
                self.rounds.drop(index, Failure("CodecError", _CHANGES))
            changed = {index for index in changed if index not in self.rounds.failures}
            if not changed and len(self.rounds.failures) == failed:
                return chosen
            self._measure_anew(changed)
            self.remeasured |= changed - earlier
            self.round += 1
            if not self._fits(budget):
                raise InputError(
                    f"budget = {budget} bytes: too small; images have changed since the run "
                    f"before, and at {self.scales.rungs.spec(0)} the files take {self.least} bytes"
                )
            start = np.where(self.points.alive, chosen, -1)
            for index in changed:
                start[list(self.images[index])] = -1
            chosen = self.choose(budget, start)

    def _measure_anew(self, changed: Iterable[int]) -> None:
        items = {
            index: Survey(self.tasks[index], self.samples, self.price, None)
            for index in sorted(changed)
        }
        for index, tiles in self.rounds.survey(items, -self.round):
            images = self.images[index]
            if len(tiles) != len(images):
                self.rounds.drop(index, Failure("CodecError", _CHANGES))
                continue
            for image, points in zip(images, tiles, strict=True):
                self.points.forget(image)
                for point in points:
                    self.points.add(image, *point)

    def mean(self, chosen: Rungs) -> float | None:
        """The mean distortion of the images at the rungs ``chosen``; None without images."""
        images = np.flatnonzero(self.points.alive)
        values = [self.points.distortion_at(int(i), int(chosen[i])) for i in images]
        return math.fsum(values) / len(values) if values else None

    def all_best(self, chosen: Rungs) -> bool:
        """Whether the store has images, and none of them could have less distortion."""
        if not self.points.alive.any():
            return False
        curves = predict(self.points, self.shape, self.scales.objective.positive)
        distortion = self.points.known(*curves)[1]
        here = chosen[self.points.alive]
        return spent(distortion, here) <= float(distortion.min(axis=1).sum())
