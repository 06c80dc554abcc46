"""Result rows with the numbers of the driving paper (Tables II, III and V: Cityscapes), as a study
of several seeds would leave them.

The paper has one run each. Seeds are made of it by a small change that is drawn for every seed and
point (standard deviation 0.3 points), and one that all points of a seed have in common (1 point),
which pairing cancels. OC and OR are only drawn in the paper (Fig. 7); here OC lies below CC by
SHIFT, OR above OC by a third of it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ratewise.data import cityscapes

NAMES = (
    *("road", "sidewalk", "building", "wall", "fence", "vegetation", "terrain", "sky", "car"),
    *("truck", "bus", "train", "person", "rider", "motorcycle", "bicycle", "pole"),
    *("traffic light", "traffic sign"),
)
SMALL = cityscapes.CLASSES.groups["small objects"]

# Table II: configuration, codec, bpp of the training images, IoU of NAMES, and the means of small
# objects, of big objects and of all classes
TABLE_II = """
CO MSH 0.0419 97.27 78.29 90.13 28.36 49.32 90.31 51.83 94.33 93.91 76.13 77.56 \
    48.08 77.94 54.00 52.55 70.39 58.80 59.20 72.95 63.69 72.96 69.55
CO MSH 0.0613 97.50 79.98 91.11 32.74 50.31 91.08 57.65 93.98 94.41 77.82 84.76 \
    65.35 79.22 57.76 61.15 73.32 59.46 62.39 73.63 66.70 76.39 72.82
CO MSH 0.0891 97.93 82.79 91.44 34.13 53.66 91.40 58.81 94.63 94.72 78.28 78.73 \
    42.79 80.47 58.48 62.29 75.07 62.28 64.41 76.03 68.43 74.94 72.54
CO MSH 0.1279 97.77 82.15 91.83 40.36 55.53 91.75 59.48 94.67 94.80 80.08 87.80 \
    75.28 81.16 60.36 63.99 75.34 62.49 65.16 77.20 69.39 79.29 75.64
CC MSH 0.0419 97.17 76.68 89.12 50.18 42.21 88.57 51.99 94.31 92.58 73.95 77.13 \
    56.96 71.46 50.95 43.81 64.12 52.25 53.30 66.97 57.55 74.24 68.09
CC MSH 0.0613 97.56 79.99 90.26 51.93 46.02 89.96 59.22 94.53 93.52 77.54 81.73 \
    52.43 74.54 54.46 52.66 68.12 55.70 56.76 70.41 61.81 76.22 70.91
CC MSH 0.0891 97.70 81.17 91.03 48.93 49.88 90.82 58.53 94.83 94.18 78.69 78.60 \
    43.80 76.86 54.80 55.03 71.61 58.81 60.41 73.77 64.47 75.68 71.55
CC MSH 0.1279 97.84 82.24 91.62 53.64 52.42 91.41 59.93 94.75 94.34 77.05 88.14 \
    72.19 78.95 60.26 60.45 73.17 60.27 63.29 75.48 67.41 79.63 75.13
AO MSH 0.0419 97.44 79.04 90.81 44.23 47.51 90.43 56.46 94.52 94.32 81.46 84.22 \
    61.96 76.85 55.17 55.54 70.97 56.35 59.16 71.67 63.67 76.87 72.01
AO MSH 0.0613 97.62 80.62 91.45 51.81 51.82 91.06 57.77 94.61 94.37 76.96 86.44 \
    77.55 77.94 57.34 59.61 73.13 59.39 61.50 74.38 66.18 79.34 74.49
AO MSH 0.0891 97.57 80.62 91.83 50.42 55.02 91.53 58.70 94.90 94.77 79.81 84.40 \
    63.53 79.35 58.43 63.62 75.04 60.99 63.85 75.62 68.13 78.59 74.74
AO MSH 0.1279 97.42 80.44 92.01 52.22 55.05 91.80 59.92 94.93 95.07 82.16 83.85 \
    63.37 80.23 58.78 63.35 74.88 62.23 65.63 76.60 68.82 79.02 75.26
RO MSH 0.0419 97.67 80.85 91.40 51.17 49.80 91.07 59.97 94.87 94.30 80.74 86.69 \
    70.06 77.95 57.76 61.35 72.64 58.87 61.37 73.47 66.20 79.05 74.32
