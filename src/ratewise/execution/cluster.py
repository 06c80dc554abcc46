"""Workers on a Ray cluster: actors that load the function and its context once.

Ray is an optional extra (``ratewise[ray]``). Every machine of the cluster needs this package in the
same version, and the folders or addresses that the work names.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import BrokenExecutor, Future
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

from ratewise.errors import InputError, RatewiseError
from ratewise.execution.chunks import WORKER_ENVIRONMENT, Results, map_chunks, run_chunk
from ratewise.execution.mapping import Outcome, Resources, available_cores

T = TypeVar("T")
R = TypeVar("R")

_QUEUED = 2
"""Chunks that an actor is given at a time: it starts on one while the results of another travel."""

_CONNECT_SECONDS = 10.0

_TRIALS = 3
"""A machine of a cluster can vanish; an item is to blame when so many workers died of it."""


def ray() -> Any:
    """The ``ray`` package; InputError says how to install it."""
    try:
        import ray as package
    except ImportError:
        raise InputError(
            "the engine ray needs Ray: pip install 'ratewise[ray]' (or use --engine local)"
        ) from None
    return package


def connect(resources: Resources) -> Any:
    """The ``ray`` package, connected: to the address, or to a Ray of its own on this machine.

    What is connected already stays so. A Ray of its own ends with this process. Raises
    :class:`InputError` if there is no cluster at the address.
    """
    package = ray()
    if package.is_initialized():
        return package
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if resources.address is None:
        options |= {"include_dashboard": False, "num_cpus": resources.workers or available_cores()}
        options["address"] = "local"
    else:
        options["address"] = resources.address
        _check_listening(resources.address)
    try:
        package.init(**options)
    except (ConnectionError, ValueError, RuntimeError, OSError) as error:
        raise InputError(
            f"no Ray cluster at {resources.address or 'this machine'} ({_first_line(error)})"
        ) from None
    return package


def _check_listening(address: str) -> None:
    """Raise :class:`InputError` if nobody listens at ``HOST:PORT``: Ray would try for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon:
        return  # "auto", which Ray answers at once
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_SECONDS):
            pass
    except (OSError, ValueError, OverflowError) as error:
        raise InputError(f"no Ray cluster at {address} ({error})") from None


def cluster_cores(resources: Resources) -> int:
    """The cores of the cluster."""
    return max(1, int(connect(resources).cluster_resources().get("CPU", 1)))


def map_cluster(
    function: Callable[..., R], items: Iterable[T], resources: Resources, context: Any
) -> Generator[Outcome[T, R], None, None]:
    """:func:`ratewise.execution.map_items` over actors of a Ray cluster."""
    package = connect(resources)
    job = package.put(package.cloudpickle.dumps((function, context)))
    return _mapped(package, job, items, resources.processes)


def _mapped(
    package: Any, job: Any, items: Iterable[T], workers: int
) -> Generator[Outcome[T, Any], None, None]:
    """The outcomes; actors begin with the first that is asked for."""
    yield from map_chunks(_Actors(package, job, workers), items, workers)


