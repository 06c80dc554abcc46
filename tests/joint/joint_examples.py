"""A small joint model whose symbols are worth coding, and pictures for it."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from ratewise.data.classes import Classes
from ratewise.files import sha256_bytes
from ratewise.images import Image
from ratewise.joint import bitstream
from ratewise.joint.architecture import EnhancementSettings, JointArchitecture
from ratewise.joint.network import JointModel
from ratewise.joint.packed import PackedJoint, pack
from ratewise.neural.latent_coder import LatentCoder

CLASSES = Classes(("road", "sky", "car"), ((128, 64, 128), (70, 130, 180), (0, 0, 142)))

SMALL = JointArchitecture(
    N=8, M=12, S=8, K=6, hyper=4, enhancement=EnhancementSettings(width=4, blocks=1)
)


def make_picture(seed: int, height: int, width: int) -> Image:
    """Coloured blocks with some noise."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3))
    picture = np.repeat(np.repeat(blocks, 8, 0), 8, 1)[:height, :width]
    noisy = picture + rng.normal(0, 8, picture.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


def make_model(architecture: JointArchitecture = SMALL, seed: int = 0) -> JointModel:
    """Seeded weights; symbols of both latents spread, and an enhancement that changes pictures."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = JointModel(architecture, len(CLASSES)).eval()
        with torch.no_grad():
            for name, value in model.image.named_parameters():
                if name.endswith("weight"):
                    value *= {"g_a": 2.5, "h_a": 4.0, "h_s": 3.0, "g_s": 1.5}[name[:3]]
            for latent in (model.image, model.semantic):
                if latent is not None and latent.h_s is not None:
                    M = latent.architecture.M
                    bias = latent.h_s[4].bias
                    assert isinstance(bias, torch.Tensor)
                    bias[:M] = torch.linspace(-0.1, 1.5, M)
            if model.aggregation is not None:
                model.aggregation.leave.weight *= 30
            if model.decoder is not None:  # maps of more than one class
                for name, value in model.decoder.named_parameters():
                    if name.endswith("bias"):
                        value.zero_()
                    elif "bn" not in name:
                        value *= 2
            if model.enhancement is not None:
                nn.init.normal_(model.enhancement.last.weight, std=0.02)
                nn.init.normal_(model.enhancement.weights[0].weight, std=0.1)
    return model


def make_packed(architecture: JointArchitecture = SMALL, seed: int = 0) -> PackedJoint:
    """The model, packed."""
    return pack(make_model(architecture, seed), CLASSES, [make_picture(i, 64, 96) for i in (0, 1)])


def latent_digests(packed: PackedJoint, data: bytes) -> dict[str, str]:
    """Digests of y_hat and s_hat of a file."""
    file = bitstream.read(data)
    assert packed.semantic is not None
    found = {}
    for name, entropy, part in (
        ("image", packed.image, file.image),
        ("semantic", packed.semantic, file.semantic),
    ):
        latent = LatentCoder(entropy).latents([part], file.height, file.width).numpy()
        found[name] = sha256_bytes(np.ascontiguousarray(latent).astype("<f4").tobytes())
    return found
