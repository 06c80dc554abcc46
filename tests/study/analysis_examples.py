"""A miniature study that asks for every analysis, and made-up files that they rest on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from study_examples import RESTORATION, RESTORED

ANALYSED: dict[str, Any] = RESTORED | {
    "name": "analysed",
    "data": RESTORED["data"] | {"train": 10, "val": 5, "width": 128},
    "prepare": {"tile": [64, 48]},
    "configurations": ["OO", "CO", "RO"],
    "seeds": [0, 1],
    "restoration": RESTORATION | {"overlap": "allow"},
    "analysis": {
        "perception": {
            "iqa": "iqa",
            "backbone": {
                "name": "mobilenetv3_small_050",
                "weights": "classifier.safetensors",
                "patches": 16,
            },
        },
        "features": {},
        "information": {},
        "timing": {"images": 2, "repeats": 1},
    },
}


def write_files(folder: Path) -> None:
    """Random numbers in the shapes of HOSA's published parameters, and of a classifier's."""
    write_hosa_parameters(folder / "iqa" / "hosa")
    import timm
    import torch
    from safetensors.torch import save_file

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = timm.create_model("mobilenetv3_small_050", pretrained=False)
    save_file(model.state_dict(), folder / "classifier.safetensors")


def write_hosa_parameters(folder: Path) -> None:
    """The three files of HOSA."""
    from scipy.io import savemat

    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    codebook = {f"{name}_cb": rng.normal(size=(49, 100)) for name in ("centroid", "skewness")}
    codebook["variance_cb"] = rng.uniform(0.5, 2, size=(49, 100))
    savemat(folder / "codebook_hosa.mat", {"codebook_hosa": codebook})
    savemat(folder / "whitening_param.mat", {"M": np.zeros((1, 49)), "P": np.eye(49)})
    model = {"w": rng.normal(size=(1, 14_701)), "bias": 1.0}
    savemat(folder / "hosa_live_model.mat", {"hosa_live_model": model})
