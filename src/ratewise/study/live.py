"""All stages of a run in one live view on a terminal: how many are done, and what each is at."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ratewise.execution.progress import Bar, duration, rate_and_left
from ratewise.study.plan import Stage
from ratewise.study.scheduler import Finished


class LiveView:
    """An observer of a run, and a display of what its stages do.

    Lines that are printed meanwhile go above it (:meth:`say`).
    """

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        self._console = Console(stderr=True)
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            console=self._console,
            transient=True,
        )
        self._whole: Any = None
        self._stages: dict[str, tuple[str, Any]] = {}  # titles and bars, by fingerprint
        self._work: dict[str, tuple[Any, float, int]] = {}

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show it while the block runs."""
        with self._bars:
            yield

    def say(self, line: str) -> None:
        """Print a line above the view."""
        self._console.print(line, markup=False, highlight=False)

    def begins(self, to_run: list[Stage], cached: list[Stage]) -> None:
        """The bar of all stages."""
        total = len(to_run) + len(cached)
        self._whole = self._bars.add_task("stages", total=total, completed=len(cached), note="")

    def started(self, stage: Stage) -> None:
        """A line for the stage."""
        bar = self._bars.add_task(f"  {stage.title}", total=None, note="")
        self._stages[stage.fingerprint] = stage.title, bar

    def finished(self, finished: Finished) -> None:
        """Its line goes."""
        self._ended(finished.stage)

    def elsewhere(self, stage: Stage) -> None:
        """It counts as done."""
        self._ended(stage)

    def _ended(self, stage: Stage) -> None:
        if stage.fingerprint in self._stages:
            self._bars.remove_task(self._stages.pop(stage.fingerprint)[1])
        self._bars.advance(self._whole)

    # What the work of a stage in this process shows --------------------------------------------

    @contextmanager
    def task(self, description: str, total: int | None, unit: str, initial: int) -> Iterator[Bar]:
        """The stage's own line where that has its title, else one more."""
        bar = self._line(description, total, initial)
        start = time.monotonic()
        bars, done = self._bars, initial

        class _Line:
            def advance(self, items: int = 1, status: str = "") -> None:
                nonlocal done
                done += items
                note = _note(done, initial, total, unit, time.monotonic() - start, status)
                bars.update(bar, completed=done, note=note)

        try:
            yield _Line()
        finally:
            self._end_line(bar)

    def _line(self, description: str, total: int | None, done: int) -> Any:
        for title, bar in self._stages.values():
            if title == description:
                self._bars.update(bar, total=total, completed=done)
                return bar
        return self._bars.add_task(f"    {description}", total=total, completed=done, note="")

    def _end_line(self, bar: Any) -> None:
        if any(bar == own for _, own in self._stages.values()):
            self._bars.update(bar, note="")
        elif bar in self._bars.task_ids:
            self._bars.remove_task(bar)

    # What the work of stages elsewhere reports -------------------------------------------------

    def reported(self, work: Mapping[str, Mapping[str, Any]]) -> None:
        """Show what is under way elsewhere, by its name: description, done, initial, total, ..."""
        for name in self._work.keys() - work.keys():
            self._end_line(self._work.pop(name)[0])
        for name, one in work.items():
            if name not in self._work:
                bar = self._line(one["description"], one["total"], one["done"])
                self._work[name] = bar, time.monotonic(), one["done"]
            bar, start, first = self._work[name]
            seconds = time.monotonic() - start
            note = _note(one["done"], first, one["total"], one["unit"], seconds, one["status"])
            if bar in self._bars.task_ids:
                self._bars.update(bar, completed=one["done"], note=note)


def _note(
    done: int, initial: int, total: int | None, unit: str, seconds: float, status: str
) -> str:
    rate, left = rate_and_left(done, initial, total, seconds)
    return f"{rate:.1f} {unit}/s, {duration(left)} left" + (f", {status}" if status else "")
