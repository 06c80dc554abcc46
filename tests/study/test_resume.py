"""A study that is killed in every kind of stage ends like one that is not."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from ratewise.files import read_json

_TIMEOUT_S = 120.0
_SIGNS = {
    "prepare": "prepare-*",
    "train": "train-*/training/*checkpoint*",
    "evaluate": "evaluate-*",
    "compress": "compress-*",
}
"""What shows that a stage of a kind has begun, in the order in which the miniature runs them."""


def _wait_for(sign: str, out: Path, process: Any) -> None:
    limit = time.monotonic() + _TIMEOUT_S
    while not any((out / "cache").glob(sign)):
        assert process.poll() is None, "the study ended before the stage was seen"
        assert time.monotonic() < limit
        time.sleep(0.002)


def _hashes(out: Path) -> dict[str, dict[str, str]]:
    """The hashes of every finished stage's files; those of weights among them."""
    stages = sorted((out / "cache").glob("*/stage.json"))
    return {path.parent.name: read_json(path)["files"] for path in stages}


def test_a_killed_study_ends_with_the_same_weights_and_numbers(
    miniature: Path, finished_run: Path, tmp_path: Path, start: Callable[..., Any]
) -> None:
    out = tmp_path / "killed"
    for kind, sign in _SIGNS.items():
        process = start(miniature, out)
        _wait_for(sign, out, process)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        unfinished = {path.name for path in (out / "cache").glob(f"{kind}-*")} - set(_hashes(out))
        assert unfinished, f"the kill in {kind} came too late"
    process = start(miniature, out)
    _, errors = process.communicate(timeout=_TIMEOUT_S)
    assert process.returncode == 0, errors
    assert _hashes(out) == _hashes(finished_run)
    pd.testing.assert_frame_equal(
        pd.read_parquet(out / "results.parquet"),
        pd.read_parquet(finished_run / "results.parquet"),
    )
