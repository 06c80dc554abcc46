"""The semantic half of the encoder: from the base network's features to the latent s.

::

    y ── W1 (up) ── HFFB 3 ── HFFB 2 ── HFFB 1 ── non-bt-1D, dilated 2, 4, 8, 16 ── down ── s
                      │         │         │
    base network:    f_x^3     f_x^2     f_x^1

(Chen et al. 2021, section 3.1, eq. 1 and Fig. 2.) The paper's text gives neither the resolution at
which features are fused nor any width. Ours: everything is fused at an eighth of the image's sides,
where ERFNet has its deepest features too, and s has a position for 16x16 pixels, as y has, so that
both are coded alike. Behind the blocks follow the dilated layers of ERFNet's encoder.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from ratewise.neural.layers import Gdn, down, up
from ratewise.tasks.erfnet import NonBottleneck1d

DILATIONS = (2, 4, 8, 16)

_DEPTHS = (3, 2, 1)
"""Layers of the base network, in the order in which they are fused: i = n - 1, ..., 1 of eq. 1."""


class FeatureFusion(nn.Module):
    """A hierarchical feature fusion block (HFFB): ``non-bt-1D(W f + D(IGDN(f_x)))``.

    ``f`` is ``(N, S, H/8, W/8)``. ``f_x`` is what the base network has behind the GDN of layer
    ``depth``, ``(N, width, H / 2**depth, W / 2**depth)``: inverse GDN (of weights of its own)
    takes it back to the domain of pixels, and the convolution D (strided where f_x is larger than
    f) to f's shape.
    """

    def __init__(self, width: int, S: int, depth: int) -> None:
        super().__init__()
        stride = 2 ** (3 - depth)
        self.inverse = Gdn(width, inverse=True)
        self.adapt = down(width, S, kernel=2 * (stride // 2) + 1, stride=stride)
        self.weight = nn.Conv2d(S, S, 3, padding=1)
        self.block = NonBottleneck1d(S)

    def forward(self, f: Tensor, f_x: Tensor) -> Tensor:
        """The fused features, of the shape of ``f``."""
        fused: Tensor = self.block(self.weight(f) + self.adapt(self.inverse(f_x)))
        return fused


class SemanticAnalysis(nn.Module):
    """From the base network's features to s ``(N, K, H/16, W/16)``.

    Without ``aggregation`` s is made of y alone, by as many non-bottleneck layers. That is our
    baseline; the paper's is "the original architecture of ERFNet" in the semantic branch.
    """

    def __init__(self, N: int, M: int, S: int, K: int, *, aggregation: bool) -> None:
        super().__init__()
        self.enter = up(M, S, kernel=3)
        self.fusions = nn.ModuleList(
            FeatureFusion(N, S, depth) if aggregation else NonBottleneck1d(S) for depth in _DEPTHS
        )
        self.context = nn.Sequential(*(NonBottleneck1d(S, dilation=d) for d in DILATIONS))
        self.leave = down(S, K, kernel=3)

    def forward(self, features: Sequence[Tensor], y: Tensor) -> Tensor:
        """s of ``y`` ``(N, M, H/16, W/16)`` and the ``features`` behind the three GDN layers."""
        f = self.enter(y)
        for depth, fusion in zip(_DEPTHS, self.fusions, strict=True):
            f = fusion(f, features[depth - 1]) if isinstance(fusion, FeatureFusion) else fusion(f)
        s: Tensor = self.leave(self.context(f))
        return s
