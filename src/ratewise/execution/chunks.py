"""Mapping over workers that survives their death: chunks of items, a bounded number in flight.

What the workers are (processes of this machine, actors of a cluster) is a :class:`Pool`'s matter.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import BrokenExecutor, Future
from itertools import islice
from operator import length_hint
from typing import Any, Protocol, TypeAlias, TypeVar

from ratewise.errors import RatewiseError
from ratewise.execution.mapping import Failure, Outcome, call

T = TypeVar("T")

# A chunk is meant to take this long: sending one costs half a millisecond of this process, which
# the workers lose where there are as many of them as cores.
_CHUNK_SECONDS = 0.1
_LARGEST_CHUNK = 32
_CHUNKS_AHEAD = 3  # per worker

Results: TypeAlias = tuple[list[tuple[Any, Failure | None]], float]
"""What became of the items of a chunk, and the seconds it took."""

_Window: TypeAlias = deque[tuple[list[Any], Future[Results]]]

WORKER_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
    # glibc: keep the memory of one image for the next instead of returning it to the system and
    # asking for it again, which costs a page fault for each 4 KB.
    "MALLOC_TRIM_THRESHOLD_": str(64 << 20),
    "MALLOC_MMAP_THRESHOLD_": str(16 << 20),
}
"""Each worker computes in one thread."""


class Pool(Protocol):
    """Workers that have a function and its context, and are given chunks of items.

    ``trials`` says how often an item that its worker died of is tried before it is to blame: more
    than once where a worker can vanish through no fault of its work.
    """

    trials: int
    cannot_start: str
    """What to say where no worker starts."""

    def submit(self, chunk: list[Any]) -> Future[Results]:
        """Have ``chunk`` done; a dead worker shows as BrokenExecutor in the future, not here."""
        ...

    def restart(self) -> None:
        """Replace workers that died; nothing is in flight."""
        ...

    def alone(self) -> Pool:
        """A pool of one more worker, for the same function and context."""
        ...

    def close(self) -> None:
        """Let the workers end, when no work is left."""
        ...

    def stop(self) -> None:
        """End the workers now, whatever they are doing."""
        ...


def run_chunk(function: Callable[..., Any], context: Any, chunk: list[Any]) -> Results:
    """What a worker does with a chunk."""
    start = time.perf_counter()
    results = [call(function, context, item) for item in chunk]
    return results, time.perf_counter() - start


def map_chunks(
    pool: Pool, items: Iterable[T], workers: int
) -> Generator[Outcome[T, Any], None, None]:
    """:func:`ratewise.execution.map_items` over the workers of ``pool``, which ends with it."""
    source = iter(items)
    window: _Window = deque()
    size = 1
    try:
        while True:
            while len(window) < _CHUNKS_AHEAD * workers:
                chunk = list(islice(source, _last_ones(source, size, workers)))
                if not chunk:
                    break
                window.append((chunk, pool.submit(chunk)))
            if not window:
                pool.close()
                return
            chunk, future = window.popleft()
            if future.exception() is not None:  # waits
                window.appendleft((chunk, future))
                window = _settle(window, pool)
                chunk, future = window.popleft()
            results, seconds = future.result()
            for item, (value, failure) in zip(chunk, results, strict=True):
                yield Outcome(item, value, failure)
            per_item = seconds / len(chunk)
            size = max(1, min(_LARGEST_CHUNK, int(_CHUNK_SECONDS / max(per_item, 1e-6))))
    except BaseException:  # an interrupt, or the caller wants no more
        pool.stop()
        raise


def _last_ones(source: Iterator[Any], size: int, workers: int) -> int:
    """``size``, and less towards the end where it is known, so that all workers end together."""
    left = length_hint(source)
    return min(size, max(1, left // (2 * workers))) if left else size


def _settle(window: _Window, pool: Pool) -> _Window:
    """The window with its failed chunks done again, one item at a time by a separate worker.

    A chunk fails as a whole when a worker dies (then chunks in flight fail, and any of their items
    may be to blame), or when an item or a value cannot be pickled.
    """
    if isinstance(window[0][1].exception(), BrokenExecutor):
        for _, future in window:
            future.exception()  # waits until the workers have given up on it, or done it
        pool.restart()
    alone = pool.alone()
    settled: _Window = deque()
    try:
        for index, (chunk, future) in enumerate(window):
            if (future.done() or index == 0) and future.exception() is not None:
                start = time.perf_counter()
                results = [_one(item, alone) for item in chunk]
                future = Future()
                future.set_result((results, time.perf_counter() - start))
            settled.append((chunk, future))
    finally:
        alone.stop()
    return settled


def _one(item: Any, alone: Pool) -> tuple[Any, Failure | None]:
    """``item`` by a worker of its own; if that dies, it is the item's fault."""
    for _ in range(alone.trials):
        future = alone.submit([item])
        error = future.exception()
        if error is None:
            return future.result()[0][0]
        if not isinstance(error, BrokenExecutor):  # the item or its value cannot be pickled
            return None, Failure(type(error).__name__, str(error))
        alone.restart()
        if isinstance(why := alone.submit([]).exception(), BrokenExecutor):
            raise RatewiseError(f"{alone.cannot_start} ({why})")
    return None, Failure("WorkerDied", "the worker process died while it did this item")
