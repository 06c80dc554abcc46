"""A made-up study as fixtures."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from made_up_study import CLASSES, RATES, SCORES, row

from ratewise.report.model import StageCost, Strip, StripColumn, StudySummary


@pytest.fixture
def results() -> pd.DataFrame:
    return pd.DataFrame(
        [row(*key, seed, miou) for key, both in SCORES.items() for seed, miou in enumerate(both)]
    )


@pytest.fixture
def rates() -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"codec": codec, "split": split, "images": images, "bpp": bpp,
             "psnr": np.inf if codec == "png" else 25 + bpp, "bytes": int(bpp * images * 384)}
            for codec, bpp in RATES.items()
            for split, images in (("train", 100), ("val", 20))
        ]
    )  # fmt: skip


@pytest.fixture
def study() -> StudySummary:
    return StudySummary(
        name="made up",
        description="A study for tests.",
        command="ratewise study run made-up.yaml --out runs/made-up",
        data="streets",
        task="segmentation",
        model="small",
        seeds=(0, 1),
        classes=CLASSES,
        codecs=[codec for codec in RATES if codec != "png"],
        environment={"torch": "2.x"},
        stages=[
            StageCost("compress", "compress train, jpeg:quality=5", 5.25, 1000000),
            StageCost("compress", "compress test, jpeg:quality=5", 7.25, 234567),
            StageCost("train", "train segmentation", 4000.0, None),
        ],
    )


@pytest.fixture
def strip() -> Strip:
    mask = np.zeros((48, 64), np.uint8)
    mask[:20] = 1
    mask[10:30, 40:43] = 2
    original = np.full((48, 64, 3), 90, np.uint8)
    columns = [
        StripColumn("OO", original, mask),
        StripColumn("OC jpeg:quality=5", original // 2, np.zeros_like(mask), 0.2),
    ]
    return Strip("val/a.png", original, mask, columns, (32, 10, 20, 20))
