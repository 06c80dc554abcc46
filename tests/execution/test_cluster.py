"""``map_items`` on Ray does what it does locally, and survives the death of more workers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mapped_functions import add, die_on_five, fail_on_three, threads

from ratewise.errors import InputError
from ratewise.execution import Failure, Resources, map_items

ON_RAY = Resources(workers=2, engine="ray")


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[Any]:
    """A Ray of our own for the tests of this file."""
    ray = pytest.importorskip("ray", reason="Ray has no wheel for this Python")
    from ratewise.execution.cluster import connect

    connect(ON_RAY)
    yield ray
    ray.shutdown()


def _note_pid(folder: Path, x: int) -> int:
    (folder / str(os.getpid())).touch()
    time.sleep(0.05)
    return x


def _unpicklable_on_two(x: int) -> object:
    return threading.Lock() if x == 2 else x


def test_outcomes_are_those_of_the_local_engine() -> None:
    local = list(map_items(add, range(100), Resources(1), context=10))
    assert list(map_items(add, range(100), ON_RAY, context=10)) == local


def test_an_exception_is_the_failure_of_its_item_only() -> None:
    outcomes = list(map_items(fail_on_three, range(6), ON_RAY))
    assert [o.value for o in outcomes] == [0, 1, 2, None, 4, 5]
    assert outcomes[3].failure == Failure("KeyError", "'three'")


def test_an_item_that_kills_its_workers_fails_alone() -> None:
    outcomes = list(map_items(die_on_five, range(40), ON_RAY))
    assert [o.value for o in outcomes] == [None if x == 5 else x for x in range(40)]
    failure = outcomes[5].failure
    assert failure is not None
    assert failure.kind == "WorkerDied"


def test_a_worker_killed_from_outside_costs_nothing(tmp_path: Path) -> None:
    outcomes = map_items(_note_pid, range(60), ON_RAY, context=tmp_path)
    done = [next(outcomes) for _ in range(5)]
    victim = int(next(tmp_path.iterdir()).name)
    os.kill(victim, signal.SIGKILL)
    done += outcomes
    assert [o.value for o in done] == list(range(60))
    assert len(list(tmp_path.iterdir())) > 2  # another took its place


def test_a_value_that_cannot_be_pickled_is_the_failure_of_its_item_only() -> None:
    outcomes = list(map_items(_unpicklable_on_two, range(40), ON_RAY))
    assert [o.item for o in outcomes if o.failure] == [2]


def test_items_are_not_read_far_ahead() -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for x in range(100_000):
            taken += 1
            yield x

    outcomes = map_items(add, items(), ON_RAY, context=0)
    for _ in range(300):
        next(outcomes)
    assert 300 <= taken < 300 + 200
    outcomes.close()


def test_workers_compute_in_one_thread() -> None:
    assert {o.value for o in map_items(threads, range(4), ON_RAY)} == {"1"}


def test_more_workers_than_cores_are_served_by_those_that_run() -> None:
    many = Resources(workers=8, engine="ray")  # the cluster has two cores
    assert [o.value for o in map_items(add, range(50), many, context=1)] == list(range(1, 51))


def test_two_maps_at_once_share_the_cluster() -> None:
    first = map_items(add, range(40), ON_RAY, context=0)
    second = map_items(add, range(40), ON_RAY, context=1)
    started = next(first)
    assert [started.value, *(o.value for o in first)] == list(range(40))
    assert [o.value for o in second] == list(range(1, 41))


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nowhere", "127.0.0.1:port", "host:99999"])
def test_an_address_without_a_cluster_is_named_at_once(address: str) -> None:
    script = (
        "from ratewise.execution import Resources, map_items\n"
        f"list(map_items(str, [1], Resources(2, 'ray', {address!r})))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode
    assert f"InputError: no Ray cluster at {address}" in done.stderr


def test_without_ray_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"pip install 'ratewise\[ray\]'"):
        list(map_items(str, [1], ON_RAY))


def test_an_engine_or_address_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(InputError, match="engine 'dask' is not known"):
        Resources(2, "dask")
    with pytest.raises(InputError, match="needs the engine ray"):
        Resources(2, address="auto")
