"""Running a plan: each stage once, as soon as what it rests on is there.

Where stages run is an :class:`Executor`'s matter: one after the other in this process, or side by
side on a cluster (:mod:`ratewise.study.cluster`). What they leave behind is in the cache.
"""

from __future__ import annotations

import heapq
import time
import traceback
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Protocol

from ratewise.data.dataset import Dataset
from ratewise.errors import PlaceError, RatewiseError
from ratewise.execution import Resources
from ratewise.study.cache import Cache, Claim
from ratewise.study.plan import Plan, Stage
from ratewise.study.settings import StudySettings

_POLL_SECONDS = 0.5
"""How often a stage that another run holds is looked at."""

_TRACEBACK = "error.txt"

_NOT_AGAIN = (RatewiseError, MemoryError, AssertionError, TypeError, AttributeError, LookupError)
"""What would be raised again; of our own errors, :class:`PlaceError` may pass."""

RETRY_SECONDS = (1.0, 10.0)
"""What is waited before a stage that failed for an unforeseen reason is tried again, each time."""


@dataclass(frozen=True)
class StageContext:
    """What a stage may use besides its inputs. Nothing here may change what it writes."""

    settings: StudySettings
    dataset: Dataset
    base: Path
    resources: Resources
    quiet: bool = False
    others: Mapping[str, Dataset] = field(default_factory=dict)
    """Other data sets, by the fingerprints of the splits that are used of them."""


class StageRunner(Protocol):
    """Runs one kind of stage: reads the input folders, writes into its own, returns its files."""

    def __call__(
        self, stage: Stage, inputs: Mapping[str, Path], folder: Path, context: StageContext
    ) -> list[Path]: ...


@dataclass
class ScheduleReport:
    """What a run did: stages run and found in the cache, and failures by fingerprint.

    ``elsewhere`` are stages that another run on the same cache finished meanwhile.
    """

    ran: list[str] = field(default_factory=list)
    cached: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Finished:
    """A stage that came to its end; ``failure`` says why it has no result."""

    stage: Stage
    seconds: float
    failure: str | None = None


class Executor(Protocol):
    """Where stages run."""

    @property
    def room(self) -> bool:
        """Whether another stage may be started."""
        ...

    @property
    def busy(self) -> bool:
        """Whether a stage was started that :meth:`wait` has not given back."""
        ...

    def start(self, stage: Stage) -> None:
        """Begin a stage whose inputs are complete."""
        ...

    def wait(self) -> Finished:
        """The next stage that comes to its end."""
        ...


class Observer(Protocol):
    """Who is told what happens to the stages of a run."""

    def begins(self, to_run: list[Stage], cached: list[Stage]) -> None:
        """What there is to do."""

    def started(self, stage: Stage) -> None:
        """A stage was begun."""

    def finished(self, finished: Finished) -> None:
        """A stage was run, or failed."""

    def elsewhere(self, stage: Stage) -> None:
        """Another run finished a stage."""


class LocalExecutor:
    """Runs stages in this process, one at a time."""

    def __init__(self, plan: Plan, cache: Cache, context: StageContext) -> None:
        self._plan, self._cache, self._context = plan, cache, context
        self._started: deque[Stage] = deque()

    @property
    def room(self) -> bool:
        """Until one is started."""
        return not self._started

    @property
    def busy(self) -> bool:
        """Once one is started."""
        return bool(self._started)

    def start(self, stage: Stage) -> None:
        """Note it."""
        self._started.append(stage)

    def wait(self) -> Finished:
        """Run it."""
        return attempt(self._started.popleft(), self._plan, self._cache, self._context)


def run_plan(
    plan: Plan, cache: Cache, executor: Executor, observers: Sequence[Observer] = ()
) -> ScheduleReport:
    """Run every stage of ``plan`` that is not in ``cache``.

    A stage that fails, and those that rest on it, are left out; the others finish. A stage that
    another run on this cache holds is left to it, and taken up if that run gives it up.
    """
    run = _PlanRun(plan, cache, executor, observers)
    try:
        while not run.ended:
            run.start_what_can_be()
            if executor.busy:
                run.ends(executor.wait())
            elif not run.ended:
                time.sleep(_POLL_SECONDS)  # the rest is held by another run
    finally:
        run.give_back()
    return run.report


