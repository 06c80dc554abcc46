"""Locks between processes, and items shared out among them."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from ratewise.execution.locks import locked, shared_out

WORK = """
import sys, time
from pathlib import Path
from ratewise.execution.locks import shared_out

folder, me = Path(sys.argv[1]), sys.argv[2]
(folder / f"ready-{me}").touch()
while not (folder / "go").exists():
    time.sleep(0.01)
for item in shared_out(range(6), lambda item: folder / f"{item}.lock"):
    done = folder / f"{item}.done"
    if done.exists():
        continue
    time.sleep(0.2)
    with done.open("x") as file:
        file.write(me)
"""


def test_without_waiting_the_block_is_told_whether_it_holds_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.lock"
    with locked(path) as first, locked(path, wait=False) as second:
        assert (first, second) == (True, False)
    with locked(path, wait=False) as third:
        assert third


def test_who_waits_has_the_lock_once_it_is_free(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    held = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys,time\nfrom pathlib import Path\n"
            "from ratewise.execution.locks import locked\n"
            "with locked(Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(1)\n",
            str(path),
        ],
        stdout=subprocess.PIPE,
    )
    assert held.stdout is not None
    held.stdout.readline()
    began = time.monotonic()
    with locked(path) as mine:
        assert mine
        assert time.monotonic() - began > 0.5
    held.wait()


def test_what_another_holds_comes_last(tmp_path: Path) -> None:
    seen = []
    with locked(tmp_path / "0.lock"):
        shared = shared_out("012", lambda item: tmp_path / f"{item}.lock")
        seen += [next(shared), next(shared)]
    seen += list(shared)
    assert seen == ["1", "2", "0"]


def test_two_processes_do_each_item_once_between_them(tmp_path: Path) -> None:
    workers = [
        subprocess.Popen([sys.executable, "-c", WORK, str(tmp_path), name], stderr=subprocess.PIPE)
        for name in "ab"
    ]
    while not all((tmp_path / f"ready-{name}").exists() for name in "ab"):
        time.sleep(0.01)
    (tmp_path / "go").touch()
    errors = [one.communicate(timeout=60)[1] for one in workers]
    assert [one.returncode for one in workers] == [0, 0], errors
    done = [(tmp_path / f"{item}.done").read_text() for item in range(6)]
    assert sorted(done)[0] == "a"
    assert sorted(done)[-1] == "b"
