"""Study files of miniature studies: drawn scenes, small networks, a few steps of training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

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

RESTORATION: dict[str, Any] = {
    "restorers": {
        "tiny": {
            "preset": "tiny",
            "generator": {"width": 4, "blocks": 1, "downsamplings": 1},
            "patch": 32,
            "training": {"steps": 2, "batch_size": 2, "precision": "fp32"},
            "validation": 1,
        },
        "plain": {"preset": "rdn-small", "patch": 32, "training": {"steps": 1}, "validation": 1},
    },
    "auxiliary": {
        "data": {"name": "streets", "train": 6, "val": 0, "width": 64, "height": 48, "seed": 9}
    },
    "margin": 1,
}

RESTORED: dict[str, Any] = MINIATURE | {
    "name": "restored",
    "data": MINIATURE["data"] | {"train": 20},
    "task": MINIATURE["task"]
    | {"training": {"steps": 1, "batch_size": 2, "precision": "fp32", "checkpoint_seconds": None}},
    "restoration": RESTORATION,
    "configurations": [
        "OO",
        "CO",
        "RO",
        "AO",
        "oO@50%",
        "rO@50%",
        "rO@25%",
        "o+cO@50%",
        "o+rO@50%",
        "OR",
        "RR",
    ],
}
"""A miniature with restored and mixed channels; its two groups are blocks of ten scenes."""


def write_study(folder: Path, study: Mapping[str, Any]) -> Path:
    """A study file in ``folder``."""
    path = folder / f"{study['name']}.yaml"
    path.write_text(yaml.safe_dump(dict(study), sort_keys=False))
    return path
