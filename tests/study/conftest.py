"""A miniature study: drawn scenes, a small network, a few steps of training."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from ratewise.study.settings import Study, load_study

MINIATURE: dict[str, Any] = {
    "name": "miniature",
    "data": {"name": "streets", "train": 6, "val": 3, "width": 64, "height": 48},
    "task": {
        "architecture": "FPN",
        "encoder": "tu-mobilenetv3_small_050",
        "augmentation": {"crop": [64, 48]},
        "training": {"epochs": 2, "batch_size": 2, "precision": "fp32", "checkpoint_seconds": 0},
    },
    "codecs": ["jpeg:quality=5"],
    "configurations": ["OO", "CO", "OC", "CC", "CO#50%"],
}

Start = Callable[[Path, Path], "subprocess.Popen[str]"]


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


def _written(folder: Path) -> Path:
    path = folder / "miniature.yaml"
    path.write_text(yaml.safe_dump(MINIATURE))
    return path


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
