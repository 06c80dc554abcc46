"""Stages of a study side by side on a Ray cluster.

A stage that maps over images asks for no core of its own: its images are done by actors on the
whole cluster, where the cache is a folder that every machine sees. With a cache at an address each
stage is done by one machine. A stage that trains or runs a model is a task with the cores and the
GPU that it needs.
"""

from __future__ import annotations

import os
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ratewise.execution import Resources
from ratewise.execution.cluster import connect
from ratewise.execution.mapping import available_cores
from ratewise.execution.progress import Bar, shown_on
from ratewise.study.cache import Cache
from ratewise.study.live import LiveView
from ratewise.study.mirror import MirroredCache
from ratewise.study.plan import Plan, Stage
from ratewise.study.scheduler import Finished, StageContext, attempt

_MAPS = frozenset({"prepare", "compress", "restore", "distortion", "perception"})
"""Kinds of stages whose work is a map over images; a restorer on a GPU makes ``restore`` none."""

_LOOK_SECONDS = 0.5
"""Between reports of how far a stage is."""

_RETRIES = 2
"""How often a stage is begun again whose machine vanished or whose process was killed."""


@dataclass(frozen=True)
class Needs:
    """What a stage must be given to run; ``maps``: its work is done by actors."""

    cores: int
    gpus: int
    maps: bool


def needs(stage: Stage, cores: int, gpus: int) -> Needs:
    """What ``stage`` needs on a cluster whose machines have up to ``cores`` and ``gpus``."""
    if stage.kind in _MAPS and not (stage.kind == "restore" and gpus):
        return Needs(cores=0, gpus=0, maps=True)
    return Needs(cores=cores, gpus=min(gpus, 1), maps=False)


class ClusterExecutor:
    """Starts every stage that can run; the cluster runs as many as it has room for.

    A model computes on as many threads as it would here (``OMP_NUM_THREADS``, or the cores of this
    machine), as far as a machine of the cluster has them: results of a CPU depend on that.
    """

    room = True

    def __init__(
        self, plan: Plan, cache: Cache, context: StageContext, view: LiveView | None = None
    ) -> None:
        self._ray = connect(context.resources)
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        most = max((int(node.get("CPU", 0)) for node in nodes), default=1)
        asked = int(os.environ.get("OMP_NUM_THREADS") or available_cores())
        self._cores = max(1, min(asked, most))
        self._shared_disk = not isinstance(cache, MirroredCache)
        self._gpus = max((int(node.get("GPU", 0)) for node in nodes), default=0)
        self._view = view
        # Where progress is reported to: no core, for it hardly does anything.
        self._board = self._ray.remote(Board).options(num_cpus=0).remote() if view else None
        context = replace(context, quiet=view is None)
        self._shared = self._ray.put((plan, cache, context, self._board))
        self._running: dict[Any, Stage] = {}

    @property
    def busy(self) -> bool:
        """While a stage runs."""
        return bool(self._running)

    def start(self, stage: Stage) -> None:
        """Hand the stage to the cluster."""
        need = needs(stage, self._cores, self._gpus)
        if need.maps and not self._shared_disk:  # then one machine does it all
            need = Needs(self._cores, gpus=0, maps=False)
        task = self._ray.remote(_run).options(
            num_cpus=need.cores,
            num_gpus=need.gpus,
            max_retries=_RETRIES,
            runtime_env={"env_vars": {"OMP_NUM_THREADS": str(max(1, need.cores))}},
        )
        reference = task.remote(stage, self._shared, need, sys.path, str(Path.cwd()))
        self._running[reference] = stage

    def wait(self) -> Finished:
        """The next stage that comes to its end."""
        ready: list[Any] = []
        while not ready:
            seconds = _LOOK_SECONDS if self._view else None
            ready, _ = self._ray.wait(list(self._running), num_returns=1, timeout=seconds)
            if self._view is not None and self._board is not None:
                self._view.reported(self._ray.get(self._board.work.remote()))
        done = ready[0]
        stage = self._running.pop(done)
        try:
            finished: Finished = self._ray.get(done)
        except self._ray.exceptions.RayError as error:
            text = (str(error).splitlines() or [type(error).__name__])[0]
            return Finished(stage, 0.0, f"its worker died {_RETRIES + 1} times ({text})")
        return finished


def _run(
    stage: Stage,
    shared: tuple[Plan, Cache, StageContext, Any],
    need: Needs,
    path: list[str],
    folder: str,
) -> Finished:
    """Run a stage, on a machine of the cluster."""
    sys.path += [entry for entry in path if entry not in sys.path]
    with suppress(OSError):  # of another machine, perhaps
        os.chdir(folder)
    plan, cache, context, board = shared
    if not need.maps:
        context = replace(context, resources=Resources(max(1, need.cores)))
    if board is None:
        return attempt(stage, plan, cache, context)
    with shown_on(_Reporter(board, stage.fingerprint)):
        return attempt(stage, plan, cache, context)


class Board:
    """What is under way on the cluster; an actor."""

    def __init__(self) -> None:
        self._work: dict[str, dict[str, Any]] = {}

    def put(self, name: str, work: dict[str, Any] | None) -> None:
        """Note how far some work is; None: it is done."""
        if work is None:
            self._work.pop(name, None)
        else:
            self._work[name] = work

    def work(self) -> dict[str, dict[str, Any]]:
        """All of it by its name."""
        return self._work


class _Reporter:
    """A display of progress that reports to the board, now and then."""

    def __init__(self, board: Any, name: str) -> None:
        self._board, self._name = board, name

    @contextmanager
    def task(self, description: str, total: int | None, unit: str, initial: int) -> Iterator[Bar]:
        """Report while the block runs."""
        name = f"{self._name}-{uuid.uuid4().hex}"
        work = {"description": description, "total": total, "unit": unit}
        board, done, last = self._board, initial, time.monotonic()

        def report(status: str) -> None:
            board.put.remote(name, work | {"done": done, "status": status})

        class _Line:
            def advance(self, items: int = 1, status: str = "") -> None:
                nonlocal done, last
                done += items
                if time.monotonic() - last > _LOOK_SECONDS:
                    last = time.monotonic()
                    report(status)

        report("")
        try:
            yield _Line()
        finally:
            board.put.remote(name, None)
