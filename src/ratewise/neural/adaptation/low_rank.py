"""Low-rank additions to the transforms of a trained codec: a neighbour to compare with.

Each convolution of g_a, g_s and h_a learns ``W + B A``, where ``W`` seen as a matrix (outputs by
inputs times taps) has an addition of rank ``rank``; B is 0 at the start (Hu et al., 2022; for
codecs Zhang et al., 2024, arXiv 2409.11111). The entropy model, h_s and the density of z, stays as
it is (as in Duan et al., 2024, arXiv 2402.18862), so rates follow the transforms alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ratewise.errors import InputError
from ratewise.neural.models import Architecture, CompressionModel

TRANSFORMS = ("g_a", "g_s", "h_a")


class LowRank(nn.Module):
    """``W + B A`` for a weight ``W`` of four dimensions, its rows the first of them."""

    def __init__(self, shape: torch.Size, rank: int) -> None:
        super().__init__()
        rows, columns = shape[0], shape[1:].numel()
        self.A = nn.Parameter(torch.randn(rank, columns) / columns**0.5)
        self.B = nn.Parameter(torch.zeros(rows, rank))

    def forward(self, weight: Tensor) -> Tensor:
        """The weight with its addition."""
        return weight + (self.B @ self.A).view_as(weight)


def add_low_rank(
    model: CompressionModel, rank: int, transforms: Sequence[str] = TRANSFORMS
) -> None:
    """Give every convolution of ``transforms`` an addition of ``rank``; its own weight stays.

    The additions' start is drawn from torch's generator.
    """
    for _, layer in convolutions(model, transforms):
        layer.weight.requires_grad_(False)
        parametrize.register_parametrization(
            layer, "weight", LowRank(layer.weight.shape, rank), unsafe=True
        )


def take_low_rank(model: CompressionModel) -> dict[str, Tensor]:
    """Take the additions out of ``model``: ``<layer>.A`` and ``<layer>.B``, float16.

    Raises :class:`InputError` where float16 cannot hold them.
    """
    found = {}
    for name, layer in convolutions(model):
        if not parametrize.is_parametrized(layer, "weight"):
            continue
        addition: Any = layer.get_submodule("parametrizations.weight.0")
        for part in "AB":
            value = getattr(addition, part).detach().cpu().half().contiguous()
            if not torch.isfinite(value).all():
                raise InputError(f"the adapted model has weights that are not finite, in {name!r}")
            found[f"{name}.{part}"] = value
        parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)
    return found


def convolutions(
    model: CompressionModel, transforms: Sequence[str] = TRANSFORMS
) -> Iterator[tuple[str, nn.Conv2d | nn.ConvTranspose2d]]:
    """The convolutions of ``transforms``, with their names."""
    for name, layer in list(model.named_modules()):
        if name.split(".")[0] in transforms and isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            yield name, layer


def size(architecture: Architecture, rank: int, transforms: Sequence[str] = TRANSFORMS) -> int:
    """How many numbers the additions have."""
    with torch.device("meta"):
        model = CompressionModel(architecture)
    return sum(
        rank * (layer.weight.shape[0] + layer.weight[0].numel())
        for _, layer in convolutions(model, transforms)
    )


def rank_for(architecture: Architecture, share: float) -> int:
    """The largest rank whose numbers are at most ``share`` of the source's parameters."""
    with torch.device("meta"):
        total = sum(p.numel() for p in CompressionModel(architecture).parameters())
    return int(share * total // size(architecture, 1))
