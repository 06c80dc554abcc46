"""The two passes that fit a store to a budget: measure every image at a few rungs, then encode."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from ratewise import codecs
from ratewise.codecs.allocation import Rungs, allocate, spent
from ratewise.codecs.curves import Points, Shape, predict, shape_of
from ratewise.codecs.settling import settle
from ratewise.data.compress import CannotWriteError, Job, Task, finish_store
from ratewise.data.journal import Journal
from ratewise.data.manifest import Record
from ratewise.data.measurements import Measurements, Point, Tiles
from ratewise.data.measuring import (
    Keep,
    Scales,
    Scout,
    Survey,
    Writer,
    keep,
    remove_files,
    scout,
    survey,
)
from ratewise.data.sources import Entry
from ratewise.data.store import State, versions_json
from ratewise.errors import InputError, RatewiseError
from ratewise.execution import Failure, Resources, map_items, progress

_SCOUTS = 4
_SCOUT_RUNGS = 12
_SAMPLES = 5
_NOT_WORTH_WORKERS = 2
"""To start workers for so few images would take longer than the images do."""

_SCOUTING, _SURVEY, _CHOICES = 0, 1, 2
"""Rounds of measurements; the choices count on from theirs. What is measured anew after round n is
noted as round -n, so that it is never taken for a choice (or a choice for it)."""

_CHANGES = (
    "encodes to other bytes each time: the codec's encoder is not deterministic, or the image's "
    "file changes while the store is made"
)


class Passes:
    """The two passes over the images of one source.

    :meth:`measure`, :meth:`choose`, :meth:`write` and :meth:`finish` are called in this order.
    ``encodes`` counts the images encoded, ``least`` is the bytes of all at their smallest, and
    ``failures`` are by the number of the task.
    """

    def __init__(
        self,
        scales: Scales,
        destination: Path,
        tasks: Sequence[Task],
        journal: Journal,
        measurements: Measurements,
        resources: Resources,
        quiet: bool,
    ) -> None:
        self.scales, self.destination, self.tasks = scales, destination, tasks
        self.journal, self.measurements = journal, measurements
        self.resources, self.quiet = resources, quiet
        self.points = Points()
        self.images: dict[int, range] = {}  # of each task that did not fail
        self.failures: dict[int, Failure] = {}
        self.encodes = 0
        self.least = 0
        versions = versions_json(dict(codecs.codec(scales.rungs.family).versions))
        self.writer = Writer(scales, Job(scales.source, destination, "", versions))
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
            if index not in self.failures
        }
        for index, tiles in self._map(survey, items, _SURVEY, "measure"):
            known = scouted.get(index)
            first = len(self.points)
            self.images[index] = range(first, first + len(tiles))
            for tile in range(len(tiles)):
                image = self.points.new_image()
                for point in [*tiles[tile], *(known[tile] if known else [])]:
                    self.points.add(image, *point)
        return self._fits(budget)

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
            found = dict(self._map(scout, items, _SCOUTING, "scout"))
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
        return tuple(int(rung) for rung in self.shape.samples(_SAMPLES)), price

    # ----- pass 2 ---------------------------------------------------------------------------

    def choose(self, budget: int, start: Rungs | None = None) -> Rungs:
        """The rungs of all images, each of them measured; most are in the store already.

        ``start``: an earlier choice, to be changed as little as it takes; -1 where there is none.
        """
        if not self.points.alive.any():
            return np.full(len(self.points), -1, np.intp)

        def measure(wanted: Mapping[int, int], rungs: Rungs) -> None:
            items = dict(self._keeping(wanted, rungs))
            for index, tiles in self._map(keep, items, self.round, "encode"):
                for image, points in zip(self.images[index], tiles, strict=True):
                    for point in points:
                        self.points.replace(image, *point)  # it is what the store holds
            self.round += 1

        logarithmic = self.scales.objective.positive
        return settle(self.points, self.shape, logarithmic, budget, measure, start)

    def write(self, chosen: Rungs, budget: int) -> Rungs:
        """Put the images in the store that are not there at the rung that was chosen.

        An image that encodes to other bytes than were measured (its file has changed since, or
        an earlier run was on a machine where the encoder gives others) is measured anew, and the
        choice, which is returned, settled again; so it is when an image fails. One whose bytes
        differ once more in the same run fails. InputError if what was measured anew does not fit.
        """
        while True:
            failed = len(self.failures)
            earlier = {
                index
                for index in self.images
                if self.measurements.find(-self.round, self.tasks[index].entry.key) is not None
            }  # were measured anew at this point by a run that was stopped
            changed = earlier | self._write(chosen, earlier)
            for index in sorted(changed & self.remeasured):
                self._drop(index, Failure("CodecError", _CHANGES))
            changed = {index for index in changed if index not in self.failures}
            if not changed and len(self.failures) == failed:
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
        for index, tiles in self._map(survey, items, -self.round, "measure"):
            images = self.images[index]
            if len(tiles) != len(images):
                self._drop(index, Failure("CodecError", _CHANGES))
                continue
            for image, points in zip(images, tiles, strict=True):
                self.points.forget(image)
                for point in points:
                    self.points.add(image, *point)

    def _write(self, chosen: Rungs, but: Container[int]) -> set[int]:
        """Do so for all images ``but`` these; the tasks whose bytes are not those measured."""
        specs = [self.scales.rungs.spec(rung) for rung in range(len(self.scales.rungs))]
        other: set[int] = set()
        wanted: dict[int, int] = {}
        for index, images in self.images.items():
            if index in but:
                continue
            there = self._there(self.tasks[index].entry)
            for tile, image in enumerate(images):
                rung = int(chosen[image])
                if rung < 0:
                    continue
                measured = (specs[rung], self.points.bytes_at(image, rung))
                if not there or (there[tile].codec, there[tile].bytes) != measured:
                    wanted[image] = rung
        for index, tiles in self._map(keep, dict(self._keeping(wanted, chosen)), None, "encode"):
            for image, points in zip(self.images[index], tiles, strict=True):
                for rung, size, _ in points:
                    if size != self.points.bytes_at(image, rung):
                        other.add(index)
        return other

    def _keeping(self, wanted: Mapping[int, int], rungs: Rungs) -> Iterator[tuple[int, Keep]]:
        """What to do for the images (keys) to be put in the store at rungs (values).

        A source image that is not there at all is put there as a whole: all its tiles.
        """
        for index, images in self.images.items():
            new = tuple(wanted.get(image, -1) for image in images)
            if max(new) < 0 or index in self.failures:
                continue
            task = self.tasks[index]
            whole = tuple(int(rungs[image]) for image in images)
            yield index, Keep(task, new if self._there(task.entry) else whole)

    def _there(self, entry: Entry) -> list[Record]:
        """The records of what the store holds of a source image."""
        if self.journal.done.get(entry.key, -1) != entry.size:
            return []
        return list(self.journal.records([entry.key]))

    # ----- both -----------------------------------------------------------------------------

    def _map(
        self, function: Callable[..., Any], items: Mapping[int, Any], round_: int | None, verb: str
    ) -> Iterator[tuple[int, Tiles]]:
        """What ``function`` measures of each item in a round; what is known is not done again.

        An image that fails takes no further part.
        """
        found: dict[int, Tiles] = {}
        for index, item in items.items():
            old = None if round_ is None else self.measurements.find(round_, item.task.entry.key)
            if old is not None:
                found[index] = old
        work = [(index, item) for index, item in items.items() if index not in found]
        context = self.writer if function is keep else self.scales
        few = self.resources if len(work) > _NOT_WORTH_WORKERS else Resources(1)
        title = f"{verb} {self.scales.rungs.family}"
        with (
            progress(title, len(items), initial=len(found), quiet=self.quiet) as bar,
            closing(map_items(_second, work, few, context=(function, context))) as outcomes,
        ):
            done = iter(outcomes)
            for index in items:
                if index in found:
                    yield index, found.pop(index)
                    continue
                outcome = next(done)
                bar.advance()
                if outcome.failure and outcome.failure.kind == CannotWriteError.__name__:
                    raise RatewiseError(
                        f"{outcome.failure.message}; run the same command again to go on"
                    )
                if outcome.failure or outcome.value is None:
                    self._drop(index, outcome.failure or Failure("None", "no result"))
                    continue
                entry = self.tasks[index].entry
                tiles: Tiles = outcome.value
                if function is keep:
                    tiles = self._noted(entry, outcome.value)
                if round_ is not None:
                    self.measurements.append(round_, entry.key, tiles)
                self.encodes += sum(map(len, tiles))
                yield index, tiles

    def _noted(self, entry: Entry, kept: list[tuple[Record, Point] | None]) -> Tiles:
        """What :func:`keep` measured, once the journal has its records."""
        there = self._there(entry)
        records = [new[0] if new else there[tile] for tile, new in enumerate(kept)]
        self.journal.append(entry.key, entry.size, records)
        return [[new[1]] if new else [] for new in kept]

    def _drop(self, index: int, failure: Failure) -> None:
        self.failures[index] = failure
        for image in self.images.get(index, ()):
            self.points.alive[image] = False

    # ----- the end --------------------------------------------------------------------------

    def all_best(self, chosen: Rungs) -> bool:
        """Whether the store has images, and none of them could have less distortion."""
        if not self.points.alive.any():
            return False
        curves = predict(self.points, self.shape, self.scales.objective.positive)
        distortion = self.points.known(*curves)[1]
        here = chosen[self.points.alive]
        return spent(distortion, here) <= float(distortion.min(axis=1).sum())

    def finish(self, state: State) -> State:
        """The state of the finished store."""
        failures = [(self.tasks[i].entry.key, self.failures[i]) for i in sorted(self.failures)]
        for key, _ in failures:  # what was written of it before it failed
            for record in self.journal.records([key]):
                remove_files(self.destination, record)
        entries = [t.entry for i, t in enumerate(self.tasks) if i not in self.failures]
        return finish_store(self.destination, state, entries, self.journal, failures)


def _second(job: tuple[Callable[..., Any], Any], item: tuple[int, Any]) -> Any:
    """``function(context, item)`` of a numbered item."""
    function, context = job
    return function(context, item[1])
