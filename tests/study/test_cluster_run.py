"""A study on Ray gives the rows that it gives locally, and a killed worker costs it nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from ratewise.study.cluster import needs
from ratewise.study.plan import Stage

pytest.importorskip("ray", reason="Ray has no wheel for this Python")


def _run(study: Path, out: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "ratewise", "study", "run", str(study), "--out", str(out)]
    return subprocess.Popen(
        [*command, "--set", "configurations=[OO, CC]", "--engine", "ray", "--workers", "2"],
        env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _children(pid: int) -> list[int]:
    """All processes below one."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            if int(stat.rsplit(")", 1)[1].split()[1]) == pid:
                found += [int(entry.name), *_children(int(entry.name))]
    return found


def _stage_workers(pid: int) -> list[int]:
    """The processes under ``pid`` that run a stage at this moment."""
    found = []
    for child in _children(pid):
        try:
            name = Path(f"/proc/{child}/cmdline").read_text()
        except OSError:
            continue
        if name.startswith("ray::_run"):
            found.append(child)
    return found


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds the worker in /proc")
def test_rows_are_the_local_ones_even_where_a_stage_is_killed(
    miniature: Path, finished_run: Path, tmp_path: Path
) -> None:
    process = _run(miniature, tmp_path / "out")
    deadline = time.monotonic() + 120
    trained = tmp_path / "out" / "cache"
    while not (list(trained.glob("train-*")) and _stage_workers(process.pid)):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline, "no training began"
        time.sleep(0.05)
    for victim in _stage_workers(process.pid):
        os.kill(victim, signal.SIGKILL)
    printed, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    assert "report:" in printed
    assert "train segmentation" in errors
    local = pd.read_parquet(finished_run / "results.parquet")
    local = local[local.train_channel == local.test_channel].reset_index(drop=True)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "out" / "results.parquet"), local)


def test_what_stages_need() -> None:
    def of(kind: str, gpus: int) -> tuple[int, int, bool]:
        need = needs(Stage(kind, "", {}), cores=4, gpus=gpus)
        return need.cores, need.gpus, need.maps

    assert of("compress", 0) == of("compress", 8) == (0, 0, True)
    assert of("train", 0) == (4, 0, False)
    assert of("train", 8) == (4, 1, False)
    assert of("restore", 0) == (0, 0, True)
    assert of("restore", 8) == (4, 1, False)
