"""The integer hyper-decoder, against plain 64-bit integers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from ratewise.errors import InputError
from ratewise.images import Image
from ratewise.neural import integer
from ratewise.neural.coder import NeuralCoder
from ratewise.neural.cost import integer_cost
from ratewise.neural.integer import LARGEST, HyperSynthesis, IntegerLayer
from ratewise.neural.models import CompressionModel, Kind
from ratewise.neural.quantise import quantise
from ratewise.neural.tables import MEAN_UNIT, SCALE_UNIT
from ratewise.neural.weights import pack

MakeNetwork = Callable[[Kind, int, int], CompressionModel]


def _split(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    low = (values + 16) % 32 - 16
    return (values - low) // 32, low


def _written_out(layer: IntegerLayer, x: np.ndarray) -> np.ndarray:
    """docs/formats/neural.md on ``x`` int64 ``(h, w, in)``: sums by definition, before cutting."""
    weight, padding = layer.weight.numpy().astype(np.int64), layer.padding.numpy().astype(np.int64)
    out, _, k, _ = weight.shape
    (big, small), bias = _split(weight), layer.bias.numpy()
    h, w = x.shape[:2]
    factor = 2 if k == 5 else 1
    sums = np.zeros((factor * h, factor * w, out), np.int64)
    for i in range(factor * h):
        for j in range(factor * w):
            sums[i, j] = bias[2 * (i % 2) + j % 2 if k == 5 else 0]
            for a in range(k):
                for b in range(k):
                    if k == 5 and ((i + 2 - a) % 2 or (j + 2 - b) % 2):
                        continue
                    p, q = (
                        ((i + 2 - a) // 2, (j + 2 - b) // 2) if k == 5 else (i + a - 1, j + b - 1)
                    )
                    inside = 0 <= p < h and 0 <= q < w
                    high, low = _split(x[p, q] if inside else padding)
                    sums[i, j] += 32 * (big[:, :, a, b] @ high)
                    sums[i, j] += small[:, :, a, b] @ high + big[:, :, a, b] @ low
    p, n, q, s = layer.steps.numpy()
    return (np.maximum(p * sums, n * sums) + q) >> s


def _random_layer(
    rng: np.random.Generator, wide: int, out: int, k: int, extreme: bool
) -> IntegerLayer:
    shape = (out, wide, k, k)
    weight = rng.choice([-LARGEST, LARGEST], shape) if extreme else rng.integers(-999, 1000, shape)
    p = rng.integers(1 << 19, 1 << 20, out)
    steps = np.stack([p, p * 10 // rng.integers(10, 1000, out), rng.integers(-(2**40), 2**40, out)])
    return IntegerLayer(
        torch.from_numpy(weight.astype(np.int16)),
        torch.from_numpy(rng.integers(-LARGEST, LARGEST + 1, wide).astype(np.int16)),
        torch.from_numpy(rng.integers(-(2**20), 2**20, (4 if k == 5 else 1, out))),
        torch.from_numpy(np.concatenate([steps, np.full((1, out), 30 if extreme else 28)])),
    )


@pytest.mark.parametrize("extreme", [False, True])
@pytest.mark.parametrize("kernel", ["int8", "float32"])
def test_layers_are_exact(kernel: str, extreme: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if kernel == "int8" and not integer.fast_int8():
        pytest.skip("this CPU has no fast exact product of int8 matrices")
    monkeypatch.setattr(integer, "fast_int8", lambda: kernel == "int8")
    monkeypatch.setattr(integer, "_ROWS", 13)
    rng = np.random.default_rng(int(extreme))
    layers = [
        _random_layer(rng, wide, out, k, extreme)
        for wide, out, k in ((7, 10, 5), (10, 40, 5), (40, 6, 3))
    ]
    z = rng.integers(-200, 200, (2, 3, 2, 6))
    got = HyperSynthesis(layers)(torch.from_numpy(z), means=True)
    for image in range(2):
        x = np.clip(z[image], -127, 127) * 32
        x = np.concatenate([x, np.full((3, 2, 1), 2048)], axis=-1)
        for layer in layers[:-1]:
            x = np.clip(_written_out(layer, x), -LARGEST, LARGEST)
        out = np.clip(_written_out(layers[-1], x), -(1 << 23), 1 << 23)
        np.testing.assert_array_equal(got[0][image].numpy(), np.clip(out[..., :3], 0, 2**18 - 1))
        assert got[1] is not None
        np.testing.assert_array_equal(got[1][image].numpy(), out[..., 3:])


def test_settings_of_torch_change_nothing(
    coder: NeuralCoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(integer, "fast_int8", lambda: False)
    h_s = HyperSynthesis(coder.model.layers)
    z = torch.randint(-9, 10, (3, 5, 4, 8))
    scales, means = h_s(z, means=True)
    precision, threads = torch.get_float32_matmul_precision(), torch.get_num_threads()
    try:
        torch.set_float32_matmul_precision("medium")
        torch.set_num_threads(2)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            single = [h_s(z[i : i + 1], means=True) for i in range(3)]
    finally:
        torch.set_float32_matmul_precision(precision)
        torch.set_num_threads(threads)
    assert means is not None
    assert torch.equal(scales, torch.cat([one[0] for one in single]))
    assert torch.equal(means, torch.cat([one[1] for one in single if one[1] is not None]))


@pytest.mark.parametrize("kind", ["hyperprior", "msh"])
def test_integers_say_what_the_floats_said(kind: Kind, network: MakeNetwork) -> None:
    model = network(kind, 16, 24)
    z = torch.randint(-2, 3, (2, 16, 4, 6), generator=torch.Generator().manual_seed(0))
    medians = np.arange(-800, 800, 100, dtype=np.int32)
    assert model.h_s is not None
    layers = quantise(model.h_s, medians, [z], means=kind == "msh")
    with torch.inference_mode():
        z_hat = z + torch.from_numpy(medians)[:, None, None] / MEAN_UNIT
        scales, means = model.scales_and_means(z_hat)
    got, got_means = HyperSynthesis(layers)(z.permute(0, 2, 3, 1), means=kind == "msh")
    difference = got.permute(0, 3, 1, 2) / SCALE_UNIT - scales.clamp(min=0)
    assert difference.abs().max() < 3e-3 * scales.max() + 1 / SCALE_UNIT
    if means is not None:
        assert got_means is not None
        difference = got_means.permute(0, 3, 1, 2) / MEAN_UNIT - means
        assert difference.abs().max() < 3e-3 * means.abs().max() + 1 / MEAN_UNIT


def test_a_layer_that_may_not_be_exact_is_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match="too large to be exact"):
        _random_layer(rng, 1000, 2, 5, extreme=True)
    good = _random_layer(rng, 4, 2, 3, extreme=False)
    with pytest.raises(InputError, match="another shape"):
        IntegerLayer(good.weight, good.padding[:-1], good.bias, good.steps)


@pytest.mark.parametrize("kind", ["hyperprior", "msh"])
def test_integers_cost_less_than_a_thousandth_of_the_rate(
    kind: Kind, network: MakeNetwork, texture: Callable[..., Image]
) -> None:
    model = network(kind, 16, 24)
    packed = pack(model, [texture(i, 128, 128) for i in range(4)])
    cost = integer_cost(model, packed, [texture(i, 128, 128) for i in range(10, 16)])
    assert abs(cost) < 0.001