class _Actors:
    """Actors, and the chunks that wait for one.

    An actor is given work once it runs: where the cluster has room for fewer than were asked for,
    those that run do it all.
    """

    trials = _TRIALS
    cannot_start = "no worker can start on the cluster"

    def __init__(self, package: Any, job: Any, workers: int, cores: int = 1) -> None:
        self._ray, self._job, self._cores = package, job, cores
        self._make = package.remote(_Worker)
        self._lock = threading.RLock()
        self._waiting: deque[tuple[list[Any], Future[Results]]] = deque()
        self._busy: dict[Any, list[Future[Results]]] = {}  # running actors, what each was given
        self._starting: list[Any] = []
        self._stopped, self._unfit = False, ""
        self._workers = workers
        for _ in range(workers):
            self._begin_one()

    def _begin_one(self) -> None:
        actor = self._make.options(
            num_cpus=self._cores,
            runtime_env={"env_vars": WORKER_ENVIRONMENT},
            max_restarts=0,
        ).remote(self._job, sys.path, str(Path.cwd()))
        self._starting.append(actor)
        actor.ready.remote().future().add_done_callback(lambda ready: self._began(actor, ready))

    def _began(self, actor: Any, ready: Future[Any]) -> None:
        with self._lock:
            if self._stopped or actor not in self._starting:
                return
            self._starting.remove(actor)
            if (error := ready.exception()) is None:
                if (there := ready.result()) != (here := version("ratewise")):
                    self._unfit = f"a machine of the cluster has ratewise {there}, not {here}"
                self._busy[actor] = []
            elif not self._busy and not self._starting:  # none is left to do the work
                self._fail_waiting(error)
        self._hand_out()

    def submit(self, chunk: list[Any]) -> Future[Results]:
        """Have ``chunk`` done by the first actor that is free."""
        if self._unfit:
            raise RatewiseError(self._unfit)
        future: Future[Results] = Future()
        with self._lock:
            self._waiting.append((chunk, future))
            if not self._busy and not self._starting:
                self._fail_waiting(BrokenExecutor("every worker died"))
        self._hand_out()
        return future

    def _fail_waiting(self, error: BaseException) -> None:
        while self._waiting:
            self._waiting.popleft()[1].set_exception(_as_broken(error))

    def _hand_out(self) -> None:
        with self._lock:
            while self._waiting and self._busy:
                actor = min(self._busy, key=lambda one: len(self._busy[one]))
                if len(self._busy[actor]) >= _QUEUED:
                    return
                chunk, future = self._waiting.popleft()
                try:
                    reference = actor.run.remote(chunk)
                except Exception as error:  # the chunk cannot be pickled
                    future.set_exception(error)
                    continue
                self._busy[actor].append(future)
                reference.future().add_done_callback(
                    lambda done, actor=actor, future=future: self._done(actor, future, done)
                )

    def _done(self, actor: Any, future: Future[Results], done: Future[Any]) -> None:
        error = done.exception()
        with self._lock:
            if actor in self._busy:
                self._busy[actor].remove(future)
                if error is not None and isinstance(_as_broken(error), BrokenExecutor):
                    del self._busy[actor]
                    if not self._busy and not self._starting:
                        self._fail_waiting(error)
        if self._stopped:
            return
        if error is None:
            future.set_result(done.result())
        else:
            future.set_exception(_as_broken(error))
        self._hand_out()

    def restart(self) -> None:
        """Replace the actors that died; the others go on."""
        with self._lock:
            for _ in range(self._workers - len(self._busy) - len(self._starting)):
                self._begin_one()

    def alone(self) -> _Actors:
        """A pool of one actor that waits for no core, for the others may hold them all."""
        return _Actors(self._ray, self._job, 1, cores=0)

    def close(self) -> None:
        """End the actors, which have no work left."""
        self.stop()

    def stop(self) -> None:
        """End the actors, whatever they are doing."""
        with self._lock:
            self._stopped = True
            actors = [*self._busy, *self._starting]
            self._busy, self._starting = {}, []
        for actor in actors:
            self._ray.kill(actor)


def _as_broken(error: BaseException) -> BaseException:
    """BrokenExecutor if the worker died, or its machine; else the error itself."""
    from ray.exceptions import RayActorError, RaySystemError, RayTaskError, WorkerCrashedError

    if isinstance(error, (RayActorError, WorkerCrashedError, RaySystemError)):
        return BrokenExecutor(_first_line(error))
    if isinstance(error, RayTaskError) and isinstance(error.cause, Exception):
        return error.cause
    return error


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


# ----- in the worker ------------------------------------------------------------------------


class _Worker:
    """An actor: the function and its context, loaded once."""

    def __init__(self, job: bytes, path: list[str], folder: str) -> None:
        from ray import cloudpickle

        os.environ.update(WORKER_ENVIRONMENT)
        with suppress(OSError):  # of another machine, perhaps
            os.chdir(folder)
        sys.path += [entry for entry in path if entry not in sys.path]  # a script's own modules
        self._work: tuple[Callable[..., Any], Any] | Exception
        try:
            self._work = cloudpickle.loads(job)
        except Exception as error:
            self._work = error

    def ready(self) -> str:
        """The version of this package on the actor's machine."""
        return version("ratewise")

    def run(self, chunk: list[Any]) -> Results:
        """What became of the items of a chunk."""
        if not isinstance(self._work, tuple):
            raise RuntimeError(f"the function cannot be loaded by a worker ({self._work})")
        return run_chunk(*self._work, chunk)
