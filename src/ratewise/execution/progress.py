"""One way to show that work goes on: a live bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

_LINE_EVERY_S = 20.0


class Bar(Protocol):
    """What the worker of a task sees of its progress display."""

    def advance(self, items: int = 1, status: str = "") -> None:
        """``items`` more are done; ``status`` (a loss, bytes in and out) is shown beside them."""


class Display(Protocol):
    """Where the progress of several tasks at once is shown."""

    def task(
        self, description: str, total: int | None, unit: str, initial: int
    ) -> AbstractContextManager[Bar]:
        """The display of one more task, while the block runs."""
        ...


_display: Display | None = None


@contextmanager
def shown_on(display: Display) -> Iterator[None]:
    """Have :func:`progress` show everything on ``display`` while the block runs."""
    global _display
    before, _display = _display, display
    try:
        yield
    finally:
        _display = before


@contextmanager
def progress(
    description: str,
    total: int | None,
    *,
    unit: str = "images",
    initial: int = 0,
    quiet: bool = False,
) -> Iterator[Bar]:
    """Show progress of ``total`` items on standard error while the block runs.

    On a terminal: a bar with items per second and time left. Elsewhere: one line every
    20 seconds, so that logs stay short. ``initial`` items were done in an earlier run; they do
    not count in the rate.
    """
    if quiet:
        yield _Silent()
    elif _display is not None:
        with _display.task(description, total, unit, initial) as bar:
            yield bar
    elif sys.stderr.isatty():
        with _terminal(description, total, unit, initial) as bar:
            yield bar
    else:
        yield _Lines(description, total, unit, initial)


def rate_and_left(
    done: int, initial: int, total: int | None, seconds: float
) -> tuple[float, float | None]:
    """Items per second since the start, and seconds left (None when unknown)."""
    rate = (done - initial) / seconds if seconds > 0 else 0.0
    return rate, (total - done) / rate if total is not None and rate > 0 else None


def duration(seconds: float | None) -> str:
    """``h:mm:ss`` or ``m:ss``; ``-`` for an unknown duration."""
    if seconds is None:
        return "-"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


class _Silent:
    def advance(self, items: int = 1, status: str = "") -> None:
        pass


class _Lines:
    def __init__(
        self,
        description: str,
        total: int | None,
        unit: str,
        initial: int,
        write: Callable[[str], object] | None = None,
        every_s: float = _LINE_EVERY_S,
    ) -> None:
        self._description, self._total, self._unit = description, total, unit
        self._done = self._initial = initial
        self._start = self._last = time.monotonic()
        self._write = write or (lambda line: print(line, file=sys.stderr, flush=True))
        self._every_s = every_s

    def advance(self, items: int = 1, status: str = "") -> None:
        self._done += items
        now = time.monotonic()
        if now - self._last < self._every_s:
            return
        self._last = now
        rate, left = rate_and_left(self._done, self._initial, self._total, now - self._start)
        of = f"/{self._total}" if self._total is not None else ""
        self._write(
            f"{self._description}: {self._done}{of} {self._unit}, {rate:.1f}/s, "
            f"{duration(left)} left" + (f", {status}" if status else "")
        )


@contextmanager
def _terminal(description: str, total: int | None, unit: str, initial: int) -> Iterator[Bar]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
    )

    start = time.monotonic()
    done = initial
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as display:
        task = display.add_task(description, total=total, completed=initial, note="")

        class _Live:
            def advance(self, items: int = 1, status: str = "") -> None:
                nonlocal done
                done += items
                rate, left = rate_and_left(done, initial, total, time.monotonic() - start)
                note = f"{rate:.1f} {unit}/s, {duration(left)} left"
                display.update(task, completed=done, note=note + (f", {status}" if status else ""))

        yield _Live()