RO MSH 0.0613 97.97 83.22 91.90 54.29 53.18 91.55 61.23 94.86 94.45 76.28 82.31 \
    68.31 78.98 57.71 62.51 74.65 60.96 63.92 75.60 67.76 79.13 74.94
RO MSH 0.0891 97.77 82.23 92.28 55.29 57.61 92.04 61.96 94.91 94.99 81.59 86.45 \
    69.66 80.28 60.05 63.24 75.57 61.83 65.48 76.75 69.03 80.57 76.31
RO MSH 0.1279 97.77 82.38 92.43 53.87 56.75 92.23 62.40 95.00 95.09 79.92 88.71 \
    74.90 80.84 60.46 66.08 76.59 63.57 67.00 77.61 70.31 80.96 77.03
CO BPG 0.0454 97.49 79.67 90.34 35.84 48.22 90.73 55.80 94.03 93.87 75.86 81.80 \
    60.63 77.44 55.50 61.08 71.01 56.55 59.69 72.75 64.86 75.36 71.49
CO BPG 0.0674 97.72 81.54 91.27 41.55 51.88 91.23 59.61 94.77 94.36 75.77 82.64 \
    59.23 79.19 58.28 58.26 72.98 59.39 62.70 75.16 66.56 76.80 73.03
CO BPG 0.0870 97.98 83.15 91.33 44.33 52.73 91.42 58.81 94.90 94.46 75.11 81.91 \
    58.77 79.82 58.48 62.55 74.21 59.75 62.04 75.46 67.47 77.08 73.54
CO BPG 0.1279 97.87 83.10 92.06 51.82 56.04 91.94 60.49 95.11 94.62 80.75 87.25 \
    75.90 80.60 60.60 63.86 74.68 62.29 65.56 76.95 69.22 80.58 76.39
CC BPG 0.0454 97.03 76.14 88.66 41.33 42.06 88.48 53.96 94.08 92.54 72.33 76.42 \
    55.60 70.82 50.47 48.80 63.93 51.06 53.41 66.92 57.92 73.22 67.58
CC BPG 0.0674 97.46 79.06 90.15 47.74 47.00 89.68 57.99 94.42 93.27 72.14 79.84 \
    59.16 74.33 53.64 48.00 67.46 55.30 57.01 70.92 60.95 75.66 70.24
CC BPG 0.0870 97.58 80.22 90.50 47.41 47.20 90.25 58.40 94.54 93.58 75.20 83.35 \
    57.80 75.77 54.76 52.58 69.71 56.64 57.73 72.09 62.75 76.34 71.33
CC BPG 0.1279 97.71 81.28 91.35 49.49 52.74 91.10 58.25 94.82 94.16 73.89 88.41 \
    70.80 78.11 58.23 58.27 72.40 59.67 61.75 74.68 66.16 78.67 74.06
AO BPG 0.0454 97.51 79.73 91.04 45.38 48.27 90.81 57.10 94.55 94.36 81.44 85.13 \
    74.56 77.34 56.23 58.89 72.52 57.51 61.33 72.30 65.16 78.25 73.47
AO BPG 0.0674 97.67 81.13 91.86 54.33 54.61 91.40 57.30 94.82 94.46 82.53 84.56 \
    63.39 78.86 57.97 58.46 73.55 60.17 63.75 74.09 66.69 78.99 74.47
AO BPG 0.0870 97.42 80.18 91.89 53.25 51.30 91.65 59.39 94.65 94.64 78.62 85.76 \
    69.54 79.71 59.47 59.62 74.63 61.01 63.92 75.82 67.74 79.02 74.87
AO BPG 0.1279 97.70 81.86 92.04 48.35 52.93 91.94 62.68 95.03 94.91 81.08 88.30 \
    71.81 80.72 60.90 64.78 75.66 62.09 65.61 77.13 69.56 79.89 76.08
RO BPG 0.0454 97.78 81.69 91.52 50.05 52.45 91.24 56.78 94.97 94.18 78.88 86.13 \
    73.22 77.88 56.31 62.19 73.15 59.39 62.81 74.47 66.60 79.07 74.48
RO BPG 0.0674 97.95 82.89 91.84 48.17 52.14 91.57 59.47 94.85 94.53 78.86 85.97 \
    76.59 79.37 58.51 62.00 74.07 60.90 65.14 75.25 67.89 79.57 75.27
