"""A miniature study: drawn scenes, a small network, a few steps of training."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from study_examples import MINIATURE, RESTORED, write_study

from ratewise.execution import Resources
from ratewise.study import scheduler
from ratewise.study.engine import PlannedStudy, plan_study, run_study
from ratewise.study.settings import Study, load_study

Start = Callable[[Path, Path], "subprocess.Popen[str]"]


@pytest.fixture(autouse=True)
def _tried_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits before a stage is tried again."""
    monkeypatch.setattr(scheduler, "RETRY_SECONDS", (0.0, 0.0))


@pytest.fixture
def miniature(tmp_path: Path) -> Path:
    """The study file of the miniature."""
    return _written(tmp_path)


@pytest.fixture
def miniature_study(miniature: Path) -> Study:
    """The miniature, loaded."""
    return load_study(miniature)


@pytest.fixture(scope="session")
def start() -> Start:
    """Starts ``ratewise study run STUDY --out OUT`` in a process group of its own."""
    return _start


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the miniature's results, run once; its study file lies beside it."""
    folder = tmp_path_factory.mktemp("finished")
    process = _start(_written(folder), folder / "out")
    printed, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    (folder / "printed.txt").write_text(printed)
    return folder / "out"


@pytest.fixture(scope="session")
def restored_run(tmp_path_factory: pytest.TempPathFactory) -> PlannedStudy:
    """The miniature with restored and mixed channels, run once."""
    folder = tmp_path_factory.mktemp("restored")
    planned = plan_study(load_study(write_study(folder, RESTORED)), folder / "out")
    run_study(planned, resources=Resources(1), quiet=True)
    return planned


def _written(folder: Path) -> Path:
    return write_study(folder, MINIATURE)


def _start(study: Path, out: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "ratewise", "study", "run", str(study), "--out", str(out)]
    return subprocess.Popen(
        [*command, "--workers", "1", "--quiet"],
        env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
