"""Locks between processes that write into one folder: a file that one of them holds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

_POLL_SECONDS = 0.5

T = TypeVar("T")


def lock(file: Any) -> None:
    """Hold the lock of an open file until it is closed; OSError at once if another process does.

    Where the system has no such locks nothing is held.
    """
    try:
        import fcntl
    except ImportError:
        return
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """Hold the lock of the file ``path`` (made if absent), once no other process does.

    Without ``wait``: at once or not at all, and which of them is what the block is told.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        yield _try(file) or (wait and _wait(file))


def _try(file: Any) -> bool:
    try:
        lock(file)
    except OSError:
        return False
    return True


def _wait(file: Any) -> bool:
    while not _try(file):
        time.sleep(_POLL_SECONDS)
    return True


def shared_out(items: Iterable[T], path: Callable[[T], Path]) -> Iterator[T]:
    """``items``, each with the lock of its ``path`` held until the next one is asked for.

    So processes that go through the same items do each but once between them: first come those
    that nobody holds; then, waited for, the others, which are done by then unless their process
    gave up.
    """
    left = []
    for item in items:
        with locked(path(item), wait=False) as held:
            if held:
                yield item
            else:
                left.append(item)
    for item in left:
        with locked(path(item)):
            yield item
