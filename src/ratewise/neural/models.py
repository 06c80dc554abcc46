"""The transforms of learned codecs, as networks to train.

::

    x ── g_a ── y ──────────┬── Q ── ŷ ── g_s ── x̂
                            │        │
                           h_a    scales, means
                            │        │
                            z ─ Q ─ ẑ ── h_s

``forward`` is the training pass: it adds noise where a bitstream rounds, and gives likelihoods.
Bytes come from :mod:`ratewise.neural.coder`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypedDict

import torch
from torch import Tensor, nn

from ratewise.errors import InputError
from ratewise.neural.layers import Gdn, down, up
from ratewise.neural.priors import (
    FactorisedPrior,
    gaussian_likelihood,
    rounded,
    with_noise,
)

Kind = Literal["factorized", "hyperprior", "msh"]

KINDS: tuple[Kind, ...] = ("factorized", "hyperprior", "msh")
"""Factorised prior and scale hyperprior (Ballé et al., 2018); mean-scale hyperprior (Minnen et
al., 2018)."""


@dataclass(frozen=True)
class Architecture:
    """What decides the shapes of a network: its kind, and the widths inside (N) and of y (M)."""

    kind: Kind
    N: int
    M: int

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(f"kind = {self.kind!r}: must be one of {', '.join(KINDS)}")
        if self.N < 1 or self.M < 1 or (self.kind == "msh" and self.M % 2):
            raise InputError(f"N = {self.N}, M = {self.M}: must be 1 or more, M of msh even")

    @property
    def stride(self) -> int:
        """What the sides of an image are padded to a multiple of."""
        return 16 if self.kind == "factorized" else 64

    def build(self) -> CompressionModel:
        """A new network."""
        return CompressionModel(self)


class Coded(TypedDict):
    """What the training pass gives: ``x_hat`` ``(N, 3, H, W)``, and likelihoods by latent.

    A plain dictionary, since Fabric rebuilds what a wrapped module returns.
    """

    x_hat: Tensor
    likelihoods: dict[str, Tensor]


def estimated_bpp(coded: Coded) -> Tensor:
    """Bits per pixel that the likelihoods amount to, a scalar."""
    n, _, height, width = coded["x_hat"].shape
    bits = sum(-torch.log2(value.float()).sum() for value in coded["likelihoods"].values())
    return torch.as_tensor(bits) / (n * height * width)


@dataclass(frozen=True)
class Custom:
    """Feature maps that inner layers have behind the architecture's own: how many.

    ``image`` are those of g_a and g_s, ``hyper`` those of h_a and h_s
    (:mod:`ratewise.neural.adaptation`).
    """

    image: int = 0
    hyper: int = 0


class LatentModel(nn.Module):
    """What models a latent y: a factorised prior or a hyperprior, beside the ``transforms``.

    A hyperprior has h_a on y (on its magnitude for ``hyperprior``), and h_s from ẑ to the scales of
    y, for ``msh`` to scales and means. ``prior`` is the factorised density of z, or of y without
    h_a. Inside h_a and h_s of ``msh`` each layer has ``custom`` feature maps more, behind the
    others (:mod:`ratewise.neural.adaptation`).
    """

    def __init__(
        self,
        architecture: Architecture,
        custom: int = 0,
        transforms: Mapping[str, nn.Module] = MappingProxyType({}),
    ) -> None:
        super().__init__()
        self.architecture = architecture
        for name, transform in transforms.items():
            self.add_module(name, transform)
        kind, N, M = architecture.kind, architecture.N, architecture.M
        wide = N + custom
        self.prior = FactorisedPrior(M if kind == "factorized" else N)
        self.h_a: nn.Sequential | None = None
        self.h_s: nn.Sequential | None = None
        if kind == "hyperprior":
            self.h_a = nn.Sequential(down(M, N, 3, 1), nn.ReLU(), down(N, N), nn.ReLU(), down(N, N))
            self.h_s = nn.Sequential(
                up(N, N), nn.ReLU(), up(N, N), nn.ReLU(), down(N, M, 3, 1), nn.ReLU()
            )
        elif kind == "msh":
            first, second = M + custom, M * 3 // 2 + custom
            self.h_a = nn.Sequential(
                down(M, wide, 3, 1), nn.LeakyReLU(), down(wide, wide), nn.LeakyReLU(), down(wide, N)
            )
            self.h_s = nn.Sequential(
                up(N, first),
                nn.LeakyReLU(),
                up(first, second),
                nn.LeakyReLU(),
                down(second, M * 2, 3, 1),
            )

    def hyper_input(self, y: Tensor) -> Tensor:
        """What h_a sees of ``y``."""
        return y.abs() if self.architecture.kind == "hyperprior" else y

    def scales_and_means(self, z_hat: Tensor) -> tuple[Tensor, Tensor | None]:
        """What h_s says of y: standard deviations and, from ``msh``, means; of the shape of y."""
        assert self.h_s is not None
        out = self.h_s(z_hat).float()
        if self.architecture.kind == "hyperprior":
            return out, None
        scales, means = out.chunk(2, dim=1)
        return scales, means

    def coded(self, y: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """ŷ and likelihoods of ``y`` ``(N, M, h, w)`` in training.

        Mixed quantisation after Minnen and Singh (2020): likelihoods are of noisy latents, while
        h_s and g_s see rounded ones, whose gradients pass as if they were not.
        """
        if self.h_a is None:
            medians = self.prior.medians
            likelihoods = {"y": self.prior.likelihood(with_noise(y))}
            return rounded(y - medians) + medians, likelihoods
        z = self.h_a(self.hyper_input(y)).float()
        medians = self.prior.medians
        z_hat = rounded(z - medians) + medians
        scales, means = self.scales_and_means(z_hat)
        height, width = y.shape[-2:]  # h_s gives multiples of 4 positions
        scales = scales[..., :height, :width]
        means = None if means is None else means[..., :height, :width]
        centred = y if means is None else y - means
        likelihoods = {
            "y": gaussian_likelihood(with_noise(centred), scales),
            "z": self.prior.likelihood(with_noise(z)),
        }
        return rounded(centred) if means is None else rounded(centred) + means, likelihoods


class CompressionModel(LatentModel):
    """Analysis g_a and synthesis g_s, and what models y between them.

    Images are ``(N, 3, H, W)`` in [0, 1], sides multiples of ``architecture.stride``. Inside the
    transforms of ``msh`` layers have ``custom`` feature maps more.
    """

    g_a: nn.Sequential
    g_s: nn.Sequential

    def __init__(self, architecture: Architecture, custom: Custom = Custom()) -> None:
        M, wide = architecture.M, architecture.N + custom.image
        g_a = nn.Sequential(
            down(3, wide),
            Gdn(wide),
            down(wide, wide),
            Gdn(wide),
            down(wide, wide),
            Gdn(wide),
            down(wide, M),
        )
        g_s = nn.Sequential(
            up(M, wide),
            Gdn(wide, inverse=True),
            up(wide, wide),
            Gdn(wide, inverse=True),
            up(wide, wide),
            Gdn(wide, inverse=True),
            up(wide, 3),
        )
        super().__init__(architecture, custom.hyper, {"g_a": g_a, "g_s": g_s})
        self.custom = custom

    def forward(self, x: Tensor) -> Coded:
        """The training pass over ``x``: noise for the rates, rounding for the picture."""
        y_hat, likelihoods = self.coded(self.g_a(x).float())
        return {"x_hat": self.g_s(y_hat), "likelihoods": likelihoods}
