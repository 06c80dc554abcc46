"""Writes the golden files: run once for each version of the format, never to make a test pass.

.venv/bin/python tests/joint/make_joint_golden.py
"""

from __future__ import annotations

import json
from pathlib import Path

from joint_examples import CLASSES, latent_digests, make_model, make_picture

from ratewise.images import encode_png
from ratewise.joint.coder import JointCoder
from ratewise.joint.packed import pack

FOLDER = Path(__file__).with_name("golden")
SIZES = [(1, 1), (37, 65), (64, 48), (96, 112)]


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    packed = pack(make_model(seed=2026), CLASSES, [make_picture(0, 64, 96)], half=True)
    packed.save(FOLDER / "small.safetensors")
    coder = JointCoder(packed, device="cpu", precision="fp32")
    digests = {}
    for number, (height, width) in enumerate(SIZES):
        name = f"small-{width}x{height}"
        (data,) = coder.encode([make_picture(number, height, width)])
        (FOLDER / f"{name}.rwj").write_bytes(data)
        (plain,), (enhanced,) = (coder.decode([data], enhance=one) for one in (False, True))
        (FOLDER / f"{name}-plain.png").write_bytes(encode_png(plain))
        (FOLDER / f"{name}.png").write_bytes(encode_png(enhanced))
        (FOLDER / f"{name}-mask.png").write_bytes(encode_png(coder.predict([data])[0]))
        digests[name] = latent_digests(packed, data)
    (FOLDER / "latents.json").write_text(json.dumps(digests, indent=2) + "\n")


if __name__ == "__main__":
    main()
