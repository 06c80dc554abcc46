"""A store whose images have operating points of their own: begun, resumed, finished, repaired.

Which points they have is chosen elsewhere (:mod:`ratewise.data.budget`,
:mod:`ratewise.data.agreement`), from measurements alone: it is the same for any number of workers,
and after a kill.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from ratewise import codecs
from ratewise.codecs.budget_objective import Objective
from ratewise.codecs.ladder import Ladder
from ratewise.data.coding import CannotWriteError, Job, Task
from ratewise.data.compress import StoreSummary, store_summary
from ratewise.data.destination import (
    begin_state,
    check_apart,
    check_destination,
    check_on_disk,
    finished,
    is_lost,
    pending_entries,
    remove_torn_files,
)
from ratewise.data.journal import JOURNAL, Journal
from ratewise.data.manifest import MANIFEST, Record, iterate_manifest
from ratewise.data.measurements import MEASUREMENTS, Measurements
from ratewise.data.measuring import Restore, Scales, restore
from ratewise.data.naming import assign_names
from ratewise.data.rate_control import RateControl
from ratewise.data.rounds import Rounds
from ratewise.data.sources import Entry, Source
from ratewise.data.store import FAILURES, STATE, State, write_state
from ratewise.errors import InputError, PlaceError
from ratewise.execution import Resources, map_items, progress
from ratewise.files import fingerprint


class DoesNotFitError(InputError):
    """No choice of operating points does what is asked, so the folder is left as it was."""


@dataclass(frozen=True)
class FittedSummary:
    """What a run did; ``encodes`` counts single images encoded."""

    store: StoreSummary
    rate_control: RateControl
    encodes: int


Fit = Callable[[Rounds], RateControl]
"""Measures the images of the rounds and puts each in the store; what came of it."""


def fit_store(
    source: Source,
    destination: Path,
    rungs: Ladder,
    objective: Objective,
    control: RateControl,
    fit: Fit,
    *,
    resources: Resources,
    quiet: bool,
) -> FittedSummary:
    """Make, go on with, or repair the store that ``fit`` fills to the aim of ``control``.

    Raises :class:`InputError` before any work like :func:`ratewise.data.compress.compress_store`,
    and for new or changed images in the source of a finished store, or lost files that do not come
    out as they were.
    """
    check_on_disk(destination)
    check_apart(source.root, destination)
    state = _begin(source, rungs, control)
    new = not destination.exists()
    earlier = check_destination(destination, state)
    entries = source.entries()
    if not entries:
        raise InputError(f"{source.root or 'the source'}: no images found")
    suffix = codecs.codec(rungs.family).suffix
    tasks = [Task(e, *n) for e, n in zip(entries, assign_names(entries, suffix), strict=True)]
    if earlier and earlier.complete:
        done, lost = finished(destination)
        _check_same_images(entries, done, destination)
        encodes = _restore(source, destination, tasks, lost, resources, quiet) if lost else 0
        _remove_journals(destination)
        skipped = len(entries) - earlier.failed - len(lost)
        there = store_summary(earlier, done=len(lost), skipped=skipped, failed=earlier.failed)
        return FittedSummary(there, earlier.rate_control or control, encodes)
    source.check(entries, resources, quiet=quiet)
    if not earlier:
        try:
            write_state(destination, state)
        except OSError as error:
            raise InputError(f"{destination}: cannot be written ({error.strerror})") from None
    scales = Scales(source, rungs, objective)
    skipped = 0
    try:
        with Journal(destination / JOURNAL) as journal:
            remove_torn_files(destination)
            pending_entries(entries, journal.done, destination)
            skipped = len(journal.done)
            with Measurements(destination / MEASUREMENTS, entries) as measurements:
                if measurements.new:
                    journal.clear()  # what was put there was chosen for other images
                rounds = Rounds(scales, destination, tasks, journal, measurements, resources, quiet)
                state = rounds.finish(replace(state, rate_control=fit(rounds)))
    except DoesNotFitError:
        if not skipped:  # nothing else was written
            _remove_journals(destination)
            (destination / STATE).unlink()
            if new:
                destination.rmdir()
        raise
    _remove_journals(destination)
    failed = len(rounds.failures)
    done_now = len(entries) - failed - min(skipped, len(entries) - failed)
    summary = store_summary(
        state, done=done_now, skipped=len(entries) - failed - done_now, failed=failed
    )
    return FittedSummary(summary, state.rate_control or control, rounds.encodes)


def _begin(source: Source, rungs: Ladder, control: RateControl) -> State:
    """The ``store.json`` of the store before its first image."""
    every = [codecs.codec(rungs.spec(rung)).fingerprint for rung in range(len(rungs))]
    return replace(
        begin_state(source, codecs.codec(rungs.family)),
        codec=rungs.family,
        codec_fingerprint=fingerprint({"operating_points": every}),
        rate_control=control,
    )


def _check_same_images(
    entries: Sequence[Entry], done: dict[str, int | None], destination: Path
) -> None:
    """Raise :class:`InputError` if the source of a finished store is not what it was."""
    failed = _failed(destination)
    changed = [e.key for e in pending_entries(entries, done, destination) if e.key not in failed]
    if changed:
        raise InputError(
            f"{destination}: is finished, and one more image changes what is best for all others, "
            f"but the source has new or changed ones ({len(changed)}, such as "
            f"{changed[0]}); choose another folder"
        )


def _restore(
    source: Source,
    destination: Path,
    tasks: Sequence[Task],
    lost: Mapping[str, str],
    resources: Resources,
    quiet: bool,
) -> int:
    """Write the lost files of a finished store again; how many images that were."""
    records: dict[str, list[Record]] = {key: [] for key in lost}
    for record in iterate_manifest(destination / MANIFEST):
        if record.source in records:
            records[record.source].append(record)
    work = [
        Restore(task, tuple(found), tuple(is_lost(destination, record) for record in found))
        for task in tasks
        if (found := records.get(task.entry.key))
    ]
    job, encodes, problems = Job(source, destination, "", ""), 0, []
    with (
        Journal(destination / JOURNAL),  # keeps others from writing here
        progress("restore", len(work), quiet=quiet) as bar,
        closing(map_items(restore, work, resources, context=job)) as outcomes,
    ):
        remove_torn_files(destination)
        for outcome in outcomes:
            bar.advance()
            if outcome.failure and outcome.failure.kind == CannotWriteError.__name__:
                raise PlaceError(f"{outcome.failure.message}; run the same command again to go on")
            if outcome.failure:
                problems.append((outcome.item.task.entry.key, outcome.failure.message))
            encodes += outcome.value or 0
    if problems:
        key, message = problems[0]
        _remove_journals(destination)
        raise InputError(
            f"{destination / lost[key]}: is missing or torn and cannot be made again "
            f"({message}); put it back from a copy, or delete {destination} and make the store anew"
        )
    return encodes


def _failed(destination: Path) -> set[str]:
    path = destination / FAILURES
    if not path.is_file():
        return set()
    with path.open(newline="") as file:
        return {row["path"] for row in csv.DictReader(file)}


def _remove_journals(destination: Path) -> None:
    for name in (JOURNAL, MEASUREMENTS):
        (destination / name).unlink(missing_ok=True)
