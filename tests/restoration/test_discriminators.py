"""The conditional discriminators."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from ratewise.errors import InputError
from ratewise.restoration.discriminators import Discriminators, check_patch
from ratewise.restoration.presets import PRESETS
from ratewise.restoration.settings import DiscriminatorSettings, RestorerSettings


def test_each_scale_sees_a_quarter_and_gives_all_its_layers() -> None:
    model = Discriminators(DiscriminatorSettings(width=4))
    full, quarter = model(torch.rand(2, 3, 256, 256), torch.rand(2, 3, 256, 256))
    assert [tuple(f.shape) for f in full.features] == [
        (2, 4, 128, 128),
        (2, 8, 64, 64),
        (2, 16, 32, 32),
        (2, 32, 16, 16),
    ]
    assert full.logits.shape == (2, 1, 16, 16)
    assert quarter.logits.shape == (2, 1, 4, 4)


def test_the_common_implementation_is_a_setting() -> None:
    model = Discriminators(DiscriminatorSettings(count=1, width=2, last_stride=1, output_kernel=4))
    (judgement,) = model(torch.rand(1, 3, 64, 64), torch.rand(1, 3, 64, 64))
    assert judgement.features[-1].shape == (1, 16, 7, 7)
    assert judgement.logits.shape == (1, 1, 6, 6)


def test_a_scale_is_the_layers_of_the_paper() -> None:
    """The first one spelled out: instance norm except on the first, LeakyReLU 0.2."""
    torch.manual_seed(0)
    model = Discriminators(DiscriminatorSettings(count=1, width=2, layers=2))
    condition, image = torch.rand(1, 3, 16, 16), torch.rand(1, 3, 16, 16)
    state = model.state_dict()
    x = torch.cat([condition, image], 1)
    first, bias, second, last, end = (
        value for key, value in state.items() if key.startswith("scales.0")
    )
    x = F.leaky_relu(F.conv2d(x, first, bias, stride=2, padding=1), 0.2)
    x = F.leaky_relu(F.instance_norm(F.conv2d(x, second, stride=2, padding=1)), 0.2)
    (judgement,) = model(condition, image)
    torch.testing.assert_close(judgement.features[1], x)
    torch.testing.assert_close(judgement.logits, F.conv2d(x, last, end))


def test_what_it_says_depends_on_the_compressed_image() -> None:
    model = Discriminators(DiscriminatorSettings(count=1, width=4, layers=3))
    image = torch.rand(1, 3, 32, 32)
    one, other = model(torch.zeros_like(image), image), model(torch.rand_like(image), image)
    assert not torch.equal(one[0].logits, other[0].logits)


def test_a_patch_too_small_for_a_scale_is_named() -> None:
    settings = DiscriminatorSettings(width=2)
    with pytest.raises(InputError, match=r"patch = 96 .* discriminator 2 of 2.* layers = 4"):
        check_patch(settings, 96)
    with pytest.raises(InputError, match="patch = 90 "):
        Discriminators(settings)(torch.rand(1, 3, 90, 200), torch.rand(1, 3, 90, 200))
    check_patch(settings, None)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [1, 4])
@pytest.mark.parametrize("layers", [1, 3])
def test_the_smallest_patch_allowed_runs(stride: int, kernel: int, layers: int) -> None:
    settings = DiscriminatorSettings.model_validate(
        {"width": 1, "layers": layers, "last_stride": stride, "output_kernel": kernel}
    )
    side = next(side for side in range(1, 999) if _allowed(settings, side))
    judgements = Discriminators(settings)(
        torch.rand(1, 3, side, side), torch.rand(1, 3, side, side)
    )
    for judgement in judgements:
        assert judgement.logits.numel() > 0
        assert all(f.abs().max() > 0 for f in judgement.features)


def _allowed(settings: DiscriminatorSettings, side: int) -> bool:
    try:
        check_patch(settings, side)
    except InputError:
        return False
    return True


@pytest.mark.parametrize("preset", PRESETS)
def test_the_presets_patches_are_large_enough(preset: str) -> None:
    settings = RestorerSettings.model_validate(preset)
    if settings.discriminators is not None:
        check_patch(settings.discriminators, settings.patch)


def test_spectral_norm_bounds_the_weights_and_trains_in_bf16() -> None:
    settings = DiscriminatorSettings(count=1, width=4, layers=2, spectral_norm=True)
    model = Discriminators(settings)
    with torch.autocast("cpu", torch.bfloat16):
        for _ in range(20):
            (judgement,) = model(torch.rand(2, 3, 16, 16), torch.rand(2, 3, 16, 16))
    judgement.logits.float().mean().backward()
    assert all(p.grad is not None for p in model.parameters())
    weight = model.scales[0].layers[0][0].weight.detach()  # type: ignore[index, union-attr]
    assert torch.linalg.matrix_norm(weight.flatten(1), 2) == pytest.approx(1, abs=0.1)
