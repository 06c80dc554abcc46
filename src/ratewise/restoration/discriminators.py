"""The conditional discriminators that an adversarial generator is trained against."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from ratewise.errors import InputError
from ratewise.restoration.norms import InstanceNorm
from ratewise.restoration.settings import DiscriminatorSettings

SCALE = 4
"""Each discriminator sees the images at this fraction of the last one's sides."""

_KERNEL, _PADDING, _SLOPE, _STD = 4, 1, 0.2, 0.02


class Judgement(NamedTuple):
    """What one discriminator says of a batch of images."""

    logits: Tensor
    """``(N, 1, h, w)``: above 0 where a place looks original; ``sigmoid`` of it is D."""
    features: list[Tensor]
    """The output of each layer before the last, after its nonlinearity, ``(N, C, h, w)``."""


class Discriminators(nn.Module):
    """``settings.count`` discriminators, each at a quarter of the last one's resolution (App. B).

    ::

        concat(compressed, image), 6 channels -> average 4x4 (i times)
          -> C w /2 -> C 2w /2 -> C 4w /2 -> C 8w /last_stride -> O 1

    ``C`` is a 4x4 convolution padded by one pixel of zeros, instance norm (not in the first),
    LeakyReLU 0.2; ``O`` a convolution of ``output_kernel``, whose map is of logits.
    """

    def __init__(self, settings: DiscriminatorSettings) -> None:
        super().__init__()
        self.settings = settings
        self.scales = nn.ModuleList(_Discriminator(settings) for _ in range(settings.count))
        self.to(memory_format=torch.channels_last)

    def forward(self, condition: Tensor, image: Tensor) -> list[Judgement]:
        """One judgement per scale of images ``(N, 3, H, W)`` in [-1, 1].

        ``condition`` are the compressed images, of the same shape. Raises :class:`InputError` like
        :func:`check_patch` if they are too small.
        """
        check_patch(self.settings, min(image.shape[-2:]))
        x = torch.cat([condition, image], 1).contiguous(memory_format=torch.channels_last)
        judgements = []
        for number, scale in enumerate(self.scales):
            x = F.avg_pool2d(x, SCALE) if number else x
            judgements.append(scale(x))
        return judgements


class _Discriminator(nn.Module):
    def __init__(self, settings: DiscriminatorSettings) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        inputs, outputs = 6, settings.width
        for number, stride in enumerate(_strides(settings)):
            conv = _conv(settings, inputs, outputs, _KERNEL, stride, bias=number == 0)
            norm: list[nn.Module] = [InstanceNorm()] if number else []
            self.layers.append(nn.Sequential(conv, *norm, nn.LeakyReLU(_SLOPE, inplace=True)))
            inputs, outputs = outputs, 2 * outputs
        self.output = _conv(settings, inputs, 1, settings.output_kernel, 1, bias=True)

    def forward(self, x: Tensor) -> Judgement:
        features: list[Tensor] = []
        for layer in self.layers:
            x = layer(x)
            features.append(x)
        return Judgement(self.output(x), features)


def _strides(settings: DiscriminatorSettings) -> list[int]:
    return [2] * (settings.layers - 1) + [settings.last_stride]


def _conv(
    settings: DiscriminatorSettings,
    inputs: int,
    outputs: int,
    kernel: int,
    stride: int,
    *,
    bias: bool,
) -> nn.Module:
    padding = _PADDING if kernel == _KERNEL else 0
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=bias)
    nn.init.normal_(conv.weight, std=_STD)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    normed: nn.Module = spectral_norm(conv) if settings.spectral_norm else conv
    return normed


def check_patch(settings: DiscriminatorSettings, patch: int | None) -> None:
    """Raise :class:`InputError` if a scale's maps vanish for images with a side of ``patch``.

    A map of one place vanishes too where instance norm follows: it would always be 0. None (whole
    images) passes: the images are checked when they come.
    """
    for scale in range(settings.count) if patch is not None else ():
        assert patch is not None
        side = patch // SCALE**scale
        sides = [side := _halved(side, stride) for stride in _strides(settings)]
        padding = _PADDING if settings.output_kernel == _KERNEL else 0
        output = sides[-1] + 2 * padding - settings.output_kernel + 1
        if min(sides[1:], default=2) < 2 or sides[0] < 1 or output < 1:
            raise InputError(
                f"patch = {patch} is too small for discriminator {scale + 1} of {settings.count}, "
                f"which sees {patch // SCALE**scale} pixels a side, with layers = "
                f"{settings.layers}: take larger patches, fewer layers or a smaller count"
            )


def _halved(side: int, stride: int) -> int:
    """The side of a layer's output."""
    return (side + 2 * _PADDING - _KERNEL) // stride + 1
