"""FineNet and the residual dense network."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ratewise.restoration.generators import (
    FineNet,
    Rdn,
    ReflectionConv2d,
    build_generator,
    pad_to_multiple,
)
from ratewise.restoration.norms import InstanceNorm, Moments, instance_norms
from ratewise.restoration.settings import FineNetSettings, RdnSettings, RestorerSettings

_SMALL = FineNetSettings(width=4, blocks=1)
_FINENETS = [
    _SMALL,
    FineNetSettings(width=4, blocks=1, upsampling="resize", output_norm=False),
    FineNetSettings(width=4, blocks=1, downsamplings=1, padding="zeros", norm="none"),
]
_RDN = RdnSettings(width=4, blocks=2, layers=2, growth=3)


def _images(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize("settings", [*_FINENETS, _RDN])
@pytest.mark.parametrize("size", [(1, 1), (2, 9), (17, 8), (33, 31)])
def test_any_size_comes_back_in_its_own(settings: object, size: tuple[int, int]) -> None:
    x = _images(2, 3, *size)
    y = build_generator(settings)(x)  # type: ignore[arg-type]
    assert y.shape == x.shape
    assert y.isfinite().all()


def test_the_papers_generator_has_45_6_million_parameters() -> None:
    with torch.device("meta"):
        count = sum(p.numel() for p in FineNet(RestorerSettings().generator).parameters())
    assert round(count / 1e6, 1) == 45.6


@pytest.mark.parametrize("settings", [*_FINENETS, _RDN])
def test_gradients_reach_every_parameter(settings: object) -> None:
    torch.manual_seed(0)
    model = build_generator(settings)  # type: ignore[arg-type]
    model(_images(2, 3, 24, 24)).square().mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("settings", [_FINENETS[1], _FINENETS[2].model_copy(), _RDN])
def test_without_an_output_norm_training_starts_near_the_compressed_image(
    settings: object,
) -> None:
    if isinstance(settings, FineNetSettings):
        settings = settings.model_copy(update={"output_norm": False})
    torch.manual_seed(0)
    x = _images(1, 3, 32, 32)
    with torch.no_grad():
        residual = build_generator(settings)(x) - x  # type: ignore[arg-type]
    assert 0 < residual.abs().mean() < 2 / 255


def test_the_residual_of_a_network_is_its_layers_output_on_the_padded_image() -> None:
    model = FineNet(_SMALL)
    x = _images(1, 3, 19, 30)
    padded = F.pad(x, (0, 2, 0, 5), mode="reflect")  # to 32 and 24, multiples of 8
    torch.testing.assert_close(model(x), x + model.layers(padded)[..., :19, :30])


def test_sides_too_short_to_reflect_are_padded_by_repetition() -> None:
    padded = pad_to_multiple(torch.tensor([[[[1.0, 2.0, 3.0]]]]), 4)
    assert padded.shape == (1, 1, 8, 8)
    assert padded[0, 0, 7].tolist() == [1, 2, 3, 3, 3, 3, 3, 3]


def test_a_reflecting_convolution_is_torchs_and_pads_in_the_autocast_type() -> None:
    own = ReflectionConv2d(2, 3, 7, bias=True)
    theirs = nn.Conv2d(2, 3, 7, padding=3, padding_mode="reflect")
    theirs.load_state_dict(own.state_dict())
    x = _images(1, 2, 9, 10)
    torch.testing.assert_close(own(x), theirs(x))


@pytest.mark.parametrize("batch", [1, 3])
def test_the_norm_is_torchs_instance_norm_forwards_and_backwards(batch: int) -> None:
    x = (_images(batch, 5, 6, 7) * 3 + 1).requires_grad_()
    y = x.detach().clone().requires_grad_()
    weights = _images(batch, 5, 6, 7).flip(-1)
    ours, theirs = InstanceNorm()(x), nn.InstanceNorm2d(5)(y)
    torch.testing.assert_close(ours, theirs)
    (ours * weights).sum().backward()
    (theirs * weights).sum().backward()
    torch.testing.assert_close(x.grad, y.grad)


def test_a_norm_in_tiles_with_the_whole_pictures_moments_is_the_norm_of_the_whole() -> None:
    x = _images(1, 4, 10, 12) * 5 + 2
    norm, moments = InstanceNorm(), Moments()
    whole = norm(x)
    norm.observe = moments.add
    norm(x[..., :5]), norm(x[..., 5:])
    norm.observe, norm.fixed = None, moments.statistics()
    tiles = torch.cat([norm(x[..., :5]), norm(x[..., 5:])], -1)
    torch.testing.assert_close(tiles, whole)
    assert norm.state_dict() == {}


def test_norms_are_listed_in_the_order_they_run_in() -> None:
    model = FineNet(_SMALL)
    order: list[int] = []
    norms = instance_norms(model)
    for number, norm in enumerate(norms):
        norm.observe = lambda _, number=number: order.append(number)  # type: ignore[misc]
    model(_images(1, 3, 16, 16))
    assert order == list(range(len(norms)))
    assert len(norms) == 1 + 3 + 2 + 3 + 1


def test_bf16_restores_like_fp32() -> None:
    torch.manual_seed(0)
    model = build_generator(_FINENETS[1])
    x = _images(1, 3, 32, 32)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        close = model(x)
    torch.testing.assert_close(close.float(), model(x), atol=2e-3, rtol=0)


def test_an_rdn_feeds_each_layer_all_that_came_before() -> None:
    model = Rdn(_RDN)
    shapes = [tuple(layer.weight.shape[:2]) for layer in model.blocks[0].layers]  # type: ignore[union-attr]
    assert shapes == [(3, 4), (3, 7)]
    assert tuple(model.fusion[0].weight.shape) == (4, 8, 1, 1)
