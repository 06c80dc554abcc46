"""Stored files decode for ever: the same latents bit for bit, pixels within one level (in bfloat16
a few within two), and all but a few pixels of the maps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from joint_examples import latent_digests

from ratewise.files import read_json
from ratewise.images import read_image, read_mask
from ratewise.joint.coder import JointCoder
from ratewise.joint.packed import load

FOLDER = Path(__file__).with_name("golden")
FILES = sorted(FOLDER.glob("*.rwj"))


def test_there_are_golden_files() -> None:
    assert len(FILES) == 4


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_golden_file_decodes(path: Path, precision: str) -> None:
    packed = load(FOLDER / "small.safetensors")
    coder = JointCoder(packed, device="cpu", precision=precision)
    data = path.read_bytes()

    assert latent_digests(packed, data) == read_json(FOLDER / "latents.json")[path.stem]
    most = 1 if precision == "fp32" else 2
    for enhance, name in ((False, f"{path.stem}-plain.png"), (True, f"{path.stem}.png")):
        picture = coder.decode([data], enhance=enhance)[0].astype(int)
        assert np.abs(picture - read_image(FOLDER / name)).max() <= most
    mask = read_mask(FOLDER / f"{path.stem}-mask.png")
    assert (coder.predict([data])[0] == mask).mean() >= (1 if precision == "fp32" else 0.98)
