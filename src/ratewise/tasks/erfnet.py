"""ERFNet (Romera, Alvarez, Bergasa and Arroyo, IEEE T-ITS 2018): fast segmentation, 2.07 M weights.

::

    (N, 3, H, W)                                                       logits (N, classes, H, W)
      | Downsampler 16                                    transposed conv 2x2, stride 2 ^
      | Downsampler 64                                     2 x NonBottleneck1d 16 ^
      | 5 x NonBottleneck1d 64                                       Upsampler 16 ^
      | Downsampler 128                                    2 x NonBottleneck1d 64 ^
      | 2 x NonBottleneck1d 128, dilation 2, 4, 8, 16                Upsampler 64 ^
      +----------------------- (N, 128, H/8, W/8) --------------------------------+

Sides are multiples of 8. Tensors have the names of the authors' PyTorch release, so that encoders
trained with it can be loaded.
"""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_EPSILON = 1e-3
"""Of every batch norm."""

_DILATIONS = (2, 4, 8, 16)


class NonBottleneck1d(nn.Module):
    """A residual block whose two 3x3 convolutions are factorised, ``(N, width, H, W)`` to the same.

    ::

        3x1, ReLU, 1x3, BN, ReLU, 3x1 dilated, ReLU, 1x3 dilated, BN, dropout, + input, ReLU

    ``dropout`` is the probability that a whole channel of the residual is left out in training.
    """

    def __init__(self, width: int, dilation: int = 1, dropout: float = 0.0) -> None:
        super().__init__()
        self.conv3x1_1 = nn.Conv2d(width, width, (3, 1), padding=(1, 0))
        self.conv1x3_1 = nn.Conv2d(width, width, (1, 3), padding=(0, 1))
        self.bn1 = nn.BatchNorm2d(width, eps=_EPSILON)
        self.conv3x1_2 = nn.Conv2d(
            width, width, (3, 1), padding=(dilation, 0), dilation=(dilation, 1)
        )
        self.conv1x3_2 = nn.Conv2d(
            width, width, (1, 3), padding=(0, dilation), dilation=(1, dilation)
        )
        self.bn2 = nn.BatchNorm2d(width, eps=_EPSILON)
        self.dropout = nn.Dropout2d(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, width, H, W)``."""
        y = F.relu(self.conv3x1_1(x))
        y = F.relu(self.bn1(self.conv1x3_1(y)))
        y = F.relu(self.conv3x1_2(y))
        y = self.bn2(self.conv1x3_2(y))
        return F.relu(self.dropout(y) + x)


class Downsampler(nn.Module):
    """Halves the sides: ``(N, width_in, H, W)`` to ``(N, width_out, H/2, W/2)``, sides being even.

    A 3x3 convolution of stride 2 gives ``width_out - width_in`` channels (so ``width_out`` is the
    larger), a 2x2 maximum of the input the rest; BN and ReLU follow.
    """

    def __init__(self, width_in: int, width_out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width_in, width_out - width_in, 3, stride=2, padding=1)
        self.pool = nn.MaxPool2d(2, stride=2)
        self.bn = nn.BatchNorm2d(width_out, eps=_EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, width_out, H/2, W/2)``."""
        return F.relu(self.bn(torch.cat([self.conv(x), self.pool(x)], 1)))


class Upsampler(nn.Module):
    """Doubles the sides: ``(N, width_in, H, W)`` to ``(N, width_out, 2H, 2W)``.

    A transposed 3x3 convolution of stride 2, BN, ReLU.
    """

    def __init__(self, width_in: int, width_out: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(
            width_in, width_out, 3, stride=2, padding=1, output_padding=1
        )
        self.bn = nn.BatchNorm2d(width_out, eps=_EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, width_out, 2H, 2W)``."""
        return F.relu(self.bn(self.conv(x)))


class ErfNetEncoder(nn.Module):
    """``(N, 3, H, W)`` to ``(N, 128, H/8, W/8)``."""

    output_stride: ClassVar[int] = 8

    def __init__(self) -> None:
        super().__init__()
        self.initial_block = Downsampler(3, 16)
        self.layers = nn.Sequential(
            Downsampler(16, 64),
            *(NonBottleneck1d(64, dropout=0.03) for _ in range(5)),
            Downsampler(64, 128),
            *(NonBottleneck1d(128, dilation, dropout=0.3) for dilation in _DILATIONS * 2),
        )

    def forward(self, x: Tensor) -> Tensor:
        """``(N, 128, H/8, W/8)``."""
        features: Tensor = self.layers(self.initial_block(x))
        return features


class ErfNetDecoder(nn.Module):
    """``(N, 128, H/8, W/8)`` to logits ``(N, classes, H, W)``."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            Upsampler(128, 64),
            *(NonBottleneck1d(64) for _ in range(2)),
            Upsampler(64, 16),
            *(NonBottleneck1d(16) for _ in range(2)),
        )
        self.output_conv = nn.ConvTranspose2d(16, classes, 2, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, classes, H, W)``."""
        logits: Tensor = self.output_conv(self.layers(x))
        return logits


class ErfNet(nn.Module):
    """``(N, 3, H, W)`` with sides that are multiples of 8 to logits ``(N, classes, H, W)``."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.encoder = ErfNetEncoder()
        self.decoder = ErfNetDecoder(classes)

    @property
    def segmentation_head(self) -> nn.Module:
        """The layer that gives the logits."""
        return self.decoder.output_conv

    def forward(self, x: Tensor) -> Tensor:
        """Logits ``(N, classes, H, W)``."""
        logits: Tensor = self.decoder(self.encoder(x))
        return logits
