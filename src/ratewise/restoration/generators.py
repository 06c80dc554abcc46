"""The networks that restore: FineNet (adversarial) and the residual dense network.

Both take images ``(N, 3, H, W)`` in [-1, 1] of any size and add a residual to them. The result is
not clamped.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ratewise.restoration.norms import norm_layer
from ratewise.restoration.settings import FineNetSettings, Generator, RdnSettings

_STD = 0.02
"""Of the initial weights where a norm follows."""

_LAST_STD = 2e-4
"""Of the initial weights of a last layer without a norm: its residual starts below one grey level
of 255, so that training starts at the compressed image. With 0.02 the residual would be noise that
fills half the range, and the first thousands of steps would go into taking it back. Not 0: then no
gradient would reach the layers before."""


def build_generator(settings: Generator) -> nn.Module:
    """The generator of ``settings`` with random weights, in the channels_last layout."""
    if isinstance(settings, FineNetSettings):
        return FineNet(settings).to(memory_format=torch.channels_last)
    return Rdn(settings).to(memory_format=torch.channels_last)


class FineNet(nn.Module):
    """``x + G(x)``: the generator of Katakol et al. 2021, appendix B, after pix2pixHD's.

    ::

        x -> c 7x7, w -> d 3x3 /2, 2w ... 8w -> residual blocks, 8w -> u 3x3 *2, 4w ... w
          -> o 7x7, 3 -> tanh -> + x

    w is ``settings.width``; shown for three downsamplings. Instance norm and ReLU follow each
    convolution; a residual block is two reflection-padded 3x3 convolutions with norm, ReLU
    between. Convolutions with a norm behind them have no bias: the norm would take it away.

    Sides are padded right and below to a multiple of ``2 ** downsamplings`` (at least twice it,
    so that blocks can reflect), by reflection, or by repetition where the picture is too small
    for that; the output is cropped.
    """

    def __init__(self, settings: FineNetSettings) -> None:
        super().__init__()
        norm, width = settings.norm, settings.width
        layers: list[nn.Module] = [*_conv(3, width, 7, norm)]
        for _ in range(settings.downsamplings):
            layers += _conv(width, 2 * width, 3, norm, stride=2)
            width *= 2
        layers += [_ResidualBlock(width, norm, settings.padding) for _ in range(settings.blocks)]
        for _ in range(settings.downsamplings):
            layers += _upsample(width, width // 2, norm, settings.upsampling)
            width //= 2
        last = ReflectionConv2d(width, 3, 7, bias=not settings.output_norm)
        layers += [last, norm_layer("instance" if settings.output_norm else "none"), nn.Tanh()]
        self.layers = nn.Sequential(*layers)
        self._multiple = 2**settings.downsamplings
        self.apply(_initialise_normed if norm == "instance" else _initialise_plain)
        nn.init.normal_(last.weight, std=_STD if settings.output_norm else _LAST_STD)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, 3, H, W)`` in [-1, 1] restored: the same shape, not clamped."""
        height, width = x.shape[-2:]
        padded = pad_to_multiple(x, self._multiple)
        residual: Tensor = self.layers(padded.contiguous(memory_format=torch.channels_last))
        return x + residual[..., :height, :width]


def pad_to_multiple(x: Tensor, multiple: int) -> Tensor:
    """``x`` ``(N, C, H, W)`` padded right and below to multiples, at least two of them.

    By reflection, or by repetition of the last row or column where a side is too short.
    """
    height, width = x.shape[-2:]
    below = max(-height % multiple, 2 * multiple - height)
    right = max(-width % multiple, 2 * multiple - width)
    if below:
        x = F.pad(x, (0, 0, 0, below), mode="reflect" if below < height else "replicate")
    if right:
        x = F.pad(x, (0, right, 0, 0), mode="reflect" if right < width else "replicate")
    return x


class ReflectionConv2d(nn.Conv2d):
    """A convolution that keeps the size, its input reflected at the border.

    ``padding_mode="reflect"`` is the same but pads in float32 under autocast: most of the time
    and memory of a generator on a CPU.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, *, bias: bool) -> None:
        super().__init__(inputs, outputs, kernel, bias=bias)
        self._border = (kernel // 2,) * 4

    def forward(self, input: Tensor) -> Tensor:
        """``(N, inputs, h, w)`` to ``(N, outputs, h, w)``; sides above half the kernel's."""
        with torch.autocast(input.device.type, enabled=False):
            padded = F.pad(input, self._border, mode="reflect")
        return super().forward(padded)


