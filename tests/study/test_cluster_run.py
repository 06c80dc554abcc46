"""A study on Ray gives the rows that it gives locally, and a killed worker costs it nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ratewise.study.cluster import needs
from ratewise.study.plan import Stage

pytest.importorskip("ray", reason="Ray has no wheel for this Python")


def _run(study: Path, out: Path, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "ratewise", "study", "run", str(study), "--out", str(out)]
    command += ["--set", "configurations=[OO, CC]", "--engine", "ray", "--workers", "2"]
    return subprocess.Popen(
        [*command, *more],
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
    _wait_for_training(process, tmp_path / "out", process.pid)
    for victim in _stage_workers(process.pid):
        os.kill(victim, signal.SIGKILL)
    _check(process, tmp_path / "out", finished_run)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds the worker in /proc")
def test_a_stage_whose_machine_vanishes_is_done_by_another(
    miniature: Path, finished_run: Path, tmp_path: Path
) -> None:
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    try:
        nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
        process = _run(miniature, tmp_path / "out", "--address", cluster.address)
        raylets = {_raylet(node): node for node in nodes}
        pid = _wait_for_training(process, tmp_path / "out", *raylets)
        cluster.remove_node(raylets[pid], allow_graceful=False)
        _check(process, tmp_path / "out", finished_run)
    finally:
        cluster.shutdown()


def _raylet(node: Any) -> int:
    """The process of a node whose children are its workers."""
    (raylet,) = node.all_processes["raylet"]
    return int(raylet.process.pid)


def _wait_for_training(process: subprocess.Popen[str], out: Path, *pids: int) -> int:
    """The one of ``pids`` below which a stage runs, once the study trains."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        at_work = [pid for pid in pids if _stage_workers(pid)]
        if list((out / "cache").glob("train-*")) and at_work:
            return at_work[0]
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)
    raise AssertionError("no training began")


def _check(process: subprocess.Popen[str], out: Path, finished_run: Path) -> None:
    """The run ends well, with the rows of the local engine."""
    printed, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    assert "report:" in printed
    assert "train segmentation" in errors
    local = pd.read_parquet(finished_run / "results.parquet")
    local = local[local.train_channel == local.test_channel].reset_index(drop=True)
    pd.testing.assert_frame_equal(pd.read_parquet(out / "results.parquet"), local)


def test_what_stages_need() -> None:
    def of(kind: str, gpus: int) -> tuple[int, int, bool]:
        need = needs(Stage(kind, "", {}), cores=4, gpus=gpus)
        return need.cores, need.gpus, need.maps

    assert of("compress", 0) == of("compress", 8) == (0, 0, True)
    assert of("train", 0) == (4, 0, False)
    assert of("train", 8) == (4, 1, False)
    assert of("restore", 0) == (0, 0, True)
    assert of("restore", 8) == (4, 1, False)
