"""Items that a thread makes ahead of their use."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from ratewise.execution.ahead import ahead


def _wait_for(what: object) -> None:
    for _ in range(200):
        if what():  # type: ignore[operator]
            return
        time.sleep(0.01)
    raise AssertionError("it never came")


def test_items_come_in_order_and_in_no_more_than_the_limit() -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for number in range(10):
            made.append(number)
            yield number

    found = ahead(items(), 3, lambda item: 1)
    assert next(found) == 0
    _wait_for(lambda: len(made) == 5)  # one taken, three ready, one that waits for room
    time.sleep(0.05)
    assert made == [0, 1, 2, 3, 4]
    assert list(found) == list(range(1, 10))


def test_an_item_above_the_limit_is_made_alone() -> None:
    assert list(ahead([7, 8, 9], 1, float)) == [7, 8, 9]


def test_an_error_comes_after_the_items_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise OSError("gone")

    found = ahead(items(), 5, float)
    assert next(found) == 1
    with pytest.raises(OSError, match="gone"):
        next(found)


def test_closing_ends_the_thread() -> None:
    def endless() -> Iterator[int]:
        while True:
            yield 1

    before = threading.active_count()
    found = ahead(endless(), 2, float)
    assert next(found) == 1
    found.close()
    assert threading.active_count() == before
