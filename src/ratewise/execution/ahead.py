"""Making items beside their use: one thread, a bounded amount ahead."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from typing import Generic, TypeVar

T = TypeVar("T")


def ahead(items: Iterable[T], limit: float, size: Callable[[T], float]) -> Generator[T, None, None]:
    """``items`` in their order, made by a thread while the caller works on earlier ones.

    The thread waits where ``size`` of what is ready would add up to more than ``limit``; a larger
    item is made when none is ready. An exception is raised in the caller, after the items before
    it. Closing the generator ends the thread, once the item that it is at is made.
    """
    ready: _Ready[T] = _Ready(limit)

    def work() -> None:
        try:
            for item in items:
                if not ready.put(item, size(item)):
                    return
        except BaseException as error:
            ready.end(error)
        else:
            ready.end(None)

    thread = threading.Thread(target=work, name="ahead", daemon=True)
    thread.start()
    try:
        while (taken := ready.take()) is not None:
            yield taken[0]
    finally:
        ready.close()
        thread.join()


class _Ready(Generic[T]):
    """What was made and not yet taken."""

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._items: deque[tuple[T, float]] = deque()
        self._held = 0.0
        self._ended = self._closed = False
        self._error: BaseException | None = None
        self._changed = threading.Condition()

    def put(self, item: T, size: float) -> bool:
        """Add an item as soon as there is room; False if nobody wants it any more."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._closed or not self._items or self._held + size <= self._limit
            )
            if self._closed:
                return False
            self._items.append((item, size))
            self._held += size
            self._changed.notify_all()
            return True

    def take(self) -> tuple[T] | None:
        """The next item, None after the last."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._items) or self._ended)
            if self._items:
                item, size = self._items.popleft()
                self._held -= size
                self._changed.notify_all()
                return (item,)
            if self._error is not None:
                raise self._error
            return None

    def end(self, error: BaseException | None) -> None:
        """No more items come."""
        with self._changed:
            self._ended, self._error = True, error
            self._changed.notify_all()

    def close(self) -> None:
        """No more items are wanted."""
        with self._changed:
            self._closed = True
            self._items.clear()
            self._changed.notify_all()
