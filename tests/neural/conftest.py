"""The models and pictures of codec_examples, as fixtures."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from codec_examples import make_network, make_texture

from ratewise.images import Image
from ratewise.neural.coder import NeuralCoder
from ratewise.neural.models import CompressionModel, Kind
from ratewise.neural.weights import PackedModel, pack


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
