"""Mapping over a pool of processes that survives the death of its workers."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from itertools import islice
from operator import length_hint
from typing import Any, TypeVar

from ratewise.errors import RatewiseError
from ratewise.execution.mapping import Failure, Outcome, call

T = TypeVar("T")
R = TypeVar("R")

# A chunk is meant to take this long: sending one costs half a millisecond of this process, which
# the workers lose where there are as many of them as cores.
_CHUNK_SECONDS = 0.1
_LARGEST_CHUNK = 32
_CHUNKS_AHEAD = 3  # per worker

_WORKER_ENVIRONMENT = {
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

_Results = tuple[list[tuple[Any, Failure | None]], float]
_Window = deque[tuple[list[Any], Future[_Results]]]


def map_pool(
    function: Callable[..., R], items: Iterable[T], workers: int, context: Any
) -> Generator[Outcome[T, R], None, None]:
    """:func:`ratewise.execution.map_items` over ``workers`` processes."""
    job = pickle.dumps((function, context))
    _preload(function)
    source = iter(items)
    pool = _Pool(job, workers)
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
                window = _settle(window, pool, job)
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


class _Pool:
    """An executor that can be replaced when it breaks."""

    def __init__(self, job: bytes, workers: int) -> None:
        self._job, self._workers = job, workers
        self._executor = self._start()

    def _start(self) -> ProcessPoolExecutor:
        methods = multiprocessing.get_all_start_methods()
        method = "forkserver" if "forkserver" in methods else "spawn"
        return ProcessPoolExecutor(
            self._workers,
            mp_context=multiprocessing.get_context(method),
            initializer=_begin,
            initargs=(self._job,),
        )

    def submit(self, chunk: list[Any]) -> Future[_Results]:
        """Have ``chunk`` done; a broken pool shows in the future, not here."""
        try:
            running = getattr(self._executor, "_processes", None) or {}
            if len(running) == self._workers:
                return self._executor.submit(_run, chunk)
            with _environment(_WORKER_ENVIRONMENT):  # processes start here, when they are needed
                return self._executor.submit(_run, chunk)
        except BrokenExecutor as error:
            broken: Future[_Results] = Future()
            broken.set_exception(error)
            return broken

    def restart(self) -> None:
        """Replace the processes by new ones."""
        self.stop()
        self._executor = self._start()

    def close(self) -> None:
        """Let the processes end, when no work is left."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    def stop(self) -> None:
        """End the processes now, whatever they are doing, and wait until they are gone."""
        processes = list((getattr(self._executor, "_processes", None) or {}).values())
        for process in processes:
            process.kill()
        self._executor.shutdown(wait=True, cancel_futures=True)
        for process in processes:
            process.join()


def _preload(function: Callable[..., Any]) -> None:
    """Have the server that workers are forked from import what they need, once for all.

    Only the first pool of a process can say so; later functions are imported by each worker.
    """
    if "forkserver" in multiprocessing.get_all_start_methods():
        context = multiprocessing.get_context("forkserver")
        module = getattr(function, "__module__", None) or "__main__"
        context.set_forkserver_preload(["__main__", module])


def _settle(window: _Window, pool: _Pool, job: bytes) -> _Window:
    """The window with its failed chunks done again, one item at a time in a separate process.

    A chunk fails as a whole when a worker dies (then every chunk in flight fails, and any of
    their items may be to blame), or when an item or a value cannot be pickled.
    """
    if isinstance(window[0][1].exception(), BrokenExecutor):
        for _, future in window:
            future.exception()  # waits until the executor has given up on it
        pool.restart()
    alone = _Pool(job, 1)
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


def _one(item: Any, alone: _Pool) -> tuple[Any, Failure | None]:
    """``item`` in a process of its own; if that dies, it is the item's fault."""
    future = alone.submit([item])
    error = future.exception()
    if error is None:
        return future.result()[0][0]
    if not isinstance(error, BrokenExecutor):  # the item or its value cannot be pickled
        return None, Failure(type(error).__name__, str(error))
    alone.restart()
    if isinstance(alone.submit([]).exception(), BrokenExecutor):
        raise RatewiseError(
            "worker processes cannot start; a script that uses several workers must do its work "
            "under `if __name__ == '__main__':`"
        )
    return None, Failure("WorkerDied", "the worker process died while it did this item")


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


# ----- in the worker ------------------------------------------------------------------------

_work: tuple[Callable[..., Any], Any] | Exception | None = None


def _begin(job: bytes) -> None:
    """Make this process a worker: single-threaded, deaf to Ctrl-C, gone when its parent goes."""
    global _work
    # Before the job is unpickled, which imports the libraries that read these.
    os.environ.update(_WORKER_ENVIRONMENT)
    # The terminal sends Ctrl-C to every process; the parent is the one to act on it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    try:
        _work = pickle.loads(job)
    except Exception as error:
        _work = error


def _leave_with_parent() -> None:
    """A parent that was killed cannot stop its workers: they would wait for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _run(chunk: list[Any]) -> _Results:
    start = time.perf_counter()
    if not isinstance(_work, tuple):
        raise RuntimeError(f"the function cannot be loaded in a worker process ({_work})")
    function, context = _work
    results = [call(function, context, item) for item in chunk]
    return results, time.perf_counter() - start
