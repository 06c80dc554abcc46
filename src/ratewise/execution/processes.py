"""A pool of processes of this machine."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from ratewise.execution.chunks import WORKER_ENVIRONMENT, Results, map_chunks, run_chunk
from ratewise.execution.mapping import Outcome

T = TypeVar("T")
R = TypeVar("R")


def map_processes(
    function: Callable[..., R], items: Iterable[T], workers: int, context: Any
) -> Generator[Outcome[T, R], None, None]:
    """:func:`ratewise.execution.map_items` over ``workers`` processes."""
    job = pickle.dumps((function, context))
    _preload(function)
    return map_chunks(_Processes(job, workers), items, workers)


class _Processes:
    """An executor that can be replaced when it breaks."""

    trials = 1
    cannot_start = (
        "worker processes cannot start; a script that uses several workers must do its work under "
        "`if __name__ == '__main__':`"
    )

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
            initargs=(self._job, dict(os.environ)),
        )

    def submit(self, chunk: list[Any]) -> Future[Results]:
        """Have ``chunk`` done; a broken pool shows in the future, not here."""
        try:
            running = getattr(self._executor, "_processes", None) or {}
            if len(running) == self._workers:
                return self._executor.submit(_run, chunk)
            with _environment(WORKER_ENVIRONMENT):  # processes start here, when they are needed
                return self._executor.submit(_run, chunk)
        except BrokenExecutor as error:
            broken: Future[Results] = Future()
            broken.set_exception(error)
            return broken

    def restart(self) -> None:
        """Replace the processes by new ones."""
        self.stop()
        self._executor = self._start()

    def alone(self) -> _Processes:
        """A pool of one process."""
        return _Processes(self._job, 1)

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


def _begin(job: bytes, environment: dict[str, str]) -> None:
    """Make this process a worker: single-threaded, deaf to Ctrl-C, gone when its parent goes.

    ``environment`` is the parent's: the server that workers are forked from has that of an earlier
    moment.
    """
    global _work
    # Before the job is unpickled, which imports the libraries that read these.
    os.environ.update(environment | WORKER_ENVIRONMENT)
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


def _run(chunk: list[Any]) -> Results:
    if not isinstance(_work, tuple):
        raise RuntimeError(f"the function cannot be loaded in a worker process ({_work})")
    return run_chunk(*_work, chunk)
