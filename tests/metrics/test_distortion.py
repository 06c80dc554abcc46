"""Distortion against scikit-image and values worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from ratewise.images import Image
from ratewise.metrics.distortion import decibels, ms_ssim, mse, psnr, ssim
from ratewise.metrics.rate import bits_per_pixel


def pair(height: int, width: int, noise: int = 30) -> tuple[Image, Image]:
    chance = np.random.default_rng(height)
    y, x = np.mgrid[:height, :width]
    a = np.stack([x % 256, y % 256, (x * y) % 256], -1)
    b = np.clip(a + chance.integers(-noise, noise + 1, a.shape), 0, 255)
    return a.astype(np.uint8), b.astype(np.uint8)


@pytest.mark.parametrize("size", [(1, 1), (17, 33), (181, 200)])
def test_mse_and_psnr_are_exact(size: tuple[int, int]) -> None:
    a, b = pair(*size)
    squares = (a.astype(np.int64) - b.astype(np.int64)) ** 2
    assert mse(a, b) == squares.sum() / squares.size
    if squares.any():
        expected = peak_signal_noise_ratio(a, b, data_range=255)
        assert psnr(a, b) == pytest.approx(expected, rel=1e-12)


def test_the_largest_error_does_not_overflow() -> None:
    black = np.zeros((300, 300, 3), np.uint8)
    white = np.full_like(black, 255)
    assert mse(black, white) == mse(white, black) == 255**2
    assert psnr(black, white) == 0.0


def test_views_are_measured_like_copies() -> None:
    a, b = pair(40, 50)
    assert mse(a[::2, ::-1], b[::2, ::-1]) == mse(a[::2, ::-1].copy(), b[::2, ::-1].copy())
    assert not math.isnan(ssim(a[:, ::-1], b[:, ::-1]))


def test_equal_images_are_at_the_top() -> None:
    a, _ = pair(190, 177)
    assert psnr(a, a) == math.inf
    assert ssim(a, a) == pytest.approx(1.0, abs=1e-6)
    assert ms_ssim(a, a) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("size", [(11, 11), (40, 57)])
def test_ssim_is_scikit_images(size: tuple[int, int]) -> None:
    a, b = pair(*size)
    expected = structural_similarity(
        a, b, gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
        data_range=255, channel_axis=-1,
    )  # fmt: skip
    assert ssim(a, b) == pytest.approx(expected, abs=2e-5)


def test_ms_ssim_is_the_papers_product_of_scales() -> None:
    """Against the definition (Wang et al. 2003, eq. 7) written with scipy in float64."""
    from scipy.ndimage import gaussian_filter

    def terms(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
        def blur(z: np.ndarray) -> np.ndarray:
            return gaussian_filter(z, 1.5, truncate=3.5)[5:-5, 5:-5]

        mx, my = blur(x), blur(y)
        vx, vy, c = blur(x * x) - mx**2, blur(y * y) - my**2, blur(x * y) - mx * my
        c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
        contrast = (2 * c + c2) / (vx + vy + c2)
        return float(((2 * mx * my + c1) / (mx**2 + my**2 + c1) * contrast).mean()), float(
            contrast.mean()
        )

    def halve(x: np.ndarray) -> np.ndarray:
        h, w = x.shape[0] // 2 * 2, x.shape[1] // 2 * 2
        return x[:h, :w].reshape(h // 2, 2, w // 2, 2).mean((1, 3))

    a, b = pair(195, 177)
    levels: list[tuple[float, float]] = []
    planes = [(a[..., k].astype(float), b[..., k].astype(float)) for k in range(3)]
    for _ in range(5):
        each = np.array([terms(x, y) for x, y in planes])
        levels.append(tuple(each.mean(0)))
        planes = [(halve(x), halve(y)) for x, y in planes]
    weights = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333]
    expected = levels[-1][0] ** weights[-1]
    for (_, contrast), weight in zip(levels[:-1], weights[:-1], strict=True):
        expected *= contrast**weight
    assert ms_ssim(a, b) == pytest.approx(expected, abs=2e-5)


def test_images_too_small_have_no_similarity() -> None:
    assert math.isnan(ssim(*pair(10, 40)))
    assert not math.isnan(ssim(*pair(11, 11)))
    assert math.isnan(ms_ssim(*pair(175, 300)))
    assert not math.isnan(ms_ssim(*pair(176, 176)))


def test_decibels_of_a_similarity() -> None:
    assert decibels(0.9) == pytest.approx(10.0)
    assert decibels(0.0) == 0.0
    assert decibels(1.0) == math.inf
    assert math.isnan(decibels(math.nan))


def test_images_that_cannot_be_compared_are_refused() -> None:
    a, b = pair(20, 20)
    with pytest.raises(ValueError, match="shapes"):
        mse(a, b[:10])
    with pytest.raises(ValueError, match="uint8"):
        ssim(a, b.astype(np.float32))  # type: ignore[arg-type]


def test_bits_per_pixel_counts_the_whole_file() -> None:
    assert bits_per_pixel(100, 10, 20) == 4.0
