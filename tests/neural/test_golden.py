"""Stored files decode for ever: the same latents bit for bit, pixels within one level (in bfloat16
a few within two)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ratewise import codecs
from ratewise.files import read_json, sha256_bytes
from ratewise.images import read_image
from ratewise.neural import bitstream
from ratewise.neural.coder import NeuralCoder
from ratewise.neural.loading import packaged
from ratewise.neural.weights import load

FOLDER = Path(__file__).with_name("golden")
PACKAGED = Path(__file__).with_name("golden_packaged")
FILES = sorted(FOLDER.glob("*.rwn")) + sorted(PACKAGED.glob("*.rwn"))


def test_there_are_golden_files() -> None:
    assert len(FILES) == 8 + 5


def test_the_package_decodes_its_golden_files_whatever_the_quality() -> None:
    codec = codecs.codec("msh:quality=3")
    for path in sorted(PACKAGED.glob("*.rwn")):
        picture = codec.decode(path.read_bytes()).astype(int)
        assert np.abs(picture - read_image(path.with_suffix(".png"))).max() <= 2
        assert codecs.identify(path.read_bytes()).name == "msh"


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_golden_file_decodes(path: Path, precision: str) -> None:
    ours = path.parent == PACKAGED
    model = load(
        packaged(int(path.stem[-1])) if ours else FOLDER / f"{path.stem.split('-')[0]}.safetensors"
    )
    coder = NeuralCoder(model, device="cpu", precision=precision)
    data = path.read_bytes()
    header, payload = bitstream.read(data)
    y_hat = np.ascontiguousarray(coder.latents([payload], header.height, header.width).numpy())
    expected = read_json(path.with_name("latents.json"))[path.stem]
    assert sha256_bytes(y_hat.astype("<f4").tobytes()) == expected
    picture = coder.decode([data])[0].astype(int)
    off = np.abs(picture - read_image(path.with_suffix(".png")))
    assert off.max() <= (1 if precision == "fp32" else 2)
    assert (off > 1).mean() < 1e-3
