"""What one process writes under one setting, another reads under others."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ratewise.images import Image
from ratewise.neural.models import CompressionModel
from ratewise.neural.weights import pack
from ratewise.training.weights import save_weights

SCRIPT = Path(__file__).with_name("crossing.py")
N, M = 8, 96


@pytest.fixture(scope="module")
def folder(
    tmp_path_factory: pytest.TempPathFactory,
    network: Callable[..., CompressionModel],
    texture: Callable[..., Image],
) -> Path:
    """200 pictures of three sizes and the weights to code them with."""
    folder = tmp_path_factory.mktemp("crossing")
    model = network("msh", N, M)
    save_weights(folder / "raw.safetensors", model, {"N": N, "M": M})
    pack(model, [texture(i, 96, 96) for i in range(4)]).save(folder / "packed.safetensors")
    sides = [(96, 96), (80, 112), (61, 130)]
    pictures = {f"{i:03}": texture(1000 + i, *sides[i % 3]) for i in range(200)}
    np.savez(folder / "pictures.npz", **pictures)
    return folder


def _run(folder: Path, what: str) -> list[int]:
    command = [sys.executable, str(SCRIPT), str(folder), what]
    environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return [int(line) for line in done.stdout.split()]


def test_200_pictures_decode_in_another_process_under_other_settings(folder: Path) -> None:
    """And the same with a float h_s, a millionth apart between the two, does not."""
    _run(folder, "encode")
    assert len(list((folder / "integer").iterdir())) == 200
    not_decoded, not_decoded_with_floats = _run(folder, "decode")
    assert not_decoded == 0
    assert not_decoded_with_floats > 0
