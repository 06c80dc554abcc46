"""Probability models of quantised latents, in their differentiable form, for training.

The integer tables that real bitstreams are coded with are made of these by
:mod:`ratewise.neural.tables`.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ratewise.neural.layers import lower_bound

LEAST_LIKELIHOOD = 1e-9
"""Likelihoods are not taken for smaller: the logarithm of the rate stays finite."""

LEAST_SCALE, LARGEST_SCALE, SCALES = 0.11, 256.0, 64
"""Standard deviations of the Gaussian prior, in logarithmic steps (Minnen et al., 2018)."""

TAIL_MASS = 1e-9
"""Probability that a factorised prior leaves outside of its quantiles."""

_FILTERS = (1, 3, 3, 3, 3, 1)
_INIT_SCALE = 10.0


class FactorisedPrior(nn.Module):
    """A learned density for each feature map (Ballé et al., 2018, appendix 6.1).

    The cumulative distribution is a small monotone network: layers of ``softplus(matrix) x + bias``
    with ``x + tanh(factor) tanh(x)`` between, and a sigmoid. ``quantiles`` ``(width, 1, 3)`` follow
    its tails and median by a loss of their own (:meth:`quantile_loss`).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        scale = _INIT_SCALE ** (1 / (len(_FILTERS) - 1))
        self.matrices, self.biases, self.factors = (nn.ParameterList() for _ in range(3))
        for fan_in, fan_out in pairwise(_FILTERS):
            start = math.log(math.expm1(1 / scale / fan_out))
            self.matrices.append(nn.Parameter(torch.full((width, fan_out, fan_in), start)))
            self.biases.append(nn.Parameter(torch.empty(width, fan_out, 1).uniform_(-0.5, 0.5)))
            if fan_out > 1:
                self.factors.append(nn.Parameter(torch.zeros(width, fan_out, 1)))
        self.quantiles = nn.Parameter(
            torch.tensor([-_INIT_SCALE, 0.0, _INIT_SCALE]).repeat(width, 1, 1)
        )

    @property
    def medians(self) -> Tensor:
        """The median of each density, ``(1, width, 1, 1)``, without gradient."""
        return self.quantiles[:, 0, 1].detach()[None, :, None, None]

    def logits(self, x: Tensor, *, frozen: bool = False) -> Tensor:
        """Logits of the cumulative distributions at ``x``, ``(width, 1, points)``.

        ``frozen`` keeps gradients from the network's own parameters.
        """
        for i, (matrix, bias) in enumerate(zip(self.matrices, self.biases, strict=True)):
            weights = F.softplus(matrix.detach() if frozen else matrix)
            x = torch.matmul(weights, x) + (bias.detach() if frozen else bias)
            if i < len(self.factors):
                factor = self.factors[i].detach() if frozen else self.factors[i]
                x = x + torch.tanh(factor) * torch.tanh(x)
        return x

    def likelihood(self, z: Tensor) -> Tensor:
        """Mass within half a step of each value of ``z`` ``(N, width, H, W)``, of its shape."""
        n, width, height, breadth = z.shape
        flat = z.transpose(0, 1).reshape(width, 1, -1).float()
        below, above = self.logits(flat - 0.5), self.logits(flat + 0.5)
        # Far out, the difference of two sigmoids near 0 is exact and of two near 1 is not
        sign = -torch.sign(below + above).detach()
        mass = torch.abs(torch.sigmoid(sign * above) - torch.sigmoid(sign * below))
        mass = lower_bound(mass, LEAST_LIKELIHOOD)
        return mass.reshape(width, n, height, breadth).transpose(0, 1)

    def quantile_loss(self) -> Tensor:
        """Distance of ``quantiles`` from where the tails and the median are; a sum over widths."""
        tail = math.log(2 / TAIL_MASS - 1)
        target = self.quantiles.new_tensor([-tail, 0.0, tail])
        return (self.logits(self.quantiles, frozen=True) - target).abs().sum()


def gaussian_likelihood(values: Tensor, scales: Tensor) -> Tensor:
    """Mass of a centred Gaussian within half a step of each of ``values``; all of one shape."""
    scales = lower_bound(scales.float(), LEAST_SCALE)
    values = values.float().abs()
    mass = _normal_cdf((0.5 - values) / scales) - _normal_cdf((-0.5 - values) / scales)
    return lower_bound(mass, LEAST_LIKELIHOOD)


def _normal_cdf(x: Tensor) -> Tensor:
    return 0.5 * torch.erfc(-(2**-0.5) * x)


def with_noise(x: Tensor) -> Tensor:
    """``x`` plus uniform noise of one step: what stands for rounding while a rate is trained."""
    return x + torch.rand_like(x) - 0.5


def rounded(x: Tensor) -> Tensor:
    """``x`` rounded; gradients pass as if it were not."""
    return x + (torch.round(x) - x).detach()
