"""Locks between processes that write into one folder: a file that one of them holds."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_POLL_SECONDS = 0.5


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
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of the file ``path`` (made if absent), once no other process does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        while True:
            try:
                lock(file)
                break
            except OSError:
                time.sleep(_POLL_SECONDS)
        yield
