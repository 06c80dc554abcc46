"""Codes pictures in a process of its own: ``crossing.py FOLDER encode`` or ``... decode``.

``encode`` writes a file for each of ``pictures.npz``, once with the integer h_s and once with the
float one in its place. ``decode`` reads both under other settings, and prints for each how many
do not give the symbols that were written.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ratewise.errors import CodecError
from ratewise.neural import bitstream, integer
from ratewise.neural.coder import NeuralCoder
from ratewise.neural.models import Architecture
from ratewise.neural.tables import MEAN_UNIT, SCALE_UNIT
from ratewise.neural.weights import load
from ratewise.training.weights import apply_weights, load_weights


class FloatHyperSynthesis:
    """h_s in float32 with the noise of another device, rounded to the integers' units."""

    def __init__(self, folder: Path, medians: np.ndarray) -> None:
        state, header = load_weights(folder / "raw.safetensors")
        self.model = Architecture("msh", header["N"], header["M"]).build().eval()
        apply_weights(self.model, state, "raw")
        self.medians = torch.from_numpy(medians)[:, None, None] / MEAN_UNIT

    @torch.inference_mode()
    def __call__(self, z: Tensor, *, means: bool) -> tuple[Tensor, Tensor]:
        scales, mean = self.model.scales_and_means(z.permute(0, 3, 1, 2) + self.medians)
        scales = scales + 1e-6 * torch.randn_like(scales)
        assert mean is not None
        scales = torch.round(scales * SCALE_UNIT).clamp(0, integer.LARGEST_SCALE)
        mean = torch.round(mean * MEAN_UNIT)
        return scales.permute(0, 2, 3, 1).int(), mean.permute(0, 2, 3, 1).int()


def encode(folder: Path) -> None:
    """One thread, one picture at a time, float32."""
    torch.set_num_threads(1)
    pictures = np.load(folder / "pictures.npz")
    coder = NeuralCoder(load(folder / "packed.safetensors"), device="cpu", precision="fp32")
    for kind in ("integer", "float"):
        if kind == "float":
            coder._latents._h_s = FloatHyperSynthesis(folder, coder.model.medians)  # type: ignore[assignment]
        (folder / kind).mkdir()
        for name in pictures.files:
            (folder / kind / name).write_bytes(coder.encode([pictures[name]])[0])


def decode(folder: Path) -> None:
    """Two threads, all pictures at once, bfloat16, the slow kernel for integers."""
    torch.set_num_threads(2)
    integer.fast_int8 = lambda: False  # type: ignore[assignment]
    coder = NeuralCoder(load(folder / "packed.safetensors"), device="cpu", precision="bf16")
    files = [path.read_bytes() for path in sorted((folder / "integer").iterdir())]
    torch.set_float32_matmul_precision("medium")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        print(len(files) - len(coder.decode(files)))
    torch.set_float32_matmul_precision("highest")
    coder._latents._h_s = FloatHyperSynthesis(folder, coder.model.medians)  # type: ignore[assignment]
    wrong = 0
    for path in sorted((folder / "float").iterdir()):
        header, payload = bitstream.read(path.read_bytes())
        try:
            coder.latents([payload], header.height, header.width)
        except CodecError:
            wrong += 1
    print(wrong)


if __name__ == "__main__":
    torch.manual_seed(sys.argv[2] == "encode")
    {"encode": encode, "decode": decode}[sys.argv[2]](Path(sys.argv[1]))
