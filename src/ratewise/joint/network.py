"""The mutual enhancement network, to train.

::

    x ── g_a ─────────── y ── Q ── ŷ ── g_s ── x̂ ──────────── enhancement ── x̂_e
          │ f_x^1..3     │                                        │
          └── aggregation┴─ s ── Q ── ŝ ── semantic decoder ── logits

Both latents have a mean-scale hyperprior of their own (h_a, h_s and a factorised prior; the paper
has the scale hyperprior). ``forward`` is the training pass; bytes come from
:mod:`ratewise.joint.coder`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NotRequired, TypedDict

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ratewise.joint.aggregation import SemanticAnalysis
from ratewise.joint.architecture import JointArchitecture
from ratewise.joint.enhancement import Enhancement
from ratewise.joint.semantic_decoder import SemanticSynthesis
from ratewise.neural.models import Architecture, CompressionModel, LatentModel
from ratewise.neural.transforms import STRIDE


class Joined(TypedDict):
    """What the training pass gives.

    ``x_hat`` is the plain picture and ``x_enhanced`` the enhanced one (absent without the module),
    ``(N, 3, H, W)``; ``logits`` are ``(N, classes, H, W)`` (absent without segmentation).
    Likelihoods are of ``image.y``, ``image.z``, ``semantic.y`` and ``semantic.z``, where
    ``semantic.y`` is s. A plain dictionary, since Fabric rebuilds what a wrapped module returns.
    """

    x_hat: Tensor
    likelihoods: dict[str, Tensor]
    x_enhanced: NotRequired[Tensor]
    logits: NotRequired[Tensor]


class JointModel(nn.Module):
    """The network of ``architecture`` for ``classes`` classes.

    ``image`` is a mean-scale hyperprior as it stands alone; ``semantic`` models the latent s.
    Images are ``(N, 3, H, W)`` in [0, 1] of any size: sides are padded to multiples of 64 by
    repeating the last row and column, and outputs cut back.
    """

    def __init__(self, architecture: JointArchitecture, classes: int) -> None:
        super().__init__()
        one = architecture
        self.architecture, self.classes = one, classes
        self.image = CompressionModel(image_architecture(one))
        self.aggregation: SemanticAnalysis | None = None
        self.decoder: SemanticSynthesis | None = None
        self.semantic: LatentModel | None = None
        self.enhancement: Enhancement | None = None
        if one.segmentation:
            self.aggregation = SemanticAnalysis(
                one.N, one.M, one.S, one.K, aggregation=one.aggregation
            )
            self.decoder = SemanticSynthesis(one.K, one.S, classes)
            if one.quantisation:
                self.semantic = LatentModel(semantic_architecture(one))
        if one.enhancement is not None:
            given = one.enhancement
            self.enhancement = Enhancement(classes, given.width, given.blocks)

    def features(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        """What the base network has behind each GDN, and y."""
        found, layers = [], list(self.image.g_a)
        for convolution, gdn in zip(layers[:-1:2], layers[1::2], strict=True):
            x = gdn(convolution(x))
            found.append(x)
        return found, layers[-1](x).float()

    def logits(self, x: Tensor) -> Tensor:
        """The map ``(N, classes, H, W)`` of ``x`` with s as it is, not rounded."""
        assert self.aggregation is not None
        assert self.decoder is not None
        height, width = x.shape[-2:]
        s = self.aggregation(*self.features(padded(x)))
        found: Tensor = self.decoder(s)[..., :height, :width]
        return found

    def forward(self, x: Tensor) -> Joined:
        """The training pass over ``x``: noise for the rates, rounding for picture and map."""
        joined = self.plain(x)
        if self.enhancement is not None:
            joined["x_enhanced"] = self.enhancement(joined["x_hat"], joined["logits"])
        return joined

    def plain(self, x: Tensor) -> Joined:
        """The training pass without the enhancement module."""
        height, width = x.shape[-2:]
        x = padded(x)
        features, y = self.features(x)
        y_hat, likelihoods = self.image.coded(y)
        found = {f"image.{name}": value for name, value in likelihoods.items()}
        x_hat = self.image.g_s(y_hat)[..., :height, :width]
        if self.aggregation is None or self.decoder is None:
            return {"x_hat": x_hat, "likelihoods": found}
        s = self.aggregation(features, y).float()
        if self.semantic is not None:
            s, likelihoods = self.semantic.coded(s)
            found |= {f"semantic.{name}": value for name, value in likelihoods.items()}
        logits = self.decoder(s)[..., :height, :width].float()
        return {"x_hat": x_hat, "likelihoods": found, "logits": logits}


def image_architecture(architecture: JointArchitecture) -> Architecture:
    """The architecture of the image's codec."""
    return Architecture("msh", architecture.N, architecture.M)


def semantic_architecture(architecture: JointArchitecture) -> Architecture:
    """The architecture of what models the semantic latent."""
    return Architecture("msh", architecture.hyper, architecture.K)


def padded(x: Tensor) -> Tensor:
    """``x`` ``(N, C, H, W)`` with its last row and column repeated to multiples of :data:`STRIDE`.

    In training as in coding, so that what lies beyond the border is learned as it will be.
    """
    below, right = -x.shape[-2] % STRIDE, -x.shape[-1] % STRIDE
    if not (below or right):
        return x
    return F.pad(x, (0, right, 0, below), mode="replicate")


def rates(likelihoods: Mapping[str, Tensor], x: Tensor) -> dict[str, Tensor]:
    """Bits per pixel of images ``x`` that ``likelihoods`` come to, by part: scalars."""
    n, _, height, width = x.shape
    found: dict[str, Tensor] = {}
    for name, value in likelihoods.items():
        part = name.split(".")[0]
        bits = -torch.log2(value.float()).sum() / (n * height * width)
        found[part] = found[part] + bits if part in found else bits
    return found
