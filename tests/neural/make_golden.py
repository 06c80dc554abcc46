"""Writes the golden files: run once for each version of the format, never to make a test pass.

.venv/bin/python tests/neural/make_golden.py golden      # models of random weights
.venv/bin/python tests/neural/make_golden.py packaged    # the codecs that come with the package
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from codec_examples import make_network, make_texture

from ratewise.files import sha256_bytes
from ratewise.images import Image, encode_png
from ratewise.neural import bitstream
from ratewise.neural.coder import NeuralCoder
from ratewise.neural.loading import packaged
from ratewise.neural.weights import load, pack

FOLDER = Path(__file__).with_name("golden")
PACKAGED = Path(__file__).with_name("golden_packaged")
SIZES = [(1, 1), (37, 65), (64, 48), (96, 112)]


def main() -> None:
    {"golden": golden, "packaged": of_the_package}[sys.argv[1]]()


def of_the_package() -> None:
    PACKAGED.mkdir(exist_ok=True)
    latents = {}
    image = make_texture(3, 96, 112)
    for quality in range(1, 6):
        coder = NeuralCoder(load(packaged(quality)), device="cpu", precision="fp32")
        latents |= write(PACKAGED, f"msh-small-{quality}", coder, image)
    (PACKAGED / "latents.json").write_text(json.dumps(latents, indent=2) + "\n")


def golden() -> None:
    FOLDER.mkdir(exist_ok=True)
    latents = {}
    for kind in ("factorized", "msh"):
        model = make_network(kind, 8, 12, seed=2026)
        packed = pack(model, [make_texture(i, 64, 96) for i in range(4)], half=True)
        packed.save(FOLDER / f"{kind}.safetensors")
        coder = NeuralCoder(packed, device="cpu", precision="fp32")
        for number, (height, width) in enumerate(SIZES):
            image = make_texture(number, height, width)
            if number == 2:
                image = np.repeat(image[:, :, :1], 3, axis=2)
            latents |= write(FOLDER, f"{kind}-{width}x{height}", coder, image)
    (FOLDER / "latents.json").write_text(json.dumps(latents, indent=2) + "\n")


def write(folder: Path, name: str, coder: NeuralCoder, image: Image) -> dict[str, str]:
    """The file and the picture it decodes to; the digest of its latents."""
    data = coder.encode([image])[0]
    (folder / f"{name}.rwn").write_bytes(data)
    (folder / f"{name}.png").write_bytes(encode_png(coder.decode([data])[0]))
    header, payload = bitstream.read(data)
    y_hat = coder.latents([payload], header.height, header.width).numpy()
    return {name: sha256_bytes(np.ascontiguousarray(y_hat).astype("<f4").tobytes())}


if __name__ == "__main__":
    main()
