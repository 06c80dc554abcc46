"""The layers of learned codecs: strided convolutions, GDN, and a bound that lets gradients back."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class _LowerBound(torch.autograd.Function):
    """``max(x, bound)``, with gradients where they would lead back above the bound."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, bound: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.bound = bound
        return x.clamp(min=bound)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        (gradient,) = gradients
        return gradient * ((x >= ctx.bound) | (gradient < 0)), None


def lower_bound(x: Tensor, bound: float) -> Tensor:
    """``max(x, bound)``. A step downhill that raises ``x`` is let through below the bound too."""
    result: Tensor = _LowerBound.apply(x, bound)
    return result


class Gdn(nn.Module):
    """Generalised divisive normalisation, or its approximate inverse.

    ``x_i / sqrt(beta_i + sum_j gamma_ij x_j ** 2)``, with a product instead for ``inverse`` (Ballé,
    Laparra and Simoncelli, 2016, eqs. 1 and 2 without their exponents). Input and output are
    ``(N, width, H, W)``. The parameters hold the square roots of beta and gamma, shifted a little,
    which keeps these positive and their gradients alive near 0.
    """

    _OFFSET = 2.0**-18
    _BETA_LEAST = 1e-6

    def __init__(self, width: int, *, inverse: bool = False) -> None:
        super().__init__()
        self.inverse = inverse
        pedestal = self._OFFSET**2
        self.beta = nn.Parameter(torch.sqrt(torch.ones(width) + pedestal))
        self.gamma = nn.Parameter(torch.sqrt(0.1 * torch.eye(width) + pedestal))

    def constants(self) -> tuple[Tensor, Tensor]:
        """beta ``(width,)`` and gamma ``(width, width)`` as the equation has them."""
        pedestal = self._OFFSET**2
        beta_bound = (self._BETA_LEAST + pedestal) ** 0.5
        beta = lower_bound(self.beta, beta_bound) ** 2 - pedestal
        gamma = lower_bound(self.gamma, self._OFFSET) ** 2 - pedestal
        return beta, gamma

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``x``, ``(N, width, H, W)``."""
        beta, gamma = self.constants()
        norm = F.conv2d(x * x, gamma[:, :, None, None], beta)
        return x * (torch.sqrt(norm) if self.inverse else torch.rsqrt(norm))


def down(width_in: int, width_out: int, kernel: int = 5, stride: int = 2) -> nn.Conv2d:
    """A convolution that divides the sides by ``stride``, rounding up."""
    return nn.Conv2d(width_in, width_out, kernel, stride=stride, padding=kernel // 2)


def up(width_in: int, width_out: int, kernel: int = 5, stride: int = 2) -> nn.ConvTranspose2d:
    """A transposed convolution that multiplies the sides by ``stride``."""
    return nn.ConvTranspose2d(
        width_in,
        width_out,
        kernel,
        stride=stride,
        padding=kernel // 2,
        output_padding=stride - 1,
    )
