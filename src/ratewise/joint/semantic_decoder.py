"""The semantic decoder: from the latent ŝ to the segmentation map."""

from __future__ import annotations

from torch import Tensor, nn

from ratewise.neural.layers import up
from ratewise.tasks.erfnet import NonBottleneck1d, Upsampler


class SemanticSynthesis(nn.Module):
    """Logits ``(N, classes, H, W)`` of ŝ ``(N, K, H/16, W/16)``.

    Transposed convolutions and non-bottleneck-1D layers (Chen et al. 2021, section 3.2). Sizes are
    ours: ERFNet's decoder at S, S/2 and S/8 maps, behind one step more, as ŝ is half of the
    resolution of ERFNet's deepest features.
    """

    def __init__(self, K: int, S: int, classes: int) -> None:
        super().__init__()
        half, eighth = S // 2, S // 8
        self.layers = nn.Sequential(
            Upsampler(K, S),
            NonBottleneck1d(S),
            NonBottleneck1d(S),
            Upsampler(S, half),
            NonBottleneck1d(half),
            NonBottleneck1d(half),
            Upsampler(half, eighth),
            NonBottleneck1d(eighth),
            NonBottleneck1d(eighth),
            up(eighth, classes, kernel=3),
        )

    def forward(self, s_hat: Tensor) -> Tensor:
        """The segmentation map, as logits."""
        logits: Tensor = self.layers(s_hat)
        return logits
