"""Small models whose symbols are worth coding, and small pictures."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from ratewise.images import Image
from ratewise.neural.coder import NeuralCoder
from ratewise.neural.models import Architecture, CompressionModel, Kind
from ratewise.neural.weights import PackedModel, pack


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


@pytest.fixture(scope="session")
def texture() -> Callable[[int, int, int], Image]:
    """Smooth random pictures of (seed, height, width)."""
    return make_texture


@pytest.fixture(scope="session")
def network() -> Callable[[Kind, int, int], CompressionModel]:
    """Untrained models of (kind, N, M) whose symbols are worth coding."""
    return make_network


@pytest.fixture(scope="session")
def packed() -> Callable[[Kind], PackedModel]:
    """A packed model of a kind, N = 8 and M = 12."""
    made: dict[str, PackedModel] = {}

    def of_kind(kind: Kind) -> PackedModel:
        if kind not in made:
            made[kind] = pack(
                make_network(kind, 8, 12), [make_texture(i, 64, 96) for i in range(4)]
            )
        return made[kind]

    return of_kind


@pytest.fixture(scope="session")
def coder(packed: Callable[[Kind], PackedModel]) -> NeuralCoder:
    """A coder of the mean-scale hyperprior."""
    return NeuralCoder(packed("msh"), device="cpu", precision="fp32")
