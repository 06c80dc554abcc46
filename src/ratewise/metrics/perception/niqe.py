"""NIQE, the distance of an image's statistics from those of natural images: lower is better.

A. Mittal, R. Soundararajan, A. C. Bovik: Making a "completely blind" image quality analyzer.
IEEE Signal Processing Letters 20(3), 2013, with the published model of pristine images.

36 features of each block of 96x96 pixels (18 at full and 18 at half size) are fitted by a
Gaussian, and the distance of its mean from the model's is measured in the mean of both
covariances (eq. 10).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ratewise.errors import ImageError
from ratewise.images import Image
from ratewise.metrics.perception.grey import grey_levels
from ratewise.metrics.perception.parameters import Floats, index_folder, matrix, read_mat

BLOCK = 96
"""Side of a block in pixels; no smaller image can be judged."""

_FEATURES = 36
_WINDOW = 7
_SIGMA = 7 / 6
_NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))

# MATLAB's pinv takes singular values below this share of the largest for 0.
_RCOND = _FEATURES * np.finfo(np.float64).eps


@dataclass(frozen=True, eq=False)
class Niqe:
    """The index with its model of natural images: ``mean (36,)``, ``covariance (36, 36)``."""

    name: ClassVar[str] = "niqe"

    mean: Floats
    covariance: Floats

    def __call__(self, image: Image) -> float:
        """The score of ``uint8 (H, W, 3)``: lower is better. NaN if no block has statistics.

        Raises :class:`ratewise.errors.ImageError` if a side has fewer than 96 pixels.
        """
        features = niqe_features(image)
        mean = _mean(features)
        whole = features[~np.isnan(features).any(1)]
        if np.isnan(mean).any():
            return float("nan")
        covariance = np.cov(whole.T) if len(whole) > 1 else np.zeros_like(self.covariance)
        difference = self.mean - mean
        inverse = np.linalg.pinv((self.covariance + covariance) / 2, rcond=_RCOND)
        return float(np.sqrt(difference @ inverse @ difference))


def load_niqe(folder: Path | None = None) -> Niqe:
    """The index with the published model, from the folder ``niqe`` in ``folder``.

    Without ``folder``, in the one that ``RATEWISE_IQA`` names. Raises
    :class:`ratewise.errors.InputError` if the file is missing or not the authors'.
    """
    path = index_folder("niqe", folder) / "modelparameters.mat"
    values = read_mat(path)
    mean = matrix(values, (1, _FEATURES), "mu_prisparam", path)[0]
    return Niqe(mean, matrix(values, (_FEATURES, _FEATURES), "cov_prisparam", path))


def niqe_features(image: Image) -> Floats:
    """``(blocks, 36)``: eqs. 4 to 9 at two scales. What is beyond whole blocks is cut off."""
    grey = grey_levels(image)
    rows, columns = (side // BLOCK for side in grey.shape)
    if not rows or not columns:
        raise ImageError(f"NIQE needs images of {BLOCK}x{BLOCK} pixels at least, not {grey.shape}")
    grey = grey[: rows * BLOCK, : columns * BLOCK]
    scales = []
    for side in (BLOCK, BLOCK // 2):
        levels = _contrast_normalised(grey).reshape(rows, side, columns, side)
        scales.append(_block_features(levels.swapaxes(1, 2).reshape(-1, side, side)))
        if side == BLOCK:
            grey = halved(grey)
    return np.concatenate(scales, axis=1)


def halved(grey: Floats) -> Floats:
    """Half of the sides (even ones) as MATLAB's ``imresize(x, 0.5)``: bicubic, with antialiasing.

    The kernel is stretched by 2, so 8 pixels make one, and edges are mirrored.
    """
    distance = np.abs(np.arange(8) - 3.5) / 2  # of the 8 taps from the new pixel's centre
    inner = 1.5 * distance**3 - 2.5 * distance**2 + 1
    outer = -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
    taps = np.where(distance <= 1, inner, outer)
    taps /= taps.sum()
    for _ in range(2):  # down the columns, then turned, along the rows
        padded = np.pad(grey, ((3, 3), (0, 0)), mode="symmetric")
        count = len(grey) // 2
        half = np.zeros((count, grey.shape[1]))
        for i, tap in enumerate(taps):
            half += tap * padded[i : i + 2 * count : 2]
        grey = half.T
    return np.ascontiguousarray(grey)


def _contrast_normalised(grey: Floats) -> Floats:
    """``(x - mu) / (sigma + 1)`` with a Gaussian window of 7x7, edges repeated (eqs. 1 to 3)."""
    from scipy.ndimage import correlate1d

    window = np.exp(-((np.arange(_WINDOW) - _WINDOW // 2) ** 2) / (2 * _SIGMA**2))
    window /= window.sum()

    def smooth(x: Floats) -> Floats:
        down: Floats = correlate1d(x, window, axis=0, mode="nearest")
        smoothed: Floats = correlate1d(down, window, axis=1, mode="nearest")
        return smoothed

    mu = smooth(grey)
    sigma = np.sqrt(np.abs(smooth(grey * grey) - mu * mu))
    normalised: Floats = (grey - mu) / (sigma + 1.0)
    # Where the window is flat only rounding errors are left, and their sign would be counted.
    normalised[np.abs(normalised) < 1e-9] = 0.0
    return normalised


def _block_features(blocks: Floats) -> Floats:
    """18 features of each of ``(N, side, side)``; neighbours beyond an edge are the other's."""
    shape, left, right = _asymmetric_gaussian(blocks)
    found = [shape, (left + right) / 2]
    for shift in _NEIGHBOURS:
        shape, left, right = _asymmetric_gaussian(blocks * np.roll(blocks, shift, axis=(1, 2)))
        gammas = _grid()[2]
        found += [shape, (right - left) * gammas[_index(shape)], left, right]
    return np.stack(found, axis=1)


