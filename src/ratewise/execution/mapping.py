"""``map_items``: one function over many items, lazily, in order, failures as records."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from ratewise.errors import InputError

T = TypeVar("T")
R = TypeVar("R")

ENGINES = ("local", "ray")


@dataclass(frozen=True)
class Resources:
    """What work may use.

    ``workers`` processes; 0 = one per core. With the engine ``local`` they are processes of this
    machine, 1 being this process itself; with ``ray`` actors of the cluster at ``address``, or of a
    Ray of its own where that is None.
    """

    workers: int = 1
    engine: str = "local"
    address: str | None = None

    def __post_init__(self) -> None:
        if self.workers < 0:
            raise InputError(f"workers = {self.workers}: must be 0 (one per core) or more")
        if self.engine not in ENGINES:
            raise InputError(f"engine {self.engine!r} is not known (allowed: {', '.join(ENGINES)})")
        if self.address is not None and self.engine != "ray":
            raise InputError(f"address {self.address!r} needs the engine ray")

    @property
    def processes(self) -> int:
        """The number of processes meant, at least 1."""
        if self.workers:
            return self.workers
        if self.engine == "ray":
            from ratewise.execution.cluster import cluster_cores

            return cluster_cores(self)
        return available_cores()


@dataclass(frozen=True)
class Failure:
    """Why an item failed: the name of the exception's class, and its text."""

    kind: str
    message: str


@dataclass(frozen=True)
class Outcome(Generic[T, R]):
    """What became of an item: ``value``, or ``failure`` if the function raised."""

    item: T
    value: R | None
    failure: Failure | None


def available_cores() -> int:
    """The cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def map_items(
    function: Callable[..., R],
    items: Iterable[T],
    resources: Resources = Resources(),
    *,
    context: Any = None,
) -> Generator[Outcome[T, R], None, None]:
    """``function(item)`` for each item, as :class:`Outcome` in the order of ``items``.

    With ``context``, the calls are ``function(context, item)``, and the context travels to each
    worker once instead of with every item. ``items`` is read lazily, a bounded number ahead of
    what was yielded, so memory does not grow with the number of items.

    An exception of ``function`` becomes the item's :class:`Failure`. With more than one worker,
    ``function``, ``context``, items and values must be picklable; a worker that dies (a crash in
    a C library, the kernel's memory killer) costs only the item that kills it; on a cluster, where
    a machine may vanish, an item is tried again before it is to blame. Workers compute in one
    thread each. Closing the iterator, or an interrupt, stops the workers at once.
    """
    if resources.engine == "ray":
        from ratewise.execution.cluster import map_cluster

        return map_cluster(function, items, resources, context)
    if resources.processes == 1:
        return _map_here(function, items, context)
    from ratewise.execution.processes import map_processes

    return map_processes(function, items, resources.processes, context)


def call(function: Callable[..., R], context: Any, item: Any) -> tuple[R | None, Failure | None]:
    """The value of one call, or its failure."""
    try:
        return (function(item) if context is None else function(context, item)), None
    except Exception as error:
        return None, Failure(type(error).__name__, str(error))


def _map_here(
    function: Callable[..., R], items: Iterable[T], context: Any
) -> Generator[Outcome[T, R], None, None]:
    for item in items:
        yield Outcome(item, *call(function, context, item))