class _ResidualBlock(nn.Module):
    def __init__(self, width: int, norm: str, padding: str) -> None:
        super().__init__()
        first = _conv(width, width, 3, norm, padding=padding)
        second = _conv(width, width, 3, norm, padding=padding)[:-1]  # no ReLU
        self.layers = nn.Sequential(*first, *second)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.layers(x)
        return out


class _Nearest(nn.Module):
    """Each pixel repeated to 2x2."""

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = F.interpolate(x, scale_factor=2.0, mode="nearest")
        return out


def _conv(
    inputs: int, outputs: int, kernel: int, norm: str, *, stride: int = 1, padding: str = "reflect"
) -> list[nn.Module]:
    """Convolution, norm, ReLU. A strided one is padded with zeros, as in pix2pixHD."""
    bias = norm == "none"
    if stride > 1 or padding == "zeros":
        conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=bias)
    else:
        conv = ReflectionConv2d(inputs, outputs, kernel, bias=bias)
    return [conv, norm_layer(norm), nn.ReLU(inplace=True)]


def _upsample(inputs: int, outputs: int, norm: str, kind: str) -> list[nn.Module]:
    if kind == "resize":
        return [_Nearest(), *_conv(inputs, outputs, 3, norm)]
    up = nn.ConvTranspose2d(
        inputs, outputs, 3, stride=2, padding=1, output_padding=1, bias=norm == "none"
    )
    return [up, norm_layer(norm), nn.ReLU(inplace=True)]


def _initialise_normed(module: nn.Module) -> None:
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.normal_(module.weight, std=_STD)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _initialise_plain(module: nn.Module) -> None:
    """Without norms, N(0, 0.02) would let the signal of a narrow network die out."""
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    if isinstance(module, _ResidualBlock):
        second = module.layers[3]
        assert isinstance(second, nn.Conv2d)
        with torch.no_grad():  # or each block would double the variance
            second.weight.mul_(0.1)


class Rdn(nn.Module):
    """The residual dense network (Zhang et al., CVPR 2018, section 3) without upscaling.

    ::

        x -> SFE1 3x3 -> f -> SFE2 3x3 -> D residual dense blocks -> concat all -> 1x1, 3x3 -> + f
          -> 3x3, 3 -> + x

    Each block feeds the concatenation of all that came before it to ``layers`` convolutions of
    ``growth`` channels with ReLU, fuses all by 1x1 and adds its input.
    """

    def __init__(self, settings: RdnSettings) -> None:
        super().__init__()
        width = settings.width
        self.sfe1 = nn.Conv2d(3, width, 3, padding=1)
        self.sfe2 = nn.Conv2d(width, width, 3, padding=1)
        self.blocks = nn.ModuleList(
            _DenseBlock(width, settings.layers, settings.growth) for _ in range(settings.blocks)
        )
        self.fusion = nn.Sequential(
            nn.Conv2d(settings.blocks * width, width, 1), nn.Conv2d(width, width, 3, padding=1)
        )
        self.last = nn.Conv2d(width, 3, 3, padding=1)
        nn.init.normal_(self.last.weight, std=_LAST_STD)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """``(N, 3, H, W)`` in [-1, 1] restored: the same shape, not clamped."""
        first = self.sfe1(x.contiguous(memory_format=torch.channels_last))
        features: list[Tensor] = [self.sfe2(first)]
        for block in self.blocks:
            features.append(block(features[-1]))
        out: Tensor = x + self.last(self.fusion(torch.cat(features[1:], 1)) + first)
        return out


class _DenseBlock(nn.Module):
    def __init__(self, width: int, layers: int, growth: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Conv2d(width + i * growth, growth, 3, padding=1) for i in range(layers)
        )
        self.fusion = nn.Conv2d(width + layers * growth, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        features = x
        for layer in self.layers:
            features = torch.cat([features, F.relu(layer(features))], 1)
        out: Tensor = x + self.fusion(features)
        return out