class _PlanRun:
    """The state of a run: what can be started (in the plan's order), held and claimed."""

    def __init__(
        self, plan: Plan, cache: Cache, executor: Executor, observers: Sequence[Observer]
    ) -> None:
        self._plan, self._cache, self._executor, self._observers = plan, cache, executor, observers
        self.report = ScheduleReport()
        self._names = list(plan.stages)
        self._claims: dict[str, Claim] = {}
        complete = {name for name, stage in plan.stages.items() if cache.is_complete(stage)}
        self.report.cached = [name for name in plan.stages if name in complete]
        self._place: dict[str, int] = {}  # of what is neither started nor ended
        self._missing: dict[str, int] = {}
        self._dependents: dict[str, list[str]] = {}
        self._ready: list[int] = []  # a heap of places
        for place, (name, stage) in enumerate(plan.stages.items()):
            if name in complete:
                continue
            self._place[name] = place
            missing = set(stage.inputs.values()) - complete
            self._missing[name] = len(missing)
            for source in missing:
                self._dependents.setdefault(source, []).append(name)
            if not missing:
                heapq.heappush(self._ready, place)
        cached = [plan.stages[name] for name in self.report.cached]
        for one in observers:
            one.begins([plan.stages[name] for name in self._place], cached)

    @property
    def ended(self) -> bool:
        """Whether nothing is left to start or to wait for."""
        return not self._place and not self._executor.busy

    def start_what_can_be(self) -> None:
        """Start what is ready while the executor has room; what another run holds stays ready."""
        held = []
        while self._ready and self._executor.room:
            place = heapq.heappop(self._ready)
            stage = self._plan.stages[self._names[place]]
            if not self._begin(stage):
                held.append(place)
        for place in held:
            heapq.heappush(self._ready, place)

    def _begin(self, stage: Stage) -> bool:
        """Start a stage, or see that another run has done it; False if one is at it."""
        name = stage.fingerprint
        claim = self._cache.claim(stage)
        if claim is None:
            return False
        del self._place[name]
        if self._cache.is_complete(stage):
            claim.release()
            self.report.elsewhere.append(name)
            self._completed(name)
            for one in self._observers:
                one.elsewhere(stage)
            return True
        self._claims[name] = claim
        for one in self._observers:
            one.started(stage)
        self._executor.start(stage)
        return True

    def ends(self, finished: Finished) -> None:
        """Note what became of a stage; what rests on one that failed fails too."""
        name = finished.stage.fingerprint
        if name in self._claims:
            self._claims.pop(name).release()
        if finished.failure is None:
            self.report.ran.append(name)
            self._completed(name)
        else:
            self.report.failed[name] = finished.failure
        for one in self._observers:
            one.finished(finished)
        if finished.failure is not None:
            for dependent in self._dependents.get(name, ()):
                if self._place.pop(dependent, None) is not None:
                    stage = self._plan.stages[dependent]
                    self.ends(Finished(stage, 0.0, "what it rests on failed"))

    def _completed(self, name: str) -> None:
        for dependent in self._dependents.get(name, ()):
            self._missing[dependent] -= 1
            if not self._missing[dependent] and dependent in self._place:
                heapq.heappush(self._ready, self._place[dependent])

    def give_back(self) -> None:
        """Release what is claimed still: the run was interrupted."""
        for claim in self._claims.values():
            claim.release()


def attempt(stage: Stage, plan: Plan, cache: Cache, context: StageContext) -> Finished:
    """Run a stage; what it raises becomes its failure, a traceback the file ``error.txt``.

    A disk, an address or a machine that fails for a moment is no reason to lose a stage: it is
    tried again, from its checkpoint where it has one. Not so what the user must change, and what
    is a mistake of ours.
    """
    started = time.monotonic()
    for pause in (*RETRY_SECONDS, None):
        try:
            run_stage(stage, plan, cache, context)
            return Finished(stage, time.monotonic() - started)
        except Exception as error:
            failure = _described(error)
            if not isinstance(error, RatewiseError):
                _write_traceback(cache.folder(stage))
            if not _may_pass(error):
                break
        if pause is None:
            failure += f" (tried {len(RETRY_SECONDS) + 1} times)"
        else:
            time.sleep(pause)
    return Finished(stage, time.monotonic() - started, failure)


def _may_pass(error: Exception) -> bool:
    """Whether the same may go well a moment later."""
    return isinstance(error, PlaceError) or not isinstance(error, _NOT_AGAIN)


def _described(error: Exception) -> str:
    if isinstance(error, RatewiseError):
        return str(error)
    return f"{type(error).__name__}: {error}"


def _write_traceback(folder: Path) -> None:
    with suppress(OSError):  # where the disk is what failed
        (folder / _TRACEBACK).write_text(traceback.format_exc())


def run_stage(stage: Stage, plan: Plan, cache: Cache, context: StageContext) -> None:
    """Run one stage whose inputs are complete, and record it in the cache."""
    folder = cache.folder(stage)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _TRACEBACK).unlink(missing_ok=True)
    inputs = {role: cache.folder(plan.stages[name]) for role, name in stage.inputs.items()}
    runner: StageRunner = import_module(f"ratewise.study.stages.{stage.kind}").run
    started = time.monotonic()
    files = runner(stage, inputs, folder, context)
    cache.complete(stage, files, time.monotonic() - started)
