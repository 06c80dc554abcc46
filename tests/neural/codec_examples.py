"""Small models whose symbols are worth coding, and small pictures."""

from __future__ import annotations

import numpy as np
import torch

from ratewise.images import Image
from ratewise.neural.models import Architecture, CompressionModel, Kind


def make_texture(seed: int, height: int, width: int) -> Image:
    """A smooth random picture: noise in 3 octaves."""
    rng = np.random.default_rng(seed)
    total = np.zeros((height, width, 3))
    for octave in (4, 8, 16):
        small = rng.normal(size=(height // octave + 2, width // octave + 2, 3))
        ys, xs = np.arange(height) / octave, np.arange(width) / octave
        y, x = ys.astype(int), xs.astype(int)
        v, u = (ys - y)[:, None, None], (xs - x)[None, :, None]
        top = small[y][:, x] * (1 - u) + small[y][:, x + 1] * u
        bottom = small[y + 1][:, x] * (1 - u) + small[y + 1][:, x + 1] * u
        total += octave * (top * (1 - v) + bottom * v)
    return np.clip(128 + 5 * total, 0, 255).astype(np.uint8)


def make_network(kind: Kind, N: int, M: int, seed: int = 0) -> CompressionModel:
    """Seeded weights, scaled so that more than a tenth of the symbols are not 0."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = Architecture(kind, N, M).build().eval()
        with torch.no_grad():
            for name, value in model.named_parameters():
                if name.endswith("weight"):
                    value *= {"g_a": 2.5, "h_a": 4.0, "h_s": 3.0, "g_s": 1.5}[name[:3]]
            model.prior.quantiles[:, 0, 1] = torch.rand(model.prior.width) - 0.5
            if model.h_s is not None:
                # Scales spread over the tables: some near the least, some far above
                last = model.h_s[4].bias
                assert isinstance(last, torch.Tensor)
                last[:M] = torch.linspace(-0.1, 1.5, M)
    return model
