"""The enhancement module: the decoded picture improved by the segmentation map."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_LOGITS = 8.0
"""What the logits of a trained map are divided by, which reach 20 and more."""


class ResidualBlock(nn.Module):
    """``x + conv(relu(conv(x)))``, 3x3, of one width."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Of the shape of ``x``."""
        out: Tensor = x + self.layers(x)
        return out


class Enhancement(nn.Module):
    """x̂_e of the decoded picture x̂ and the segmentation map s (Chen et al. 2021, section 3.3).

    ::

        s ── [max, mean over classes] ── W0 ── sigmoid ──┐
        └─── W1 ── W2 ── W3 ──────────────────────────── x ── s_e ──┐
        x̂ ── convolution ── residual blocks ── x̂_r ──────────── concatenate ── convolution ── + x̂

    Eq. 3 and 4. s are logits: probabilities would have the same mean everywhere. What is ours:
    ReLUs between W1, W2 and W3; the last convolution gives what is added to x̂, and starts at zero,
    so that an untrained module changes nothing and x̂ alone is a picture, too; and logits are
    scaled to about 1, while W0 starts at zero. Else W0's 98 weights on them close the sigmoid at
    the start, and the map is never looked at.
    """

    def __init__(self, classes: int, width: int, blocks: int) -> None:
        super().__init__()
        self.weights = nn.Sequential(nn.Conv2d(2, 1, 7, padding=3), nn.Sigmoid())
        self.semantic = nn.Sequential(
            nn.Conv2d(classes, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
        )
        self.shallow = nn.Conv2d(3, width, 3, padding=1)
        self.residual = nn.Sequential(*(ResidualBlock(width) for _ in range(blocks)))
        self.last = nn.Conv2d(2 * width, 3, 3, padding=1)
        for parameter in (*self.weights.parameters(), *self.last.parameters()):
            nn.init.zeros_(parameter)
        self.reach = max(3, 1 + 2 * blocks) + 1
        """Rows above and below that a row of the output depends on."""

    def forward(self, x_hat: Tensor, s: Tensor) -> Tensor:
        """``(N, 3, H, W)`` of ``x_hat`` of that shape, in [0, 1], and logits ``(N, C, H, W)``."""
        return x_hat + self.added(x_hat, s)

    def added(self, x_hat: Tensor, s: Tensor) -> Tensor:
        """What is added to ``x_hat``."""
        s = s / _LOGITS
        pooled = torch.cat([s.amax(1, keepdim=True), s.mean(1, keepdim=True)], 1)
        s_e = self.semantic(s) * self.weights(pooled)
        x_r = self.residual(self.shallow(x_hat))
        out: Tensor = self.last(torch.cat([s_e, x_r], 1))
        return out
