"""Result rows of a made-up study, whose means can be worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np

from ratewise.data.classes import Classes

CLASSES = Classes(
    names=("road", "sky", "pole"),
    colours=((128, 64, 128), (70, 130, 180), (220, 220, 0)),
    groups={"small objects": ("pole",)},
)
RATES = {"png": 12.0, "jpeg:quality=5": 0.2, "jpeg:quality=30": 0.6, "webp:quality=10": 0.15}

# miou per (configuration, share, codec), one value per seed
SCORES = {
    ("OO", "", "png"): (0.70, 0.74),
    ("OC", "", "jpeg:quality=5"): (0.50, 0.56),
    ("CC", "", "jpeg:quality=5"): (0.60, 0.68),
    ("CO", "", "jpeg:quality=5"): (0.66, 0.69),
    ("OC", "", "jpeg:quality=30"): (0.69, 0.71),
    ("CC", "", "jpeg:quality=30"): (0.69, 0.73),
    ("CO", "", "jpeg:quality=30"): (0.71, 0.77),
    ("CO", "#25%", "jpeg:quality=30"): (0.55, 0.57),
    ("OC", "", "webp:quality=10"): (0.52, 0.58),
}


def row(configuration: str, share: str, codec: str, seed: int, miou: float) -> dict[str, Any]:
    train, test = configuration
    images = 25 if share else 100
    train_codec, test_codec = (codec if side == "C" else "png" for side in (train, test))
    return {
        "study": "made up", "data": "streets", "prepare": "64x48", "task": "segmentation",
        "model": "small", "recipe": "standard", "seed": seed,
        "train_channel": train, "train_codec": train_codec, "train_share": share,
        "test_channel": test, "test_codec": test_codec,
        "train_images": images,
        "train_bpp": RATES[train_codec], "test_bpp": RATES[test_codec],
        "bytes_compressed": RATES[codec] * images * 384 if train == "C" else 0,
        "bytes_privileged": RATES["png"] * images * 384 if train == "O" else 0,
        "bytes_auxiliary": 0,
        "restorer_overlap": np.nan,
        "miou": miou, "pixel_accuracy": miou + 0.2,
        "iou:road": miou + 0.1, "iou:sky": miou, "iou:pole": miou - 0.1,
        "miou:small objects": miou - 0.1,
        "test_psnr": np.inf if test_codec == "png" else 28.0, "train_psnr": np.nan,
    }  # fmt: skip
