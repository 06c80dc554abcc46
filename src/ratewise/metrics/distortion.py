"""Distortion between two images: MSE, PSNR, SSIM, MS-SSIM.

Images are ``uint8 (H, W, 3)`` RGB of equal shape. MSE and PSNR are exact: squares are summed as
integers. SSIM and MS-SSIM stand on torchmetrics, imported when they are first called.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

import numpy as np

from ratewise.images import Image

if TYPE_CHECKING:
    from torch import Tensor

SSIM_MIN_SIDE = 11
"""SSIM's window is 11 pixels wide; smaller images have no SSIM."""

MS_SSIM_MIN_SIDE = 176
"""The window must fit after four halvings, each rounded down: 176 // 16 = 11."""

_MS_SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_WINDOW_RADIUS = 5

# Small enough to stay in the cache, and for the largest sum, 32768 * 255^2, to fit in 32 bits.
_BLOCK = 1 << 15


def mse(a: Image, b: Image) -> float:
    """Mean squared error over all samples, in squared 8-bit levels.

    Raises ValueError if the shapes differ or the arrays are not ``uint8``.
    """
    _check(a, b)
    flat_a, flat_b = a.reshape(-1), b.reshape(-1)
    total = 0
    for start in range(0, flat_a.size, _BLOCK):
        x, y = flat_a[start : start + _BLOCK], flat_b[start : start + _BLOCK]
        distance = np.maximum(x, y)  # |x - y| without leaving 8 bits: several times faster
        distance -= np.minimum(x, y)
        total += int(np.multiply(distance, distance, dtype=np.uint16).sum(dtype=np.uint32))
    return total / flat_a.size


def psnr(a: Image, b: Image) -> float:
    """``10 log10(255^2 / mse)`` in dB over RGB; infinite for equal images."""
    error = mse(a, b)
    return 10.0 * math.log10(255.0**2 / error) if error > 0 else math.inf


def ssim(a: Image, b: Image) -> float:
    """Structural similarity (Wang et al. 2004), 1 for equal images, NaN if a side is under 11.

    A Gaussian window of 11x11, sigma 1.5, K1 = 0.01, K2 = 0.03, data range 255, population
    (not sample) covariances; the mean over R, G, B and over the pixels whose window lies inside
    the image. No grey conversion and no down-sampling.
    """
    _check(a, b)
    if min(a.shape[:2]) < SSIM_MIN_SIDE:
        return math.nan
    return float(_ssim_inside(_tensor(a), _tensor(b)))


def ms_ssim(a: Image, b: Image) -> float:
    """Multi-scale SSIM (Wang et al. 2003, eq. 7), 1 for equal images, NaN if a side is under 176.

    :func:`ssim`'s window, constants and valid pixels at five scales: the contrast and structure
    term of the first four, the whole similarity of the last, each averaged over R, G, B, taken
    as 0 where negative, raised to 0.0448, 0.2856, 0.3001, 0.2363, 0.1333 and multiplied. Means
    of 2x2 pixels lead to the next scale; an odd last row or column is dropped.
    """
    _check(a, b)
    if min(a.shape[:2]) < MS_SSIM_MIN_SIDE:
        return math.nan
    from torch.nn.functional import avg_pool2d
    from torchmetrics.functional.image import structural_similarity_index_measure

    x, y = _tensor(a), _tensor(b)
    product = 1.0
    for weight in _MS_SSIM_WEIGHTS[:-1]:
        _, contrast = structural_similarity_index_measure(
            x, y, data_range=255.0, return_contrast_sensitivity=True
        )
        product *= math.pow(max(float(contrast), 0.0), weight)
        x, y = avg_pool2d(x, 2), avg_pool2d(y, 2)
    return product * math.pow(max(float(_ssim_inside(x, y)), 0.0), _MS_SSIM_WEIGHTS[-1])


def decibels(similarity: float) -> float:
    """``-10 log10(1 - x)``: a similarity near 1 spread out; infinite at 1, NaN for NaN."""
    if math.isnan(similarity):
        return math.nan
    return -10.0 * math.log10(1.0 - similarity) if similarity < 1.0 else math.inf


def _check(a: Image, b: Image) -> None:
    if a.shape != b.shape:
        raise ValueError(f"images of shapes {a.shape} and {b.shape} cannot be compared")
    if a.dtype != np.uint8 or b.dtype != np.uint8:
        raise ValueError(f"images must be uint8, not {a.dtype} and {b.dtype}")


def _tensor(image: Image) -> Tensor:
    """``float32 (1, 3, H, W)`` in [0, 255]."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float()


def _ssim_inside(x: Tensor, y: Tensor) -> Tensor:
    """Mean SSIM of ``(1, 3, H, W)``; torchmetrics' own mean counts a mirrored border too."""
    from torchmetrics.functional.image import structural_similarity_index_measure

    _, each = structural_similarity_index_measure(x, y, data_range=255.0, return_full_image=True)
    inside = slice(_WINDOW_RADIUS, -_WINDOW_RADIUS)
    return cast("Tensor", each)[..., inside, inside].mean()
