"""A comparison of adaptations with known answers: rates are a factor of the source's."""

from __future__ import annotations

from typing import Any

from ratewise.study.adaptation.settings import Cell, ForgettingSettings
from ratewise.study.adaptation.tables import Comparison, make_tables
from ratewise.validation import validate

QUALITIES = (1, 2, 3, 4, 5)
SAVED = {
    "finetune": (0.20, -0.15, 1.0),
    "finetune-decoder": (0.08, -0.05, 0.3),
    "low_rank-0.08": (0.10, -0.04, 0.078),
    "cawf-0.02": (0.12, -0.02, 0.019),
    "cawf-0.08": (0.16, -0.06, 0.077),
}
"""Of each way: the share of bits that it saves on its target and on the source's domain at equal
PSNR, from 100 images, and its size."""

_SETTINGS: dict[str, dict[str, Any]] = {
    "finetune": {"method": "finetune"},
    "finetune-decoder": {"method": "finetune", "part": "decoder"},
    "low_rank-0.08": {"method": "low_rank", "size": 0.08},
    "cawf-0.02": {"size": 0.02},
    "cawf-0.08": {"size": 0.08},
}


def comparison_settings(targets: tuple[str, ...] = ("camvid", "screens")) -> ForgettingSettings:
    """Every way from 100 images at five qualities, and cawf from fewer at quality 3."""
    images = [{"root": "unused"}]
    every = [{"label": label, "settings": _SETTINGS[label]} for label in SAVED]
    fewer = [
        {"label": label, "settings": _SETTINGS[label], "images": [5, 20], "qualities": [3]}
        for label in ("cawf-0.02", "cawf-0.08")
    ]
    return validate(
        ForgettingSettings,
        {
            "name": "made-up",
            "description": "Numbers with known answers.",
            "targets": [{"name": name, "train": images, "test": images} for name in targets],
            "source_images": {"test": images},
            "adaptations": every + fewer,
        },
        "made up",
    )


def made_up(targets: tuple[str, ...] = ("camvid", "screens")) -> Comparison:
    """The comparison of :data:`SAVED`; on screens everything saves half as much again."""
    settings = comparison_settings(targets)
    sources = {
        quality: {name: [_record(quality, 1.0)] for name in (*targets, "source")}
        for quality in QUALITIES
    }
    return make_tables(settings, [(cell, _found(cell)) for cell in settings.cells()], sources)


def _record(quality: int, factor: float) -> dict[str, Any]:
    bpp = factor * 0.05 * 2**quality
    psnr = 23.0 + 2 * quality
    return {
        "bytes": round(bpp * 1000),
        "bpp": bpp,
        "psnr": psnr,
        "ms_ssim": 1 - 10 ** (-0.05 * psnr),
        "ms_ssim_db": psnr / 2,
        "cost": bpp + 0.1 * quality,
    }


def _found(cell: Cell) -> dict[str, Any]:
    saved, on_source, size = SAVED[cell.label]
    saved *= (1.5 if cell.target == "screens" else 1.0) * {5: 0.3, 20: 0.7}.get(cell.images, 1.0)
    whole, decoder = cell.label == "finetune", cell.label == "finetune-decoder"
    before = _record(cell.quality, 1.0)["psnr"]
    old = {
        "images": 24,
        "identical": 0.0 if whole or decoder else 1.0,
        "undecodable": 1.0 if whole else 0.0,
        "same_bytes": 0.0 if whole else 1.0,
        "psnr": float("nan") if whole else before - (0.75 if decoder else 0),
        "psnr_before": before,
    }
    drift = {"drift_y": 0.0 if decoder else saved, "drift_z": 0.0 if decoder else 2 * saved}
    return {
        "file": f"adaptations/{cell.name}.safetensors",
        "file_bytes": int(4e6 * size),
        "fingerprint": "00c0ffee",
        "parameters": int(2e6 * size),
        "size": size,
        "about": {
            "steps": 900,
            "before": {"holdout_loss": 1.0},
            "after": {"holdout_loss": 1 - saved},
            "helped": True,
        },
        "target": {"coded": [_record(cell.quality, 1 - saved)], "old": old, **drift},
        "source": {"coded": [_record(cell.quality, 1 - on_source)], "old": old, **drift},
    }
