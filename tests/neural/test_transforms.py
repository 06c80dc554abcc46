"""The fast transforms against the networks they run: borders, strips, precision, bad values."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from ratewise.errors import CodecError, InputError
from ratewise.neural import transforms
from ratewise.neural.models import KINDS, Architecture, CompressionModel, Kind
from ratewise.neural.transforms import Transforms, as_convolution


def make_model(kind: Kind = "msh", N: int = 8, M: int = 12) -> CompressionModel:
    """A network whose normalisations mix the feature maps and whose pictures are not grey."""
    torch.manual_seed(1)
    model = Architecture(kind, N, M).build()
    with torch.no_grad():
        for name, value in model.named_parameters():
            if name.endswith(("gamma", "beta")):
                value += 0.1 * torch.rand_like(value)
        model.g_s[6].weight *= 10
        model.g_s[6].bias += 0.4
    return model.eval().requires_grad_(False)


def pictures(*shape: int) -> NDArray[np.uint8]:
    noise = np.random.default_rng(2).integers(0, 256, (*shape, 3))
    return noise.astype(np.uint8)


def tensor(images: NDArray[np.uint8]) -> torch.Tensor:
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255


@pytest.fixture(params=[1, 1 << 30], ids=["narrow strips", "one strip"])
def strips(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(transforms.STRIP_BYTES, "cpu", request.param)


@pytest.mark.usefixtures("strips")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(1, 80, 48), (3, 16, 64), (1, 16, 16)])
def test_latents_are_those_of_the_networks(kind: Kind, shape: tuple[int, int, int]) -> None:
    model, images = make_model(kind), pictures(*shape)
    fast = Transforms(model, "cpu", "fp32")
    y = fast.analysis(images)
    expected = model.g_a(tensor(images))
    torch.testing.assert_close(y, expected, rtol=1e-4, atol=1e-6)
    if model.h_a is not None:
        z = model.h_a(model.hyper_input(expected))
        torch.testing.assert_close(fast.hyper_analysis(y), z, rtol=1e-4, atol=1e-6)


@pytest.mark.usefixtures("strips")
@pytest.mark.parametrize("shape", [(1, 5, 3), (3, 1, 4), (1, 1, 1)])
def test_pictures_are_those_of_the_networks(shape: tuple[int, int, int]) -> None:
    model = make_model()
    n, h, w = shape
    y_hat = torch.randn((n, 12, h, w)) * 4
    drawn = Transforms(model, "cpu", "fp32").synthesis(y_hat)
    exact = (model.g_s(y_hat) * 255).clamp(0, 255).permute(0, 2, 3, 1).numpy()
    assert drawn.shape == (n, 16 * h, 16 * w, 3)
    assert exact.std() > 10, "the test would pass with grey pictures"
    assert np.abs(drawn - exact).max() < 0.501


def test_strips_leave_no_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    model, images = make_model(), pictures(1, 160, 32)
    found = []
    for size in (1, 3000, 9000, 1 << 30):
        monkeypatch.setitem(transforms.STRIP_BYTES, "cpu", size)
        fast = Transforms(model, "cpu", "fp32")
        y = fast.analysis(images)
        found.append((y, fast.synthesis(torch.round(y * 20) / 4).astype(int)))
    for y, drawn in found[1:]:
        torch.testing.assert_close(y, found[0][0], rtol=1e-5, atol=1e-7)
        assert np.abs(drawn - found[0][1]).max() <= 1
        assert (drawn != found[0][1]).mean() < 1e-3


def test_bfloat16_stays_close_to_float32() -> None:
    model, images = make_model(), pictures(1, 64, 64)
    exact, fast = Transforms(model, "cpu", "fp32"), Transforms(model, "cpu", "bf16")
    y = exact.analysis(images)
    error = (fast.analysis(images) - y).norm() / y.norm()
    assert 0 < error < 0.02
    y_hat = torch.round(y * 40) / 4
    difference = fast.synthesis(y_hat).astype(float) - exact.synthesis(y_hat)
    assert 0 < np.square(difference).mean() < 1


def test_images_are_padded_with_their_edges() -> None:
    model, images = make_model(), pictures(2, 17, 30)
    fast = Transforms(model, "cpu", "fp32")
    y = fast.analysis(images)
    padded = np.pad(images, ((0, 0), (0, 15), (0, 2), (0, 0)), "edge")
    assert y.shape == (2, 12, 2, 2)
    assert torch.equal(y, fast.analysis(padded))
    assert torch.equal(y, fast.analysis(torch.from_numpy(images)))
    cut = fast.synthesis(y, 17, 30)
    assert cut.shape == images.shape
    assert np.array_equal(cut, fast.synthesis(y)[:, :17, :30])


def test_a_batch_gives_what_its_images_give() -> None:
    model, images = make_model(), pictures(3, 48, 32)
    fast = Transforms(model, "cpu", "fp32")
    y = fast.analysis(images)
    alone = torch.cat([fast.analysis(image[None]) for image in images])
    torch.testing.assert_close(y, alone, rtol=1e-5, atol=1e-7)


def test_weights_are_copied() -> None:
    model, images = make_model(), pictures(1, 16, 16)
    fast = Transforms(model, "cpu", "fp32")
    y = fast.analysis(images)
    with torch.no_grad():
        for value in model.parameters():
            value.zero_()
    assert torch.equal(fast.analysis(images), y)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_values_that_are_not_finite_are_an_error(precision: str) -> None:
    model = make_model()
    with torch.no_grad():
        model.g_a[2].weight[3, 1, 2, 2] = torch.inf
    fast = Transforms(model, "cpu", precision)
    with pytest.raises(CodecError, match="analysis transform gave values that are not finite"):
        fast.analysis(pictures(1, 32, 32))
    with pytest.raises(CodecError, match="synthesis transform gave values that are not finite"):
        fast.synthesis(torch.full((1, 12, 2, 2), torch.nan))
    with pytest.raises(CodecError, match="hyper-analysis transform gave"):
        fast.hyper_analysis(torch.full((1, 12, 2, 2), torch.inf))


def test_wrong_input_is_named() -> None:
    fast = Transforms(make_model(), "cpu", "fp32")
    with pytest.raises(InputError, match="must be uint8"):
        fast.analysis(np.zeros((1, 16, 16, 3), np.float32))
    with pytest.raises(InputError, match=r"must be \(N, H, W, 3\)"):
        fast.analysis(np.zeros((16, 16, 3), np.uint8))
    with pytest.raises(InputError, match="precision = 'fp16'"):
        Transforms(make_model(), "cpu", "fp16")


def test_a_transposed_convolution_is_a_convolution_to_four_times_the_width() -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(2, 4, 5, 3), torch.randn(4, 3, 5, 5)
    expected = F.conv_transpose2d(x, weight, None, 2, 2, 1)
    found = F.conv2d(x, as_convolution(weight), padding=1).reshape(2, 2, 2, 3, 5, 3)
    found = found.permute(0, 3, 4, 1, 5, 2).reshape(expected.shape)
    torch.testing.assert_close(found, expected)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="compares a CPU with a CUDA device")
def test_cuda_gives_what_the_cpu_gives() -> None:
    model, images = make_model(), pictures(2, 64, 48)
    here, there = Transforms(model, "cpu", "fp32"), Transforms(model, "cuda", "fp32")
    y = here.analysis(images)
    torch.testing.assert_close(there.analysis(images).cpu(), y, rtol=1e-2, atol=1e-3)
    y_hat = torch.round(y * 40) / 4
    assert np.abs(here.synthesis(y_hat).astype(int) - there.synthesis(y_hat)).max() <= 1
