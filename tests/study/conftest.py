"""A miniature study: drawn scenes, a small network, a few steps of training."""

from __future__ import annotations

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
    "configurations": ["OO", "CO", "OC", "CC"],
}


@pytest.fixture
def miniature(tmp_path: Path) -> Path:
    """The study file of the miniature."""
    path = tmp_path / "miniature.yaml"
    path.write_text(yaml.safe_dump(MINIATURE))
    return path


@pytest.fixture
def miniature_study(miniature: Path) -> Study:
    """The miniature, loaded."""
    return load_study(miniature)
