"""The float twin of a packed codec says what its integers say."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
import torch

from ratewise.errors import InputError
from ratewise.images import Image
from ratewise.neural.adaptation.unpacking import unpacked
from ratewise.neural.cost import integer_cost
from ratewise.neural.integer import LARGEST_SCALE, HyperSynthesis
from ratewise.neural.loading import packaged
from ratewise.neural.models import CompressionModel, Kind
from ratewise.neural.tables import MEAN_UNIT, SCALE_UNIT
from ratewise.neural.weights import PackedModel, load, pack


def _both(packed: PackedModel, z: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """(integers as floats, twin) of scales and of means, ``(n, M, h, w)``; ``z`` are symbols."""
    scales, means = HyperSynthesis(packed.layers)(z.permute(0, 2, 3, 1), means=True)
    assert means is not None
    medians = torch.from_numpy(packed.medians)[:, None, None] / MEAN_UNIT
    with torch.inference_mode():
        twin_scales, twin_means = unpacked(packed).scales_and_means(z.float() + medians)
    assert twin_means is not None
    return [
        (scales.permute(0, 3, 1, 2) / SCALE_UNIT, twin_scales.clamp(0, LARGEST_SCALE / SCALE_UNIT)),
        (means.permute(0, 3, 1, 2) / MEAN_UNIT, twin_means),
    ]


def test_the_twin_gives_the_scales_and_means_of_the_integers(
    packed: Callable[[Kind], PackedModel],
) -> None:
    model = packed("msh")
    assert abs(model.medians).max() > 100  # what z counts from shows
    z = torch.randint(-1, 2, (2, 8, 3, 5), generator=torch.Generator().manual_seed(0))
    for integers, twin in _both(model, z):
        # Inner activations are rounded to a step of 1 / 4064 of three times their range
        assert float((integers - twin).abs().max()) < 4e-3 * float(twin.abs().max())
        edge = torch.ones_like(twin, dtype=torch.bool)
        edge[..., 4:-4, 4:-4] = False
        assert float((integers - twin)[edge].abs().mean()) < 5e-4 * float(twin.abs().max())


def test_the_twin_is_the_network_that_was_packed(
    network: Callable[..., CompressionModel], packed: Callable[[Kind], PackedModel]
) -> None:
    z_hat = torch.randint(-2, 3, (2, 8, 3, 5), generator=torch.Generator().manual_seed(0)).float()
    with torch.inference_mode():
        trained = network("msh", 8, 12).scales_and_means(z_hat)
        twin = unpacked(packed("msh")).scales_and_means(z_hat)
    for before, after in zip(trained, twin, strict=True):
        assert before is not None
        assert after is not None
        # Weights were rounded to 1 / 4064 of the largest of their row
        assert float((before - after).abs().max()) < 1e-3 * float(before.abs().max())


def test_the_packaged_codecs_twin_codes_a_picture_in_as_many_bits(
    texture: Callable[..., Image],
) -> None:
    model = load(packaged(3))
    assert abs(integer_cost(unpacked(model), model, [texture(5, 128, 192)])) < 0.001


def test_all_that_is_not_integer_is_as_the_codec_has_it(
    network: Callable[..., CompressionModel], packed: Callable[[Kind], PackedModel]
) -> None:
    trained, twin = network("msh", 8, 12), unpacked(packed("msh"))
    for key, value in trained.state_dict().items():
        if not key.startswith("h_s"):
            assert torch.equal(twin.state_dict()[key], value), key
    assert all(parameter.requires_grad for parameter in twin.parameters())


def test_packing_the_twin_again_codes_like_the_packed_codec(
    packed: Callable[[Kind], PackedModel], texture: Callable[..., Image]
) -> None:
    model = packed("msh")
    again = pack(unpacked(model), [texture(i, 64, 96) for i in range(4)])
    assert (again.medians == model.medians).all()
    assert (again.prior.frequencies == model.prior.frequencies).all()
    z = torch.randint(-1, 2, (1, 8, 3, 5), generator=torch.Generator().manual_seed(1))
    one, two = (HyperSynthesis(m.layers)(z.permute(0, 2, 3, 1), means=True) for m in (model, again))
    for before, after in zip(one, two, strict=True):
        assert before is not None
        assert after is not None
        assert int((before - after).abs().max()) < 8e-3 * int(before.abs().max())


def test_codecs_that_cannot_be_adapted_are_refused(packed: Callable[[Kind], PackedModel]) -> None:
    with pytest.raises(InputError, match="kind hyperprior cannot be adapted: only msh can"):
        unpacked(packed("hyperprior"))
    with pytest.raises(InputError, match="lacks the density"):
        unpacked(dataclasses.replace(packed("msh"), density={}))
