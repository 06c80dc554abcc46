"""Instance normalisation whose statistics can be those of a larger picture than its input."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

EPS = 1e-5
"""Added to the variance, as in ``nn.InstanceNorm2d``."""


class InstanceNorm(nn.Module):
    """``(x - mean) / sqrt(var + 1e-5)`` per sample and channel, without affine parameters.

    Equal to ``nn.InstanceNorm2d``, except that a single pixel gives 0 instead of an error.

    The statistics make a network's output depend on the whole picture. To run one in tiles with
    the whole picture's statistics, set ``fixed`` in each of its norms (:func:`instance_norms`).
    A norm's statistics depend on those before it, so they are collected norm after norm, in the
    order that they are run in: let ``observe`` hand its input to :class:`Moments` for all tiles,
    set ``fixed`` from them, and go on to the next. Tiles that overlap must be cropped before they
    are counted. Neither is part of the state dict.
    """

    def __init__(self) -> None:
        super().__init__()
        self.fixed: tuple[Tensor, Tensor] | None = None
        """Mean and variance (population), each ``(1, C, 1, 1)``, used instead of the input's."""
        self.observe: Callable[[Tensor], None] | None = None
        """Called with each input ``(N, C, h, w)`` before it is normalised."""

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C, h, w)`` normalised, in the type of ``x``."""
        if self.observe is not None:
            self.observe(x)
        if self.fixed is not None:
            mean, var = (statistic.to(x.device).float() for statistic in self.fixed)
            return ((x.float() - mean) * torch.rsqrt(var + EPS)).to(x.dtype)
        if x.device.type != "cpu":
            return torch.instance_norm(x, None, None, None, None, True, 0.0, EPS, False)
        # On a CPU, instance_norm computes in the channels_first layout and leaves its output in
        # it. Batch norm of one sample is the same thing, and several times faster in ours.
        samples = [
            torch.batch_norm(sample, None, None, None, None, True, 0.0, EPS, False)
            for sample in torch.split(x, 1)
        ]
        return torch.cat(samples) if len(samples) > 1 else samples[0]


class Moments:
    """Mean and variance per channel of pixels that come in parts, summed in float64."""

    def __init__(self) -> None:
        self.count = 0
        """Pixels so far."""
        self._sum: Tensor | None = None
        self._squares: Tensor | None = None

    def add(self, x: Tensor) -> None:
        """The pixels of ``x`` ``(N, C, h, w)``, of one picture or tiles of it."""
        wide = x.detach().double()
        total, squares = wide.sum((0, 2, 3)), wide.square().sum((0, 2, 3))
        self._sum = total if self._sum is None else self._sum + total
        self._squares = squares if self._squares is None else self._squares + squares
        self.count += x.shape[0] * x.shape[2] * x.shape[3]

    def statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and population variance, each float32 ``(1, C, 1, 1)``: for ``fixed``.

        Raises ValueError if nothing was added.
        """
        if self._sum is None or self._squares is None:
            raise ValueError("no pixels were added")
        mean = self._sum / self.count
        var = (self._squares / self.count - mean.square()).clamp(min=0)
        return mean.float().view(1, -1, 1, 1), var.float().view(1, -1, 1, 1)


def instance_norms(network: nn.Module) -> list[InstanceNorm]:
    """The norms of ``network``, in the order that they are run in."""
    return [module for module in network.modules() if isinstance(module, InstanceNorm)]


def norm_layer(kind: str) -> nn.Module:
    """``instance``, or ``none``: its input unchanged."""
    return InstanceNorm() if kind == "instance" else nn.Identity()
