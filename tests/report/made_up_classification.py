"""Result rows of a made-up classification study with four recipes, worked out by a formula.

The score of a model is high where it is tested on what it was trained on. Expert training is
:data:`GAIN` of its seed above fine-tuning wherever both are.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

BYTES = {
    "png": 60000.0,
    "jpeg:quality=10": 2938.0,
    "jpeg:quality=5": 2120.0,
    "bpg:qp=41": 1681.0,
    "bpg:qp=51": 375.0,
}
PSNR = {
    "png": np.inf, "jpeg:quality=10": 25.85, "jpeg:quality=5": 23.27, "bpg:qp=41": 27.94,
    "bpg:qp=51": 23.34,
}  # fmt: skip
CODECS = [codec for codec in BYTES if codec != "png"]
GAIN = {0: 0.005, 1: 0.009}
CLASSES = ("tench", "church", "parachute")


def accuracy(recipe: str, trained: str, tested: str, seed: int) -> float:
    """The made-up top-1 of a model, 0 to 1."""
    places = list(BYTES)
    loss = 0.06 * places.index(tested)
    shift = 0.04 * abs(places.index(trained) - places.index(tested))
    extra = {"pretrained": 0.0, "stability": -0.01, "finetune": 0.01, "expert": 0.01 + GAIN[seed]}
    # The pre-trained model is one and the same, whatever the seed.
    chance = 0.0 if recipe == "pretrained" else 0.002 * seed
    return 0.9 - loss - shift + extra[recipe] + chance


def row(recipe: str, trained: str, tested: str, seed: int) -> dict[str, Any]:
    train, test = ("O" if codec == "png" else "C" for codec in (trained, tested))
    images = 0 if recipe == "pretrained" else 100
    top1 = accuracy(recipe, trained, tested, seed)
    return {
        "study": "made up", "data": "imagenette", "prepare": "224x224", "task": "classification",
        "model": "mobilenetv2_100", "recipe": recipe, "seed": seed,
        "train_channel": train, "train_codec": trained, "train_share": np.nan,
        "test_channel": test, "test_codec": tested, "train_images": images,
        "train_bpp": 8 * BYTES[trained] / 224**2 if images else np.nan,
        "test_bpp": 8 * BYTES[tested] / 224**2,
        "bytes_compressed": BYTES[trained] * images if train == "C" else 0,
        "bytes_privileged": BYTES[trained] * images if train == "O" else 0,
        "bytes_auxiliary": 0, "restorer_overlap": 0, "restorer": "",
        "train_psnr": np.nan, "test_psnr": PSNR[tested],
        "test_ssim": 1.0 if tested == "png" else 0.7, "test_bytes_per_image": BYTES[tested],
        "top1": top1, "top5": np.nan,
        **{f"accuracy:{name}": top1 + 0.01 * (i - 1) for i, name in enumerate(CLASSES)},
    }  # fmt: skip


def rows() -> list[dict[str, Any]]:
    """Pre-trained and stability on every codec; fine-tuning and expert training every pair."""
    found = []
    for seed in GAIN:
        for recipe in ("pretrained", "stability"):
            found += [row(recipe, "png", tested, seed) for tested in BYTES]
        for recipe in ("finetune", "expert"):
            found += [row(recipe, *pair, seed) for pair in product(BYTES, BYTES)]
    return found
