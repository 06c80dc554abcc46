"""Several processes share each batch: the curve of one, exact resume, launchers."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from ratewise.errors import InputError
from ratewise.training.launch import is_first, launched_by, shared_devices

SCRIPT = Path(__file__).with_name("shared_training.py")
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def _train(folder: Path, devices: int, *, launcher: bool = False, last: int = -1) -> int:
    command = [*TORCHRUN] if launcher else [sys.executable]
    done = subprocess.run(
        [*command, str(SCRIPT), str(folder), str(devices), str(last)],
        env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert last >= 0 or done.returncode == 0, done.stderr
    return done.returncode


def _curve(folder: Path) -> list[list[float]]:
    with (folder / "log.csv").open() as file:
        rows = [
            {name: float(value) for name, value in row.items() if name != "seconds"}
            for row in csv.DictReader(file)
        ]
    return [list(row.values()) for row in rows]


@pytest.fixture(scope="module")
def by_two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two processes that Fabric starts."""
    folder = tmp_path_factory.mktemp("two")
    _train(folder, 2)
    return folder


def test_two_processes_give_the_curve_of_one_with_the_same_batch(
    by_two: Path, tmp_path: Path
) -> None:
    _train(tmp_path, 1)
    one, two = torch.tensor(_curve(tmp_path)), torch.tensor(_curve(by_two))
    assert one.shape == two.shape == (6, 5)  # epoch, step, two means, learning rate
    assert one[-1, 2] < one[0, 2] / 3
    # The mean of absolute values is of each process's root: only the loss is the same.
    torch.testing.assert_close(two[:, [0, 1, 2, 4]], one[:, [0, 1, 2, 4]], rtol=1e-5, atol=1e-7)


def test_under_torchrun_the_run_is_the_same(by_two: Path, tmp_path: Path) -> None:
    _train(tmp_path, 2, launcher=True)
    assert _curve(tmp_path) == _curve(by_two)


def test_two_processes_that_died_go_on_exactly(by_two: Path, tmp_path: Path) -> None:
    assert _train(tmp_path, 2, launcher=True, last=27) != 0
    assert (tmp_path / "checkpoint.pt").is_file()
    assert len(_curve(tmp_path)) < 6
    _train(tmp_path, 2, launcher=True)
    assert _curve(tmp_path) == _curve(by_two)


def test_a_task_trains_on_two_devices_from_the_command_line(tmp_path: Path) -> None:
    settings = tmp_path / "streets.yaml"
    settings.write_text(
        """
name: streets
data: {name: streets, train: 4, val: 1, width: 64, height: 48}
split: train
codec: jpeg:quality=10
task:
  architecture: FPN
  encoder: tu-mobilenetv3_small_050
  augmentation: {crop: [64, 48]}
  training: {epochs: 1, batch_size: 2, precision: fp32, device: cpu}
"""
    )
    done = subprocess.run(
        [*TORCHRUN, "-m", "ratewise", "task", "train", str(settings), "--out", str(tmp_path / "o")],
        env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{tmp_path / 'o' / 'model.safetensors'}\n"  # the first alone says so
    assert (tmp_path / "o/model.safetensors").is_file()


TORCH = {"WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "4", "RANK": "5"}
SLURM = {"SLURM_NTASKS": "6", "SLURM_NNODES": "2", "SLURM_PROCID": "0"}


def test_a_launcher_says_how_many_devices_there_are() -> None:
    assert launched_by({}) is None
    assert launched_by({"SLURM_NTASKS": "1", "SLURM_PROCID": "0"}) is None
    assert launched_by(TORCH) == (4, 2)
    assert launched_by(SLURM) == (3, 2)
    assert shared_devices(None, None, {}) == {}
    assert shared_devices(2, None, {}) == {"devices": 2}
    assert shared_devices(None, None, TORCH) == shared_devices(4, 2, TORCH)
    assert shared_devices(None, None, TORCH) == {"devices": 4, "nodes": 2}


def test_who_writes_and_prints() -> None:
    assert is_first({})
    assert is_first(SLURM)
    assert not is_first(TORCH)
    assert is_first({"NODE_RANK": "0", "LOCAL_RANK": "0"})
    assert not is_first({"NODE_RANK": "0", "LOCAL_RANK": "1"})
    assert not is_first({"NODE_RANK": "1", "LOCAL_RANK": "0"})


def test_disagreement_with_a_launcher_is_named() -> None:
    with pytest.raises(InputError, match="--devices 3: but the launcher started 4"):
        shared_devices(3, None, TORCH)
    with pytest.raises(InputError, match="SLURM runs 5 processes on 2 machines"):
        launched_by(SLURM | {"SLURM_NTASKS": "5"})
