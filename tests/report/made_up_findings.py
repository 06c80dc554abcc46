"""Findings as analyses of a study with restoration would leave them: the means of the paper's
Tables IV to VI where it has them, and numbers drawn around them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from ratewise.study.analysis.findings import Findings

CODECS = {"msh:quality=1": 0.0419, "bpg:qp=46": 0.0674}
_ORIGINAL = 40.21
_SETS: dict[tuple[str, str, bool], tuple[tuple[float, float], tuple[float, float]]] = {
    ("C", "", False): ((55.69, 33.47), (52.95, 34.81)),
    ("R", "adversarial", True): ((40.56, 31.55), (41.10, 33.40)),
    ("R", "rdn", False): ((55.40, 33.67), (53.69, 35.56)),
    ("A", "adversarial", True): ((45.0, 30.9), (46.0, 32.8)),
}
"""Channel, restorer, whether it is adversarial: HOSA and PSNR for MSH and for BPG."""


def findings() -> Findings:
    rng = np.random.default_rng(0)
    perception, images, features, channels, information, timing = [], [], [], [], [], []
    reference = rng.normal(0, 0.4, 48)

    def row(codec: str, bpp: float, key: tuple[str, str, bool]) -> dict[str, Any]:
        return dict(
            zip(("codec", "bpp", "channel", "restorer", "adversarial"), (codec, bpp, *key),
                strict=True)
        )  # fmt: skip

    def look(base: dict[str, Any], hosa: float, psnr: float, rate: float) -> None:
        scores = rng.normal(0, 4, 60)
        scores += hosa - scores.mean()
        images.extend(
            {**base, "key": f"{i}.png", "hosa": score, "niqe": math.nan, "psnr": psnr,
             "ms_ssim_db": psnr - 20}
            for i, score in enumerate(scores)
        )  # fmt: skip
        known = math.isfinite(psnr)
        perception.append(
            {**base, "images": 60, "size": "2048x1024", "hosa": hosa, "niqe": math.nan,
             "psnr": psnr if known else math.nan, "ms_ssim_db": psnr - 20 if known else math.nan,
             "rmse": 255 * 10 ** (-psnr / 20), "kid": math.nan, "kid_deviation": math.nan,
             "success_rate": rate, "success_low": rate - 0.03, "success_high": rate + 0.03}
        )  # fmt: skip

    def time(base: dict[str, Any], **steps: float) -> None:
        known = {name: steps.get(name, math.nan) for name in ("encode", "decode", "restore")}
        timing.append(
            {**base, "images": 20, "repeats": 3, "size": "2048x1024", **known, "segment": 640.0,
             "total": 640.0 + sum(steps.values()), "machine": "a processor, 8 threads, cpu"}
        )  # fmt: skip

    original = row("png", 9.0, ("O", "", False))
    look(original, _ORIGINAL, math.inf, math.nan)
    time(original)
    for place, (codec, bpp) in enumerate(CODECS.items()):
        encode, decode = ((100.0, 130.0), (1100.0, 150.0))[place]
        for key, both in _SETS.items():
            base, (hosa, psnr) = row(codec, bpp, key), both[place]
            off = abs(hosa - _ORIGINAL) / 15
            look(base, hosa, psnr, 0.55 + 0.4 * off)
            values = reference + rng.normal(0, 0.4 * off, 48)
            channels.extend(
                {**base, "number": i, "original": x, "value": y}
                for i, (x, y) in enumerate(zip(reference, values, strict=True))
            )
            features.append(
                {**base, "layer": "shallow", "stride": 4, "images": 60, "channels": 48,
                 "concordance": 1 - off / 2, "deviation": off}
            )  # fmt: skip
            restore = {} if key[0] == "C" else {"restore": 300.0}
            time(base, encode=encode, decode=decode, **restore)
        loss = (0.04, -0.002)[place]
        information.append(
            {**row(codec, bpp, ("C", "", False)), "seeds": 2, "images": 60, "frames": 60,
             "cross_entropy_oo": 0.25, "cross_entropy_cc": 0.25 + loss, "loss": loss,
             "low": loss - 0.01, "high": loss + 0.01, "loss_uncalibrated": loss + 0.004,
             "temperature_oo": 1.2, "temperature_cc": 1.4, "class_weights": False}
        )  # fmt: skip
    tables = (perception, images, features, channels, information, timing)
    return Findings(
        *map(pd.DataFrame, tables),
        pooled=pd.DataFrame(),
        notes=("No NIQE: its parameters are not there.",),
    )
