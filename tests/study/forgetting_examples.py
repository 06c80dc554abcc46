"""A comparison of adaptations so small that it runs in seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ratewise.data.streets import render_scene
from ratewise.neural.models import Architecture
from ratewise.neural.weights import PackedModel, pack
from ratewise.study.adaptation.settings import ForgettingSettings
from ratewise.validation import validate


def small_codec(seed: int, lambda_: float = 0.01, gain: float = 2.5) -> PackedModel:
    """A codec with random weights; ``gain`` of its encoder decides its rate."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Architecture("msh", 8, 12).build().eval()
        with torch.no_grad():
            for name, value in model.named_parameters():
                if name.endswith("weight"):
                    value *= {"g_a": gain, "h_a": 4.0, "h_s": 3.0, "g_s": 1.5}[name[:3]]
    pictures = [render_scene(0, index, 96, 64)[0] for index in range(3)]
    return pack(model, pictures, {"lambda": lambda_, "distortion": "mse"})


def save_codecs(folder: Path, count: int) -> list[str]:
    """``count`` codecs of rising rate; the names of their files."""
    names = []
    for quality in range(1, count + 1):
        names.append(f"small-{quality}.safetensors")
        small_codec(1, 0.002 * quality, 1.0 + quality).save(folder / names[-1])
    return names


def images(data: str, split: str, count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Settings of drawn images."""
    size = {"width": 96, "height": 64, "seed": seed}
    return [{"data": data, "splits": [split], "options": {split: count, **size}}]


TRAINING = {"steps": 2, "patch": 64, "batch_size": 2, "precision": "fp32", "device": "cpu"}
WAYS = {
    "whole": {"method": "finetune", "lr": 0.02},
    "encoder": {"method": "finetune", "part": "encoder", "lr": 0.02},
    "decoder": {"method": "finetune", "part": "decoder", "lr": 0.02},
    "rank": {"method": "low_rank", "size": 0.3},
    "cawf": {"method": "cawf", "size": 0.2},
}


def settings(weights: list[str], **changes: Any) -> ForgettingSettings:
    """From street scenes to screens, in every way."""
    value: dict[str, Any] = {
        "name": "small",
        "description": "Random codecs, two steps.",
        "weights": weights,
        "targets": [
            {
                "name": "screens",
                "train": images("screens", "train", 6),
                "test": images("screens", "val", 5),
                "test_images": 2,
            }
        ],
        "source_images": {"test": images("streets", "val", 2)},
        "adaptations": [
            {"label": label, "settings": TRAINING | way, "images": [4]}
            for label, way in WAYS.items()
        ],
    }
    return validate(ForgettingSettings, value | changes, "small")
