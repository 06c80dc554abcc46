"""Checkpoints of CompressAI: every spelling of the keys, and the arithmetic written down anew."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from ratewise.errors import InputError
from ratewise.neural.compressai import from_state_dict, load_compressai
from ratewise.neural.priors import gaussian_likelihood
from ratewise.neural.transforms import Transforms

SPELLINGS = ("_matrix0", "_matrices.0", "matrices.0")
KINDS = ("factorized", "hyperprior", "msh")
State = dict[str, Tensor]


def checkpoint(kind: str, N: int = 6, M: int = 10, spelling: str = "_matrix0") -> State:
    """A state dict as CompressAI's model of ``kind`` saves it, with random values."""
    rng = torch.Generator().manual_seed(3)

    def normal(*shape: int, scale: float = 1.0) -> Tensor:
        return torch.randn(shape, generator=rng) * scale

    state: State = {}

    def layer(name: str, fan_in: int, fan_out: int, kernel: int = 5, up: bool = False) -> None:
        shape = (fan_in, fan_out) if up else (fan_out, fan_in)
        gain = (4 if up else 1) ** 0.5 / (fan_in * kernel**2) ** 0.5
        state[f"{name}.weight"] = normal(*shape, kernel, kernel, scale=1.5 * gain)
        state[f"{name}.bias"] = normal(fan_out, scale=0.1)

    for net, widths in (("g_a", [3, N, N, N, M]), ("g_s", [M, N, N, N, 3])):
        for i, (fan_in, fan_out) in enumerate(pairwise(widths)):
            layer(f"{net}.{2 * i}", fan_in, fan_out, up=net == "g_s")
            if i < 3:
                gdn = f"{net}.{2 * i + 1}"
                # Some below the bounds, where the reparametrisation holds them
                state[f"{gdn}.beta"] = normal(N).abs() + 0.5
                state[f"{gdn}.beta"][0] = -0.3
                state[f"{gdn}.gamma"] = normal(N, N, scale=0.3)
                for what in ("beta", "gamma"):
                    state[f"{gdn}.{what}_reparam.pedestal"] = torch.tensor([2.0**-36])
                    state[f"{gdn}.{what}_reparam.lower_bound.bound"] = torch.tensor([2.0**-18])
    width = M if kind == "factorized" else N
    if kind != "factorized":
        last, before = (M, N) if kind == "hyperprior" else (2 * M, M * 3 // 2)
        layer("h_a.0", M, N, 3)
        layer("h_a.2", N, N)
        layer("h_a.4", N, N)
        layer("h_s.0", N, N if kind == "hyperprior" else M, up=True)
        layer("h_s.2", N if kind == "hyperprior" else M, before, up=True)
        layer("h_s.4", before, last, 3)
        state["gaussian_conditional.scale_table"] = torch.zeros(64)
        state["gaussian_conditional._quantized_cdf"] = torch.zeros(64, 77, dtype=torch.int32)
        state["gaussian_conditional.lower_bound_scale.bound"] = torch.tensor([0.11])
    for i, (fan_in, fan_out) in enumerate(pairwise([1, 3, 3, 3, 3, 1])):
        for name, shape in (
            ("matrix", (width, fan_out, fan_in)),
            ("bias", (width, fan_out, 1)),
            ("factor", (width, fan_out, 1)),
        ):
            if name == "factor" and i == 4:
                continue
            plural = {"matrix": "matrices", "bias": "biases", "factor": "factors"}[name]
            key = spelling.replace("matrix", name).replace("matrices", plural).replace("0", str(i))
            state[f"entropy_bottleneck.{key}"] = normal(*shape, scale=0.5)
    spread = normal(width, 1, 3).sort(-1).values * 4
    state["entropy_bottleneck.quantiles"] = spread
    state["entropy_bottleneck.target"] = torch.tensor([-21.4, 0, 21.4])
    state["entropy_bottleneck._offset"] = torch.zeros(width, dtype=torch.int32)
    state["entropy_bottleneck._quantized_cdf"] = torch.zeros(width, 31, dtype=torch.int32)
    state["entropy_bottleneck._cdf_length"] = torch.zeros(width, dtype=torch.int32)
    state["entropy_bottleneck.likelihood_lower_bound.bound"] = torch.tensor([1e-9])
    return state


# ----- CompressAI's arithmetic, in float64 and from the papers' equations ----------------------


def transform(state: State, name: str, x: Tensor, activation: str) -> Tensor:
    """The network ``name``: strided (transposed) convolutions and what is between them."""
    numbers = sorted(
        int(k.split(".")[1]) for k in state if k.startswith(name + ".") and "weig" in k
    )
    for i in numbers:
        weight, bias = (state[f"{name}.{i}.{part}"].double() for part in ("weight", "bias"))
        if name in ("g_s", "h_s") and weight.shape[-1] == 5:
            x = F.conv_transpose2d(x, weight, bias, 2, 2, 1)
        else:
            x = F.conv2d(x, weight, bias, 1 if weight.shape[-1] == 3 else 2, weight.shape[-1] // 2)
        if i == numbers[-1]:
            return x
        if activation == "gdn":
            x = divisive(state, f"{name}.{i + 1}", x, inverse=name == "g_s")
        else:
            x = torch.where(x > 0, x, x * {"relu": 0.0, "leaky": 0.01}[activation])
    raise AssertionError(name)


def divisive(state: State, name: str, x: Tensor, inverse: bool) -> Tensor:
    pedestal = 2.0**-36
    beta = state[f"{name}.beta"].double().clamp(min=(1e-6 + pedestal) ** 0.5) ** 2 - pedestal
    gamma = state[f"{name}.gamma"].double().clamp(min=2.0**-18) ** 2 - pedestal
    norm = torch.einsum("ij,njhw->nihw", gamma, x**2) + beta[:, None, None]
    return x * norm.sqrt() if inverse else x / norm.sqrt()


def density(state: State, values: Tensor, spelling: str) -> Tensor:
    """Mass of ``values`` ``(N, C, H, W)`` under the factorised prior: c(v + 1/2) - c(v - 1/2)."""

    def part(name: str, i: int) -> Tensor:
        plural = {"matrix": "matrices", "bias": "biases", "factor": "factors"}[name]
        key = spelling.replace("matrix", name).replace("matrices", plural).replace("0", str(i))
        return state[f"entropy_bottleneck.{key}"].double()

    def cumulative(v: Tensor) -> Tensor:
        for i in range(5):
            v = F.softplus(part("matrix", i)) @ v + part("bias", i)
            if i < 4:
                v = v + torch.tanh(part("factor", i)) * torch.tanh(v)
        return torch.sigmoid(v)

    flat = values.double().transpose(0, 1).flatten(1)[:, None]
    mass = (cumulative(flat + 0.5) - cumulative(flat - 0.5)).clamp(min=1e-9)
    n, width, h, w = values.shape
    return mass.reshape(width, n, h, w).transpose(0, 1)


# ----- tests ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_equal_symbols_give_equal_pictures(kind: str) -> None:
    state = checkpoint(kind)
    model = from_state_dict(state, "test")
    symbols = torch.randint(-4, 5, (1, 10, 4, 6), generator=torch.Generator().manual_seed(1))
    expected = transform(state, "g_s", symbols.double(), "gdn")
    with torch.no_grad():
        found = model.g_s(symbols.float())
    scale = expected.abs().max()
    assert scale > 1
    assert (found - expected).abs().max() < 1e-4 * scale
    pixels = Transforms(model, "cpu", "fp32").synthesis(symbols.float())[0]
    levels = (expected[0] * 255).clamp(0, 255).permute(1, 2, 0).numpy()
    assert np.abs(pixels - levels).max() < 0.55


@pytest.mark.parametrize("kind", KINDS)
def test_latents_are_those_of_compressai(kind: str) -> None:
    state = checkpoint(kind)
    model = from_state_dict(state, "test")
    images = np.random.default_rng(0).integers(0, 256, (1, 64, 128, 3)).astype(np.uint8)
    x = torch.from_numpy(images).permute(0, 3, 1, 2).double() / 255
    y = transform(state, "g_a", x, "gdn")
    fast = Transforms(model, "cpu", "fp32")
    found = fast.analysis(images)
    torch.testing.assert_close(found.double(), y, rtol=1e-4, atol=1e-4)
    if kind == "factorized":
        return
    activation = "relu" if kind == "hyperprior" else "leaky"
    z = transform(state, "h_a", y.abs() if kind == "hyperprior" else y, activation)
    torch.testing.assert_close(fast.hyper_analysis(found).double(), z, rtol=1e-4, atol=1e-4)
    parameters = transform(state, "h_s", z.round(), activation)
    with torch.no_grad():
        scales, means = model.scales_and_means(z.round().float())
    if kind == "hyperprior":
        assert means is None
        torch.testing.assert_close(scales.double(), parameters.relu(), rtol=1e-4, atol=1e-4)
    else:
        assert means is not None
        both = torch.cat([scales, means], 1).double()
        torch.testing.assert_close(both, parameters, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("kind", KINDS)
def test_likelihoods_are_those_of_compressai(kind: str, spelling: str) -> None:
    state = checkpoint(kind, spelling=spelling)
    model = from_state_dict(state, "test")
    width = 10 if kind == "factorized" else 6
    values = torch.arange(-12, 12).float().reshape(2, 1, 4, 3).repeat(1, width, 1, 1)
    with torch.no_grad():
        found = model.prior.likelihood(values + model.prior.medians)
    expected = density(
        state, values + state["entropy_bottleneck.quantiles"][:, 0, 1, None, None], spelling
    )
    assert expected.std() > 0.01
    torch.testing.assert_close(found.double(), expected, rtol=1e-3, atol=1e-6)


def test_gaussian_likelihoods_are_those_of_compressai() -> None:
    values, scales = torch.arange(-9.0, 9.0), torch.linspace(0.01, 5, 18)
    normal = torch.distributions.Normal(0.0, scales.clamp(min=0.11).double())
    expected = normal.cdf(values.double() + 0.5) - normal.cdf(values.double() - 0.5)
    found = gaussian_likelihood(values, scales).double()
    torch.testing.assert_close(found, expected.clamp(min=1e-9), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_checkpoint_file_is_read_without_unpickling(tmp_path: Path, prefix: str) -> None:
    state = {prefix + key: value for key, value in checkpoint("msh").items()}
    torch.save({"epoch": 3, "state_dict": state}, tmp_path / "mbt2018-mean-1.pth.tar")
    model = load_compressai(tmp_path / "mbt2018-mean-1.pth.tar")
    assert (model.architecture.kind, model.architecture.N, model.architecture.M) == ("msh", 6, 10)
    assert not model.training
    assert torch.equal(model.g_a[0].weight, state[prefix + "g_a.0.weight"])


def test_tables_of_any_shape_are_left_out() -> None:
    state = checkpoint("hyperprior")
    state["gaussian_conditional._quantized_cdf"] = torch.zeros(0, dtype=torch.int32)
    state["entropy_bottleneck._quantized_cdf"] = torch.zeros(1, 2, 3, dtype=torch.int32)
    assert from_state_dict(state, "test").architecture.kind == "hyperprior"


def test_half_precision_checkpoints_become_float32() -> None:
    state = {key: value.half() for key, value in checkpoint("factorized").items()}
    model = from_state_dict(state, "test")
    assert {value.dtype for value in model.state_dict().values()} == {torch.float32}


def test_other_checkpoints_are_refused_by_name() -> None:
    state = checkpoint("msh")
    with pytest.raises(InputError, match=r"cheng\.pth: has a context model"):
        from_state_dict(state | {"context_prediction.weight": torch.ones(1)}, "cheng.pth")
    with pytest.raises(InputError, match=r"has no g_a\.0\.weight and g_a\.6\.weight"):
        from_state_dict({"conv1.weight": torch.ones(1)}, "resnet.pth")
    with pytest.raises(InputError, match=r"lacks prior\.matrices\.2"):
        from_state_dict({k: v for k, v in state.items() if not k.endswith("_matrix2")}, "test")
    with pytest.raises(InputError, match=r"has unknown g_a\.7\.weight"):
        from_state_dict(state | {"g_a.7.weight": torch.ones(1)}, "test")
    state["g_s.2.bias"][1] = torch.nan
    with pytest.raises(InputError, match=r"g_s\.2\.bias holds values that are not finite"):
        from_state_dict(state, "test")
