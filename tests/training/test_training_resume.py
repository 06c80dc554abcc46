"""A run killed with SIGKILL at any moment and started again ends like one that was not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).with_name("kill_and_resume.py")


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    ran = subprocess.run(
        [sys.executable, str(SCRIPT), str(tmp_path_factory.mktemp("runs"))],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    return dict(json.loads(ran.stdout))


def test_a_killed_run_ends_with_the_same_weights_and_log(outcomes: dict[str, Any]) -> None:
    whole = outcomes.pop("whole")
    assert len(whole["log"]) == 5
    assert len(outcomes) >= 10
    for way, outcome in outcomes.items():
        assert outcome["weights"] == whole["weights"], way
        assert outcome["log"] == whole["log"], way


def test_half_written_checkpoints_are_left_behind_and_removed(outcomes: dict[str, Any]) -> None:
    killed_in_writing = outcomes["writing a checkpoint"]
    assert (killed_in_writing["left"], killed_in_writing["after"]) == (1, 0)


def test_many_kills_still_come_to_the_end(outcomes: dict[str, Any]) -> None:
    assert outcomes["again and again"]["kills"] >= 3
