"""Measuring the images of a source in rounds, each image's result noted as soon as it is there.

What a round has measured is read from :mod:`ratewise.data.measurements` where an earlier run got
that far; so a run that goes on repeats the rounds without encoding, and ends like one that was not
killed.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from ratewise import codecs
from ratewise.codecs.allocation import Rungs
from ratewise.codecs.points import Points
from ratewise.data.coding import CannotWriteError, Job, Task
from ratewise.data.compress import finish_store
from ratewise.data.journal import Journal
from ratewise.data.manifest import Record
from ratewise.data.measurements import Measurements, Point, Tiles
from ratewise.data.measuring import (
    Extra,
    Keep,
    Scales,
    Scout,
    Survey,
    Sweep,
    Writer,
    extra,
    keep,
    remove_files,
    scout,
    survey,
    sweep,
)
from ratewise.data.store import State, versions_json
from ratewise.errors import PlaceError
from ratewise.execution import Failure, Resources, map_items, progress

_NOT_WORTH_WORKERS, _WITH_A_MODEL = 2, 32
"""To start workers for so few images would take longer than the images do; where each worker has to
load a model first, for so few."""


class Rounds:
    """The images of one source, what is known of them, and where it is noted.

    ``images`` are the images (numbers in ``points``) that each task became, ``failures`` are by
    the number of the task, ``encodes`` counts the images encoded.
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
        versions = versions_json(dict(codecs.codec(scales.rungs.family).versions))
        self.writer = Writer(scales, Job(scales.source, destination, "", versions))

    def scout(self, items: Mapping[int, Scout], round_: int) -> Iterator[tuple[int, Tiles]]:
        """Measure one image of each of some tasks at many rungs."""
        return self._map(scout, items, round_, "scout")

    def survey(self, items: Mapping[int, Survey], round_: int) -> Iterator[tuple[int, Tiles]]:
        """Measure tasks at a few rungs."""
        return self._map(survey, items, round_, "measure")

    def extra(self, items: Mapping[int, Extra], round_: int) -> Iterator[tuple[int, Tiles]]:
        """Measure tasks at rungs of their own."""
        return self._map(extra, items, round_, "look closer at")

    def sweep(self, items: Mapping[int, Sweep], round_: int) -> Iterator[tuple[int, Tiles]]:
        """Measure tasks at rising rungs until one is good enough."""
        return self._map(sweep, items, round_, "measure")

    def encode(
        self, wanted: Mapping[int, int], rungs: Rungs, round_: int | None
    ) -> Iterator[tuple[int, Tiles]]:
        """Put images (keys) in the store at rungs (values); what was measured of them, by task.

        A source image that is not there at all is put there as a whole: all its tiles, at
        ``rungs``, which are of all images. With no ``round_`` the measurements are not noted,
        and bytes are all that is measured.
        """
        items = {}
        for index, images in self.images.items():
            new = tuple(wanted.get(image, -1) for image in images)
            if max(new) < 0 or index in self.failures:
                continue
            task = self.tasks[index]
            whole = tuple(int(rungs[image]) for image in images)
            rungs_of_tiles = new if self.there(index) else whole
            items[index] = Keep(task, rungs_of_tiles, measured=round_ is not None)
        return self._map(keep, items, round_, "encode")

    def write(self, chosen: Rungs, but: Container[int] = ()) -> set[int]:
        """Put all images, ``but`` those of some tasks, in the store at the rungs ``chosen``.

        What is there at its rung already is left alone; each image was measured at its rung.
        Returns the tasks whose bytes are not those measured.
        """
        specs = [self.scales.rungs.spec(rung) for rung in range(len(self.scales.rungs))]
        other: set[int] = set()
        wanted: dict[int, int] = {}
        for index, images in self.images.items():
            if index in but:
                continue
            there = self.there(index)
            for tile, image in enumerate(images):
                rung = int(chosen[image])
                if rung < 0:
                    continue
                measured = (specs[rung], self.points.bytes_at(image, rung))
                if not there or (there[tile].codec, there[tile].bytes) != measured:
                    wanted[image] = rung
        for index, tiles in self.encode(wanted, chosen, None):
            for image, points in zip(self.images[index], tiles, strict=True):
                for rung, size, _ in points:
                    if size != self.points.bytes_at(image, rung):
                        other.add(index)
        return other

    def noted(self, index: int, round_: int) -> bool:
        """Whether the round has measured a task, in this run or an earlier one."""
        return self.measurements.find(round_, self.tasks[index].entry.key) is not None

    def there(self, index: int) -> list[Record]:
        """The records of what the store holds of a task."""
        entry = self.tasks[index].entry
        if self.journal.done.get(entry.key, -1) != entry.size:
            return []
        return list(self.journal.records([entry.key]))

    def drop(self, index: int, failure: Failure) -> None:
        """Have a task and its images take no further part."""
        self.failures[index] = failure
        for image in self.images.get(index, ()):
            self.points.alive[image] = False

    def finish(self, state: State) -> State:
        """The state of the finished store."""
        failures = [(self.tasks[i].entry.key, self.failures[i]) for i in sorted(self.failures)]
        for key, _ in failures:  # what was written of it before it failed
            for record in self.journal.records([key]):
                remove_files(self.destination, record)
        entries = [t.entry for i, t in enumerate(self.tasks) if i not in self.failures]
        return finish_store(self.destination, state, entries, self.journal, failures)

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
        small = _WITH_A_MODEL if self.scales.objective.model else _NOT_WORTH_WORKERS
        few = self.resources if len(work) > small else Resources(1)
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
                    raise PlaceError(
                        f"{outcome.failure.message}; run the same command again to go on"
                    )
                if outcome.failure or outcome.value is None:
                    self.drop(index, outcome.failure or Failure("None", "no result"))
                    continue
                entry = self.tasks[index].entry
                tiles: Tiles = outcome.value
                if function is keep:
                    tiles = self._kept(index, outcome.value)
                if round_ is not None:
                    self.measurements.append(round_, entry.key, tiles)
                self.encodes += sum(map(len, tiles))
                yield index, tiles

    def _kept(self, index: int, kept: list[tuple[Record, Point] | None]) -> Tiles:
        """What :func:`keep` measured, once the journal has its records."""
        entry, there = self.tasks[index].entry, self.there(index)
        records = [new[0] if new else there[tile] for tile, new in enumerate(kept)]
        self.journal.append(entry.key, entry.size, records)
        return [[new[1]] if new else [] for new in kept]


def _second(job: tuple[Callable[..., Any], Any], item: tuple[int, Any]) -> Any:
    """``function(context, item)`` of a numbered item."""
    function, context = job
    return function(context, item[1])
