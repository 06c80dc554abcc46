"""Stored files decode for ever: the same latents bit for bit, pixels within one level."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ratewise.files import read_json, sha256_bytes
from ratewise.images import read_image
from ratewise.neural import bitstream
from ratewise.neural.coder import NeuralCoder
from ratewise.neural.weights import load

FOLDER = Path(__file__).with_name("golden")
FILES = sorted(FOLDER.glob("*.rwn"))


def test_there_are_golden_files() -> None:
    assert len(FILES) == 8


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_golden_file_decodes(path: Path, precision: str) -> None:
    model = load(FOLDER / f"{path.stem.split('-')[0]}.safetensors")
    coder = NeuralCoder(model, device="cpu", precision=precision)
    data = path.read_bytes()
    header, payload = bitstream.read(data)
    y_hat = np.ascontiguousarray(coder.latents([payload], header.height, header.width).numpy())
    expected = read_json(FOLDER / "latents.json")[path.stem]
    assert sha256_bytes(y_hat.astype("<f4").tobytes()) == expected
    picture = coder.decode([data])[0].astype(int)
    assert np.abs(picture - read_image(path.with_suffix(".png"))).max() <= 1