RO BPG 0.0870 97.71 81.73 92.13 52.62 54.76 91.75 56.93 94.82 94.81 83.52 88.36 \
    78.94 80.10 59.45 62.72 74.63 62.07 64.93 76.44 68.62 80.67 76.23
RO BPG 0.1279 97.58 81.57 92.54 53.23 58.71 92.05 61.16 94.85 95.05 79.79 85.14 \
    69.27 80.91 60.34 64.78 76.11 63.11 66.83 77.84 69.99 80.08 76.36
OO PNG 9.02 98.17 85.04 92.84 54.96 61.15 92.63 64.62 95.05 95.50 85.62 87.02 \
    70.18 82.57 63.08 66.79 78.00 64.95 69.70 78.69 71.97 81.90 78.24
"""

# Table III: mIoU where 12.5 % of the images are privileged
TABLE_III = {
    ("MSH", "0.0419"): {"rO": 74.07, "o+cO": 75.96, "o+rO": 73.99},
    ("MSH", "0.0891"): {"rO": 75.69, "o+cO": 77.08, "o+rO": 75.88},
    ("BPG", "0.0454"): {"rO": 72.32, "o+cO": 74.42, "o+rO": 73.98},
    ("BPG", "0.0674"): {"rO": 74.01, "o+cO": 75.87, "o+rO": 76.12},
    ("BPG", "0.0870"): {"rO": 75.15, "o+cO": 75.98, "o+rO": 76.67},
}
ONLY_PRIVILEGED = 71.90

# Table V: mIoU, PSNR and MS-SSIM (dB) without restoration and with three restorers
TABLE_V = {
    ("MSH", "0.0419"): {
        "": (69.55, 33.47, 13.43), "rdn-p": (71.63, 33.67, 13.66),
        "rdn-m": (71.82, 33.51, 13.66), "adversarial": (74.32, 31.55, 11.87),
    },
    ("MSH", "0.0613"): {
        "": (72.82, 35.00, 14.90), "rdn-p": (72.39, 35.17, 15.11),
        "rdn-m": (71.92, 35.00, 15.10), "adversarial": (74.94, 32.86, 13.08),
    },
    ("BPG", "0.0454"): {
        "": (71.49, 33.37, 12.96), "rdn-p": (70.91, 34.04, 13.58),
        "rdn-m": (69.58, 33.62, 13.57), "adversarial": (74.48, 31.95, 11.74),
    },
    ("BPG", "0.0674"): {
        "": (73.03, 34.81, 14.31), "rdn-p": (73.26, 35.56, 14.99),
        "rdn-m": (73.96, 35.19, 14.96), "adversarial": (75.27, 33.40, 13.01),
    },
}  # fmt: skip
RESTORERS = {"adversarial": True, "rdn-p": False, "rdn-m": False}

SHIFT = {"0.0419": 14.0, "0.0454": 16.0, "0.0613": 7.0, "0.0674": 8.0, "0.0891": 3.0,
         "0.0870": 3.5, "0.1279": 1.0}  # fmt: skip

_SPECS = {
    ("MSH", "0.0419"): "msh:quality=1", ("MSH", "0.0613"): "msh:quality=2",
    ("MSH", "0.0891"): "msh:quality=3", ("MSH", "0.1279"): "msh:quality=4",
    ("BPG", "0.0454"): "bpg:qp=46", ("BPG", "0.0674"): "bpg:qp=43",
    ("BPG", "0.0870"): "bpg:qp=41", ("BPG", "0.1279"): "bpg:qp=38",
}  # fmt: skip
CODECS = list(_SPECS.values())
_IMAGES, _PIXELS, _PNG = 2975, 2048 * 1024, 9.02


def printed() -> dict[tuple[str, str], tuple[float, ...]]:
    """The line of Table II of a configuration and codec: 19 IoUs, small, big, mean, in points."""
    lines = {}
    for line in TABLE_II.split("\n"):
        if line:
            configuration, name, rate, *values = line.split()
            key = (configuration, _SPECS.get((name, rate), "png"))
            lines[key] = tuple(map(float, values))
    return lines


def points() -> dict[tuple[str, str, str, str], np.ndarray]:
    """IoU of NAMES, 0 to 1, by channels, share, restorer and codec."""
    found: dict[tuple[str, str, str, str], np.ndarray] = {}
    for (configuration, codec), values in printed().items():
        restorer = "adversarial" if set(configuration) & set("RA") else ""
        found[configuration, "", restorer, codec] = np.array(values[:19]) / 100
    for (name, rate), codec in _SPECS.items():
        compressed = found["CC", "", "", codec]
        shifted = compressed - SHIFT[rate] / 100
        found["OC", "", "", codec] = shifted
        found["OR", "", "adversarial", codec] = shifted + SHIFT[rate] / 300
        base, table = found["CO", "", "", codec], TABLE_III.get((name, rate), {})
        for pair, miou in table.items():
            restorer = "adversarial" if "r" in pair else ""
            found[pair, "@12.5%", restorer, codec] = base + miou / 100 - base.mean()
        for restorer, (miou, _, _) in TABLE_V.get((name, rate), {}).items():
            if restorer.startswith("rdn"):
                found["RO", "", restorer, codec] = base + miou / 100 - base.mean()
    originals = found["OO", "", "", "png"]
    found["oO", "@12.5%", "", "png"] = originals + ONLY_PRIVILEGED / 100 - originals.mean()
    return found


def rows(seeds: int = 4, *, noise: float = 0.3) -> pd.DataFrame:
    """The result rows."""
    rates = {spec: float(rate) for (_, rate), spec in _SPECS.items()} | {"png": _PNG}
    rng = np.random.default_rng(5)
    common = rng.normal(0, 0.01, seeds)
    table: list[dict[str, Any]] = []
    for (pair, share, restorer, codec), ious in points().items():
        own = rng.normal(0, noise / 100, seeds)
        for seed in range(seeds):
            change = (common[seed] - common.mean()) + (own[seed] - own.mean())
            table.append(_row(pair, share, restorer, codec, rates, seed, ious + change))
    return pd.DataFrame(table)


def quality() -> pd.DataFrame:
    """What restoration does to the images (Table V), as a study measures it on the test images."""
    table = []
    for key, methods in TABLE_V.items():
        _, before, before_ms = methods[""]
        for restorer in RESTORERS:
            _, after, after_ms = methods[restorer]
            table += [
                {"codec": _SPECS[key], "split": split, "restorer": restorer, "channel": "R",
                 "adversarial": RESTORERS[restorer], "images": 100, "bpp": float(key[1]),
                 "psnr_before": before, "psnr_after": after, "ms_ssim_db_before": before_ms,
                 "ms_ssim_db_after": after_ms}
                for split in ("train", "val")
            ]  # fmt: skip
    return pd.DataFrame(table)


def _row(
    pair: str, share: str, restorer: str, codec: str, rates: dict[str, float], seed: int,
    ious: np.ndarray,
) -> dict[str, Any]:  # fmt: skip
    train, test = pair[:-1], pair[-1]
    train_codec, test_codec = (codec if side not in "oO" else "png" for side in (train, test))
    images = _IMAGES if train != "o" else 373
    per_bit = _PIXELS / 8
    own = 373 if "+" in train else 0
    sent = _IMAGES - own
    privileged = {"O": _IMAGES, "R": 1489, "A": 0, "C": 0}.get(train, 373)
    bpp = (own * _PNG + (images - own) * rates[train_codec]) / images
    return {
        "study": "paper", "data": "cityscapes", "prepare": "none", "task": "segmentation",
        "model": "DeepLabv3+", "recipe": "standard", "seed": seed,
        "train_channel": train, "train_codec": train_codec, "train_share": share,
        "test_channel": test, "test_codec": test_codec, "train_images": images,
        "train_bpp": bpp, "test_bpp": rates[test_codec],
        "bytes_compressed": 0 if train in "oO" else rates[codec] * sent * per_bit,
        "bytes_privileged": _PNG * privileged * per_bit,
        "bytes_auxiliary": _PNG * 1000 * per_bit if train == "A" else 0,
        "restorer_overlap": 0, "restorer": restorer,
        "train_psnr": np.inf if train in "oO" else 33.0,
        "test_psnr": np.inf if test == "O" else 33.0,
        "miou": ious.mean(), "pixel_accuracy": 0.95,
        "miou:small objects": np.mean([ious[NAMES.index(name)] for name in SMALL]),
        **{f"iou:{name}": value for name, value in zip(NAMES, ious, strict=True)},
    }  # fmt: skip
