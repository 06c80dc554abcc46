"""A study that is killed in every kind of stage ends like one that is not."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from ratewise.files import read_json

_TIMEOUT_S = 120.0
_SIGNS = {
    "prepare": "prepare-*",
    "train": "train-*/training/*checkpoint*",
    "evaluate": "evaluate-*",
    "compress": "compress-*",
}
"""What shows that a stage of a kind has begun, in the order in which the miniature runs them."""


def _start(study: Path, out: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "ratewise", "study", "run", str(study), "--out", str(out)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.Popen(
        [*command, "--workers", "1", "--quiet"], env=environment, start_new_session=True
    )


def _kill_at(sign: str, study: Path, out: Path) -> None:
    """Start the study and kill it once a file is there that shows which stage it is in."""
    process = _start(study, out)
    limit = time.monotonic() + _TIMEOUT_S
    while not any((out / "cache").glob(sign)):
        assert process.poll() is None, "the study ended before the stage was seen"
        assert time.monotonic() < limit
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _finish(study: Path, out: Path) -> None:
    process = _start(study, out)
    assert process.wait(_TIMEOUT_S) == 0


def _hashes(out: Path) -> dict[str, dict[str, str]]:
    """The hashes of every stage's files; those of weights among them."""
    stages = sorted((out / "cache").glob("*/stage.json"))
    return {path.parent.name: read_json(path)["files"] for path in stages}


@pytest.fixture
def undisturbed(miniature: Path, tmp_path: Path) -> Path:
    out = tmp_path / "undisturbed"
    _finish(miniature, out)
    return out


def test_a_killed_study_ends_with_the_same_weights_and_numbers(
    miniature: Path, undisturbed: Path, tmp_path: Path
) -> None:
    out = tmp_path / "killed"
    for kind, sign in _SIGNS.items():
        _kill_at(sign, miniature, out)
        unfinished = {path.name for path in (out / "cache").glob(f"{kind}-*")} - set(_hashes(out))
        assert unfinished, f"the kill in {kind} came too late"
    _finish(miniature, out)
    assert _hashes(out) == _hashes(undisturbed)
    pd.testing.assert_frame_equal(
        pd.read_parquet(out / "results.parquet"), pd.read_parquet(undisturbed / "results.parquet")
    )
    shutil.rmtree(out)