def _asymmetric_gaussian(blocks: Floats) -> tuple[Floats, Floats, Floats]:
    """Shape and left and right scale of each block's asymmetric generalised Gaussian (eqs. 5-8).

    By matching moments (Lasmar et al. 2009), the shape to 0.001 between 0.2 and 10.
    """
    x = blocks.reshape(len(blocks), -1)
    shapes, ratios, _, scales = _grid()
    square = x * x
    with np.errstate(invalid="ignore", divide="ignore"):  # a flat block has no statistics: NaN
        left = np.sqrt((square * (x < 0)).sum(1) / (x < 0).sum(1))
        right = np.sqrt((square * (x > 0)).sum(1) / (x > 0).sum(1))
        balance = left / right
        ratio = np.abs(x).mean(1) ** 2 / square.mean(1)
        ratio *= (balance**3 + 1) * (balance + 1) / (balance**2 + 1) ** 2
    index = np.argmin((ratios[None] - ratio[:, None]) ** 2, axis=1)
    return shapes[index], left * scales[index], right * scales[index]


@cache
def _grid() -> tuple[Floats, Floats, Floats, Floats]:
    """Shapes 0.2 to 10 and, of each, the moment ratio, gamma(2/a)/gamma(1/a) and the scale."""
    from scipy.special import gammaln

    a = np.arange(200, 10_001) / 1000
    one, two, three = (gammaln(k / a) for k in (1, 2, 3))
    return a, np.exp(2 * two - one - three), np.exp(two - one), np.exp((one - three) / 2)


def _index(shape: Floats) -> NDArray[np.intp]:
    return np.rint(shape * 1000).astype(np.intp) - 200


def _mean(features: Floats) -> Floats:
    """Per feature the mean of those that are numbers, NaN if none is."""
    known = ~np.isnan(features)
    with np.errstate(invalid="ignore"):
        mean: Floats = np.where(known, features, 0.0).sum(0) / known.sum(0)
    return mean
