"""Writes the golden files: run once for each version of the format, never to make a test pass.

.venv/bin/python tests/neural/make_golden.py
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from conftest import make_network, make_texture
from ratewise.files import sha256_bytes
from ratewise.images import encode_png
from ratewise.neural import bitstream
from ratewise.neural.coder import NeuralCoder
from ratewise.neural.weights import pack

FOLDER = Path(__file__).with_name("golden")
SIZES = [(1, 1), (37, 65), (64, 48), (96, 112)]


def main() -> None:
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
            data = coder.encode([image])[0]
            name = f"{kind}-{width}x{height}"
            (FOLDER / f"{name}.rwn").write_bytes(data)
            (FOLDER / f"{name}.png").write_bytes(encode_png(coder.decode([data])[0]))
            header, payload = bitstream.read(data)
            y_hat = coder.latents([payload], header.height, header.width).numpy()
            latents[name] = sha256_bytes(np.ascontiguousarray(y_hat).astype("<f4").tobytes())
    (FOLDER / "latents.json").write_text(json.dumps(latents, indent=2) + "\n")


if __name__ == "__main__":
    main()
