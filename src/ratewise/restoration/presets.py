"""Named settings of restorers: the paper's two, and smaller ones that fit few cores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ratewise.validation import suggestion

_RDN_PAPER = {
    "generator": {"kind": "rdn"},
    "discriminators": None,
    "losses": {"adversarial": 0, "l1": 0, "mse": 1, "ms_ssim": 0, "features": 0, "matching": 0},
    "optimiser": {
        "kind": "adam",
        "lr": 1e-3,
        "schedule": {"kind": "steps", "milestones": [80_000, 150_000], "factor": 0.1},
    },
    "training": {"steps": 200_000, "batch_size": 1},
}

_SMALL = {
    "generator": {
        "kind": "finenet",
        "width": 24,
        "blocks": 6,
        "upsampling": "resize",
        "output_norm": False,
    },
    "discriminators": {"count": 2, "width": 32, "last_stride": 1, "output_kernel": 4},
    "patch": 192,
    "optimiser": {"kind": "adam", "lr": 2e-4, "betas": [0.5, 0.9], "schedule": {"kind": "poly"}},
    "training": {"steps": 12_000, "batch_size": 4},
}

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "paper": {},
    "small": _SMALL,
    "tiny": {
        "generator": {
            "kind": "finenet",
            "width": 8,
            "blocks": 2,
            "downsamplings": 2,
            "upsampling": "resize",
            "output_norm": False,
        },
        "discriminators": {"count": 1, "width": 8, "layers": 3},
        "losses": {"ms_ssim": 0, "features": 0},
        "patch": 96,
        "optimiser": {"kind": "adam", "lr": 1e-3, "betas": [0.5, 0.9]},
        "training": {"steps": 300, "batch_size": 4},
    },
    "rdn-paper": _RDN_PAPER,
    "rdn-paper-ms-ssim": {
        **_RDN_PAPER,
        "losses": {"adversarial": 0, "l1": 0, "mse": 0, "ms_ssim": 1, "features": 0, "matching": 0},
    },
    "rdn-small": {
        **_RDN_PAPER,
        "generator": {"kind": "rdn", "width": 24, "blocks": 6, "layers": 4, "growth": 12},
        "patch": 96,
        "optimiser": {"kind": "adam", "lr": 1e-3, "schedule": {"kind": "poly"}},
        "training": {"steps": 12_000, "batch_size": 4},
    },
}
"""What each preset sets beside the defaults, which are the paper's FineNet."""


def with_preset(value: Any) -> Any:
    """``value`` (a mapping of settings) over the settings of its ``preset``, key by key.

    A ``generator`` of another kind replaces the preset's. Raises ValueError for an unknown preset.
    """
    if isinstance(value, str):
        value = {"preset": value}
    if not isinstance(value, Mapping) or value.get("preset") is None:
        return value
    name = value["preset"]
    if name not in PRESETS:
        known = ", ".join(PRESETS)
        raise ValueError(f"preset {name!r} is not known{suggestion(str(name), PRESETS)} ({known})")
    return _merged(PRESETS[name], value)


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        before = merged.get(key)
        other_kind = (
            isinstance(before, Mapping)
            and isinstance(value, Mapping)
            and value.get("kind", before.get("kind")) != before.get("kind")
        )
        if isinstance(before, Mapping) and isinstance(value, Mapping) and not other_kind:
            merged[key] = _merged(before, value)
        else:
            merged[key] = value
    return merged
