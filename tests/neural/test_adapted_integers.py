"""The integer h_s with custom filters: the source's integers where these are 0, exact where not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from adaptation_examples import (
    layout,
    moved,
    pictures,
    random_cawf,
    small_source,
    stored,
    with_tensors,
)
from test_integer import _written_out
from torch import Tensor

from ratewise.errors import InputError
from ratewise.neural import integer
from ratewise.neural.adaptation.adaptation import Adaptation
from ratewise.neural.adaptation.custom import widened
from ratewise.neural.adaptation.integers import with_custom
from ratewise.neural.adaptation.unpacking import unpacked
from ratewise.neural.cost import integer_cost
from ratewise.neural.integer import LARGEST, HyperSynthesis
from ratewise.neural.loading import packaged
from ratewise.neural.tables import MEAN_UNIT, SCALE_UNIT
from ratewise.neural.weights import PackedModel, calibration_symbols, load


@pytest.fixture(scope="module")
def source() -> PackedModel:
    return small_source()


@pytest.fixture(scope="module")
def adapted(source: PackedModel) -> PackedModel:
    return random_cawf(source, width=3).applied(source)


def _symbols(seed: int = 0, height: int = 3, width: int = 5, count: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-3, 4, (count, height, width, 8), generator=generator)


def _said(model: PackedModel, z: Tensor) -> tuple[Tensor, Tensor]:
    scales, means = HyperSynthesis(model.layers)(z, means=True)
    assert means is not None
    return scales, means


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("width", [0, 3])
def test_custom_filters_of_zero_leave_the_sources_integers(
    source: PackedModel, width: int, kernel: int
) -> None:
    own = layout(width, kernel)
    untrained = stored(source, widened(unpacked(source), own), own)
    adapted = untrained.applied(source)
    assert adapted.layers[0].weight.shape[0] == source.layers[0].weight.shape[0] + width
    if width:
        assert untrained.tensors["h_s.0.rows"].any()  # custom maps are there, and nobody listens
    for before, after in zip(_said(source, _symbols()), _said(adapted, _symbols()), strict=True):
        assert torch.equal(before, after)


@pytest.mark.parametrize("kernel", [3, 5])
def test_trained_integers_say_what_the_wide_floats_say(source: PackedModel, kernel: int) -> None:
    own = layout(3, kernel)
    wide = moved(source, own)
    adapted = stored(source, wide, own, calibration=pictures(4)).applied(source)
    # What was calibrated on, for other symbols may reach further than activations do
    z = torch.cat(calibration_symbols(source, pictures(4))).permute(0, 2, 3, 1)
    assert float((z != 0).float().mean()) > 0.1
    medians = torch.from_numpy(source.medians)[:, None, None] / MEAN_UNIT
    with torch.inference_mode():
        scales, means = wide.scales_and_means(z.permute(0, 3, 1, 2) + medians)
        unmoved, _ = unpacked(source).scales_and_means(z.permute(0, 3, 1, 2) + medians)
    assert means is not None
    got, got_means = (x.permute(0, 3, 1, 2) for x in _said(adapted, z))
    moved_by = float((scales - unmoved).abs().mean())
    difference = (got / SCALE_UNIT - scales.clamp(min=0)).abs()
    assert moved_by > 20 * float(difference.mean())
    assert float(difference.max()) < 6e-3 * float(scales.abs().max())
    difference = (got_means / MEAN_UNIT - means).abs()
    assert float(difference.max()) < 6e-3 * float(means.abs().max())


def test_custom_integers_cost_the_packaged_codec_less_than_a_thousandth_of_the_rate() -> None:
    source = load(packaged(3))
    own = layout(2)
    wide = moved(source, own, strength=0.005)
    (image,) = pictures(1, 5, 128, 192)
    adapted = stored(source, wide, own, calibration=[image]).applied(source)
    assert abs(integer_cost(wide, adapted, [image])) < 0.001


def test_adapted_layers_are_the_specified_arithmetic(adapted: PackedModel) -> None:
    z = _symbols(count=1)
    x = np.concatenate([z[0].numpy() * 32, np.full((3, 5, 1), 2048)], axis=-1).astype(np.int64)
    for layer in adapted.layers[:-1]:
        x = np.clip(_written_out(layer, x), -LARGEST, LARGEST)
    out = np.clip(_written_out(adapted.layers[-1], x), -(1 << 23), 1 << 23)
    scales, means = _said(adapted, z)
    np.testing.assert_array_equal(scales[0].numpy(), np.clip(out[..., :12], 0, 2**18 - 1))
    np.testing.assert_array_equal(means[0].numpy(), out[..., 12:])


def test_batch_threads_and_kind_of_product_change_nothing(
    adapted: PackedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    z = _symbols(1, 5, 4, 3)
    together = _said(adapted, z)  # with int8 products, where this CPU has them
    monkeypatch.setattr(integer, "fast_int8", lambda: False)
    threads, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
    try:
        torch.set_num_threads(2)
        torch.set_float32_matmul_precision("medium")
        with torch.autocast("cpu", dtype=torch.bfloat16):
            single = [_said(adapted, z[i : i + 1]) for i in range(3)]
    finally:
        torch.set_num_threads(threads)
        torch.set_float32_matmul_precision(precision)
    for number, whole in enumerate(together):
        assert torch.equal(whole, torch.cat([one[number] for one in single]))


def test_applying_leaves_the_source_as_it_was(source: PackedModel) -> None:
    before = {key: value.clone() for key, value in source.tensors().items()}
    random_cawf(source).applied(source)
    assert all(torch.equal(value, before[key]) for key, value in source.tensors().items())


def _parts(adaptation: Adaptation) -> dict[str, Tensor]:
    return {k: v for k, v in adaptation.tensors.items() if k.startswith("h_s.")}


def test_parts_that_do_not_fit_are_refused(source: PackedModel) -> None:
    good = random_cawf(source, width=2)
    parts = _parts(good)
    lacking = {key: value for key, value in parts.items() if key != "h_s.1.row_bias"}
    with pytest.raises(InputError, match=r"lacks 'h_s.1.row_bias'"):
        with_custom(source.layers, lacking)
    for key, value in parts.items():
        if value.numel() and key not in ("h_s.0.columns", "h_s.2.rows"):
            with pytest.raises(InputError, match=r"does not fit|another shape"):
                with_custom(source.layers, {**parts, key: value[..., :-1]})
    huge = torch.full_like(parts["h_s.0.row_steps"], 1 << 40)
    with pytest.raises(InputError, match="too large to be exact"):
        with_custom(source.layers, {**parts, "h_s.0.row_steps": huge})
    floats = parts["h_s.1.bias"].float()
    with pytest.raises(InputError, match="another shape"):
        with_custom(source.layers, {**parts, "h_s.1.bias": floats})


def test_layers_of_two_adaptations_do_not_go_together(source: PackedModel) -> None:
    narrow, wide = (random_cawf(source, width=width) for width in (2, 3))
    for number in range(3):
        mixed = {
            key.replace(".", "__"): value
            for key, value in _parts(wide).items()
            if key.startswith(f"h_s.{number}.")
        }
        with pytest.raises(InputError, match="of h_s"):
            with_tensors(narrow, **mixed).applied(source)
