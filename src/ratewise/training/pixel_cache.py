"""Decoded pixels that are kept in memory as far as they fit."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np

Pixels = np.ndarray[Any, np.dtype[Any]]


class PixelCache:
    """Arrays by key, kept until ``capacity`` bytes are used; the rest is made again each time.

    Threads may share it. A copy that was pickled (for a process that makes samples) starts empty.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._used = 0
        self._kept: dict[Hashable, Pixels] = {}
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], Pixels]) -> Pixels:
        """The array of ``key``: the kept one, or what ``make`` gives. It must not be written to."""
        found = self._kept.get(key)
        if found is not None:
            return found
        made = make()
        with self._lock:
            if key not in self._kept and self._used + made.nbytes <= self._capacity:
                self._kept[key] = made
                self._used += made.nbytes
        return made

    def __getstate__(self) -> dict[str, Any]:
        # A process that makes samples starts with an empty cache and a lock of its own.
        return {"capacity": self._capacity}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["capacity"])  # type: ignore[misc]
