"""Custom filters beside a source: zero at the start, learned alone, counted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from adaptation_examples import LAMBDA, Drawn, pictures, small_source
from torch import Tensor

from ratewise.neural.adaptation.custom import (
    NEAR_THE_PICTURE,
    Form,
    Layout,
    custom_masks,
    layout_for,
    learn_only,
    size,
    widened,
)
from ratewise.neural.adaptation.objective import AdaptationObjective, coded_exactly
from ratewise.neural.adaptation.unpacking import unpacked
from ratewise.neural.models import Architecture, CompressionModel, Custom
from ratewise.neural.training.patches import PatchSource, to_tensor
from ratewise.neural.weights import PackedModel
from ratewise.training.loop import fit
from ratewise.training.settings import OptimiserSettings, TrainingSettings

N, M = 8, 12
MAPS = Custom(3, 2)
BESIDE = ("g_s.6", "g_a.0", "g_a.1", "g_s.2", "g_s.3")
LAYOUT = Layout(MAPS, BESIDE)


@pytest.fixture(scope="module")
def source() -> PackedModel:
    return small_source()


def _seeded(model: CompressionModel, layout: Layout = LAYOUT) -> CompressionModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return widened(model, layout)


@pytest.mark.parametrize("kernel", [3, 5])
def test_a_widened_network_computes_what_its_source_does(source: PackedModel, kernel: int) -> None:
    narrow = unpacked(source)
    wide = _seeded(narrow, Layout(MAPS, BESIDE, kernel=kernel))
    x = torch.stack([to_tensor(image) for image in pictures(2, height=64, width=128)])
    with torch.inference_mode():
        for before, after in zip(_latents(narrow, x), _latents(wide, x), strict=True):
            assert torch.allclose(before, after, rtol=1e-5, atol=1e-5)
        # Not because custom maps were silent: they are there, and nobody listens
        assert float(wide.g_a[:2](x)[:, N:].abs().mean()) > 1e-3
        one, two = (coded_exactly(model, x) for model in (narrow, wide))
    assert torch.allclose(one["x_hat"], two["x_hat"], atol=1e-5)
    for latent, likelihood in one["likelihoods"].items():
        assert torch.allclose(likelihood, two["likelihoods"][latent], atol=1e-4)


def _latents(model: CompressionModel, x: Tensor) -> list[Tensor]:
    assert model.h_a is not None
    assert model.h_s is not None
    y = model.g_a(x)
    z = model.h_a(y)
    return [y, z, model.h_s(torch.round(z)), model.g_s(torch.round(y))]


def _train(wide: CompressionModel, folder: Path, ema: float | None = None) -> None:
    learn_only(wide, custom_masks(wide, LAYOUT))
    photographs = Drawn(4)
    patches = PatchSource(photographs, [0, 1, 2, 3], 64, (1.0, 1.0))
    adam = OptimiserSettings(kind="adam", lr=1e-2)
    objective = AdaptationObjective(wide, LAMBDA, "mse", adam, [photographs.load(0)])
    settings = TrainingSettings(
        steps=5, batch_size=2, clip_norm=1.0, ema=ema, device="cpu", precision="fp32"
    )
    fit(objective, patches, settings, folder, quiet=True)


@pytest.mark.parametrize("ema", [None, 0.9])
def test_training_moves_custom_numbers_and_no_other(
    source: PackedModel, tmp_path: Path, ema: float | None
) -> None:
    narrow = unpacked(source)
    wide = _seeded(narrow)
    before = {key: value.detach().clone() for key, value in wide.state_dict().items()}
    _train(wide, tmp_path, ema)
    masks = custom_masks(wide, LAYOUT)
    for name, parameter in wide.named_parameters():
        mask, now = masks[name], parameter.detach().cpu()
        assert torch.equal(now[~mask], before[name][~mask]), name
        if name.split(".")[0] != "prior":
            layer, _, kind = name.rpartition(".")
            inside = now[tuple(slice(0, side) for side in _shape(narrow, name))]
            if kind != "bias":  # beside the source's filters of a layer of BESIDE others have grown
                same = torch.equal(inside, narrow.get_parameter(name))
                assert same == (layer not in BESIDE), name
    learned = [name for name, mask in masks.items() if mask.any()]
    still = [n for n in learned if torch.equal(wide.get_parameter(n).cpu(), before[n])]
    # Inside h_s, and behind custom maps, all had a gradient after a step or two
    assert still == []


def _shape(model: CompressionModel, name: str) -> torch.Size:
    return model.get_parameter(name).shape


def test_source_numbers_get_no_gradient(source: PackedModel) -> None:
    wide = _seeded(unpacked(source))
    masks = custom_masks(wide, LAYOUT)
    learn_only(wide, masks)
    x = to_tensor(Drawn(1).load(0))[None, :, :64, :64]
    coded = wide(x)
    (coded["x_hat"].sum() + sum(v.log().sum() for v in coded["likelihoods"].values())).backward()
    for name, parameter in wide.named_parameters():
        assert (parameter.grad is not None) == bool(masks[name].any()), name
        if parameter.grad is not None:
            assert not parameter.grad[~masks[name]].any(), name
            assert torch.isfinite(parameter.grad).all()
    assert not wide.prior.quantiles.requires_grad


def test_the_two_normalise_apart_and_filters_keep_their_rim_of_zeros(
    source: PackedModel, tmp_path: Path
) -> None:
    wide = _seeded(unpacked(source))
    _assert_apart(wide)
    _train(wide, tmp_path)
    _assert_apart(wide)


def _assert_apart(wide: CompressionModel) -> None:
    rims = 0
    for name, parameter in wide.named_parameters():
        if name.endswith("gamma"):
            assert not parameter[:N, N:].any(), name
            assert not parameter[N:, :N].any(), name
            assert parameter[N:, N:].any(), name
        if parameter.ndim == 4 and parameter.shape[-1] == 5:
            custom = custom_masks(wide, Layout(MAPS, kernel=5))[name]
            rim = torch.ones(5, 5, dtype=torch.bool)
            rim[1:4, 1:4] = False
            assert not parameter[custom & rim].any(), name
            rims += int((custom & rim).sum())
    assert rims > 1000


def test_custom_numbers_are_counted_as_by_hand() -> None:
    wide = CompressionModel(Architecture("msh", N, M), MAPS)

    def layer(inputs: int, outputs: int, taps: int, new_in: int, new_out: int) -> int:
        # What is more in a wider layer, and all the biases
        more = (inputs + new_in) * (outputs + new_out) - inputs * outputs
        return more * taps + outputs + new_out

    gdn = MAPS.image**2 + MAPS.image
    half = M * 3 // 2
    by_hand = {
        3: {
            "g_a": layer(3, N, 9, 0, 3) + 2 * layer(N, N, 9, 3, 3) + layer(N, M, 9, 3, 0) + 3 * gdn,
            "g_s": layer(M, N, 9, 0, 3) + 2 * layer(N, N, 9, 3, 3) + layer(N, 3, 9, 3, 0) + 3 * gdn,
            "h_a": layer(M, N, 9, 0, 2) + layer(N, N, 9, 2, 2) + layer(N, N, 9, 2, 0),
            "h_s": layer(N, M, 9, 0, 2) + layer(M, half, 9, 2, 2) + layer(half, 2 * M, 9, 2, 0),
        },
        5: {"h_a": layer(M, N, 9, 0, 2) + layer(N, N, 25, 2, 2) + layer(N, N, 25, 2, 0)},
    }
    density = N * (3 + 9 + 9 + 9 + 3 + (3 + 3 + 3 + 3 + 1) + 4 * 3)
    for kernel, parts in by_hand.items():
        masks = custom_masks(wide, Layout(MAPS, kernel=kernel))
        for part, wanted in parts.items():
            own = sum(int(m.sum()) for name, m in masks.items() if name.split(".")[0] == part)
            assert own == wanted, (kernel, part)
    small = wide.architecture
    maps = size(small, Layout(MAPS))
    assert maps == sum(by_hand[3].values()) + density
    frozen = size(small, Layout(MAPS), prior=False)
    assert frozen == sum(by_hand[3].values()) - by_hand[3]["h_s"]
    # Beside their own: g_s.6 and g_a.0, the GDNs g_a.1 and g_s.3, and g_s.2
    assert size(small, LAYOUT) == maps + 2 * 3 * N * 9 + 2 * (N * N + N) + N * N * 9
    # Three filters over each input, and what mixes them into the outputs
    inputs, outputs = (3 + N + N + N) * 25, N + N + N + M
    assert size(small, Layout(MAPS, mixed=("g_a",), rank=3)) == maps + 3 * (inputs + outputs)


@pytest.mark.parametrize("prior", [True, False])
@pytest.mark.parametrize("form", ["filters", "maps"])
@pytest.mark.parametrize("share", [0.005, 0.02, 0.08, 0.3])
def test_the_layout_is_the_largest_that_keeps_to_the_share(
    share: float, form: Form, prior: bool
) -> None:
    architecture = Architecture("msh", 64, 96)  # the packaged codecs'
    total = sum(p.numel() for p in CompressionModel(architecture).parameters())
    assert total == 1764499
    layout = layout_for(architecture, share, form=form, prior=prior)
    maps, rank = layout.maps, layout.rank
    if form == "maps" or share < 0.08:
        assert layout == Layout(Custom(maps.image, maps.image // 5))
        more = Layout(Custom(maps.image + 1, (maps.image + 1) // 5))
    else:
        assert layout == Layout(Custom(0, maps.hyper), NEAR_THE_PICTURE, ("g_a",), rank)
        assert maps.hyper <= rank <= maps.hyper + 1
        if rank > maps.hyper:
            more = replace(layout, maps=Custom(0, maps.hyper + 1))
        else:
            more = replace(layout, rank=rank + 1)
    held, too_many = (size(architecture, one, prior=prior) for one in (layout, more))
    assert held <= share * total < too_many
