"""Who is told what happens to the stages of a run, beside the event log and the live view."""

from __future__ import annotations

from collections.abc import Callable

from ratewise.study.plan import Stage
from ratewise.study.scheduler import Finished


class Announcer:
    """Says one line for each stage that came to its end."""

    def __init__(self, announce: Callable[[str], None]) -> None:
        self._announce = announce
        self._done = self._total = 0

    def begins(self, to_run: list[Stage], cached: list[Stage]) -> None:
        """Counts them."""
        self._total = len(to_run)

    def started(self, stage: Stage) -> None:
        """Nothing."""

    def finished(self, finished: Finished) -> None:
        """How long it took, or why it failed."""
        failure = finished.failure
        self._say(finished.stage, f"FAILED: {failure}" if failure else f"{finished.seconds:.1f} s")

    def elsewhere(self, stage: Stage) -> None:
        """That another run has done it."""
        self._say(stage, "done by another run")

    def _say(self, stage: Stage, outcome: str) -> None:
        self._done += 1
        self._announce(f"[{self._done}/{self._total}] {stage.title}: {outcome}")


class Collector:
    """Calls a function with each stage that has a result now."""

    def __init__(self, collect: Callable[[Stage], None]) -> None:
        self._collect = collect

    def begins(self, to_run: list[Stage], cached: list[Stage]) -> None:
        """Nothing."""

    def started(self, stage: Stage) -> None:
        """Nothing."""

    def finished(self, finished: Finished) -> None:
        """Collects it."""
        if finished.failure is None:
            self._collect(finished.stage)

    def elsewhere(self, stage: Stage) -> None:
        """Collects it."""
        self._collect(stage)
