"""``map_items``: in order, lazily, and no item's failure is another's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from mapped_functions import add, die_on_five, fail_on_three, threads

from ratewise.errors import InputError
from ratewise.execution import Failure, Resources, map_items

POOL = Resources(workers=2)


def _square(x: int) -> int:
    return x * x


def _unpicklable_on_two(x: int) -> object:
    return (lambda: x) if x == 2 else x


@pytest.mark.parametrize("resources", [Resources(1), POOL], ids=["here", "pool"])
def test_values_come_in_the_order_of_the_items(resources: Resources) -> None:
    outcomes = list(map_items(_square, range(200), resources))
    assert [o.value for o in outcomes] == [x * x for x in range(200)]
    assert [o.item for o in outcomes] == list(range(200))


@pytest.mark.parametrize("resources", [Resources(1), POOL], ids=["here", "pool"])
def test_an_exception_is_the_failure_of_its_item_only(resources: Resources) -> None:
    outcomes = list(map_items(fail_on_three, range(6), resources))
    assert [o.value for o in outcomes] == [0, 1, 2, None, 4, 5]
    assert outcomes[3].failure == Failure("KeyError", "'three'")
    assert sum(o.failure is not None for o in outcomes) == 1


@pytest.mark.parametrize("resources", [Resources(1), POOL], ids=["here", "pool"])
def test_the_context_is_the_first_argument(resources: Resources) -> None:
    assert [o.value for o in map_items(add, [1, 2], resources, context=10)] == [11, 12]


def test_no_items_give_no_outcomes() -> None:
    assert list(map_items(_square, [], POOL)) == []


def test_a_worker_that_dies_costs_only_the_item_that_kills_it() -> None:
    outcomes = list(map_items(die_on_five, range(40), POOL))
    assert [o.value for o in outcomes] == [None if x == 5 else x for x in range(40)]
    failure = outcomes[5].failure
    assert failure is not None
    assert failure.kind == "WorkerDied"
    assert "worker process died" in failure.message


def test_a_value_that_cannot_be_pickled_is_the_failure_of_its_item_only() -> None:
    outcomes = list(map_items(_unpicklable_on_two, range(40), POOL))
    assert [o.item for o in outcomes if o.failure] == [2]


def test_items_are_not_read_far_ahead() -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for x in range(100_000):
            taken += 1
            yield x

    outcomes = map_items(_square, items(), POOL)
    for _ in range(300):
        next(outcomes)
    assert 300 <= taken < 300 + 200
    outcomes.close()  # type: ignore[attr-defined]


def test_workers_compute_in_one_thread_and_this_process_is_left_alone() -> None:
    before = os.environ.get("OMP_NUM_THREADS")
    assert [o.value for o in map_items(threads, range(2), POOL)] == ["1", "1"]
    assert os.environ.get("OMP_NUM_THREADS") == before


def _setting(name: str) -> str | None:
    return os.environ.get(name)


def test_workers_have_the_environment_of_this_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    list(map_items(_setting, ["X"], POOL))  # the server that workers are forked from is there now
    monkeypatch.setenv("RATEWISE_TEST_SETTING", "later")
    outcomes = list(map_items(_setting, ["RATEWISE_TEST_SETTING"] * 2, POOL))
    assert [o.value for o in outcomes] == ["later", "later"]


def test_negative_workers_are_refused() -> None:
    with pytest.raises(InputError, match="workers = -1"):
        Resources(-1)
    assert Resources(0).processes >= 1


_SCRIPT = """
import os, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # it is ignored in a shell's background
from ratewise.execution import Resources, map_items
def work(x):
    os.write(1, f"{os.getpid()}\\n".encode())  # one write: lines of two workers do not mix
    time.sleep(60)
if __name__ == "__main__":
    for _ in map_items(work, range(10), Resources(2)):
        pass
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_no_worker_outlives_a_stopped_parent(tmp_path: Path, how: signal.Signals) -> None:
    script = tmp_path / "script.py"
    script.write_text(_SCRIPT)
    process = subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    workers = [int(process.stdout.readline()) for _ in range(2)]
    process.send_signal(how)
    process.wait(30)
    deadline = time.monotonic() + 30
    while any(_alive(pid) for pid in workers):
        assert time.monotonic() < deadline, "a worker is still there"
        time.sleep(0.02)


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
