"""HOSA, the perceptual index of a single image: lower is better, about 0 to 100.

J. Xu, P. Ye, Q. Li, H. Du, Y. Liu, D. Doermann: Blind image quality assessment based on high
order statistics aggregation. IEEE Transactions on Image Processing 25(9), 2016, with the
authors' codebook and whitening (from CSIQ) and their regressor (trained on LIVE).

::

    grey -> patches 7x7 on a grid -> contrast normalised -> whitened
         -> softly assigned to the 5 nearest of 100 words
         -> per word: mean, variance, skewness minus the codebook's
         -> sign(x) |x|^0.2 -> unit length -> linear regression
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from ratewise.errors import ImageError
from ratewise.images import Image
from ratewise.metrics.perception.grey import grey_levels
from ratewise.metrics.perception.parameters import (
    Floats,
    index_folder,
    matrix,
    read_mat,
    structure,
)

PATCH = 7
"""Side of a patch in pixels; no smaller image can be judged."""

_WORDS = 100
_NEAREST = 5
_GAMMA = 0.05
_POWER = 0.2
_SIZE = PATCH * PATCH

# The authors' regular grid. Their step is published, where the first patch lies is not: 2 is
# what reproduces the known scores of Kodak image 15, where the step is 6 (found by trying 0 to 5,
# and both orders of a patch's pixels). That it does not depend on the step is an assumption;
# docs/perceptual-index.md says what hangs on it.
_GRID_START = 2


@dataclass(frozen=True, eq=False)
class Hosa:
    """The index with its parameters: ``hosa(image)`` is the score.

    ``centroid``, ``variance`` and ``skewness`` are ``(100, 49)``, of the words; ``mean (49,)``
    and ``whitening (49, 49)`` whiten patches; ``weights`` has 14,700 numbers, ``bias`` one.
    """

    name: ClassVar[str] = "hosa"

    centroid: Floats
    variance: Floats
    skewness: Floats
    mean: Floats
    whitening: Floats
    weights: Floats
    bias: float

    def __call__(self, image: Image) -> float:
        """The score of ``uint8 (H, W, 3)``: lower is better.

        Raises :class:`ratewise.errors.ImageError` if a side has fewer than 7 pixels.
        """
        return float(self.features(image) @ self.weights + self.bias)

    def features(self, image: Image) -> Floats:
        """The 14,700 numbers that the regressor sees, of unit length."""
        patches = (_patches(grey_levels(image)) - self.mean) @ self.whitening
        share = self._shares(patches)
        x = self._differences(patches, share).reshape(-1)
        x = np.sign(x) * np.abs(x) ** _POWER
        unit: Floats = x / (np.linalg.norm(x) + 1e-20)
        return unit

    def _shares(self, patches: Floats) -> Floats:
        """How much each of the ``(N, 49)`` patches belongs to each word: ``(N, 100)``.

        ``exp(-0.05 d^2)`` for the five nearest words, which sum to 1 per patch; else 0.
        """
        distance = (patches**2).sum(1, keepdims=True) + (self.centroid**2).sum(1)
        distance -= 2.0 * patches @ self.centroid.T
        nearest = np.argpartition(distance, _NEAREST - 1, axis=1)[:, :_NEAREST]
        near = np.take_along_axis(distance, nearest, axis=1)
        # Relative to the nearest, lest a patch far from every word has shares of 0 / 0.
        near = np.exp(-_GAMMA * (near - near.min(1, keepdims=True)))
        share: Floats = np.zeros(distance.shape)
        np.put_along_axis(share, nearest, near / near.sum(1, keepdims=True), axis=1)
        return share

    def _differences(self, patches: Floats, share: Floats) -> Floats:
        """Weighted mean, variance and skewness per word minus the codebook's: ``(3, 100, 49)``.

        A word without patches has none of the three, one with a single patch only the mean; nor
        has one whose patches are all alike a variance or a skewness (a flat image).
        """
        total = share.sum(0)
        share = (share / np.where(total > 0, total, 1.0)).T
        mean = share @ patches
        second = share @ patches**2
        third = share @ patches**3
        variance = np.maximum(second - mean**2, 0.0)
        skewness = (third - 3 * mean * second + 2 * mean**3) / (variance**1.5 + 1e-4)
        found = total[:, None] > 0
        spread = ((share > 0).sum(1, keepdims=True) >= 2) & (variance.sum(1, keepdims=True) > 1e-8)
        differences: Floats = np.stack(
            [
                np.where(found, mean - self.centroid, 0.0),
                np.where(spread, variance - self.variance, 0.0),
                np.where(spread, skewness - self.skewness, 0.0),
            ]
        )
        return differences


def load_hosa(folder: Path | None = None) -> Hosa:
    """The index with the authors' parameters, from the folder ``hosa`` in ``folder``.

    Without ``folder``, in the one that ``RATEWISE_IQA`` names. Raises
    :class:`ratewise.errors.InputError` if a file is missing or not the authors'.
    """
    base = index_folder("hosa", folder)
    path = base / "codebook_hosa.mat"
    codebook = structure(read_mat(path), "codebook_hosa", path)
    centroid, variance, skewness = (
        matrix(codebook, (_SIZE, _WORDS), f"{name}_cb", path).T.copy()
        for name in ("centroid", "variance", "skewness")
    )
    path = base / "whitening_param.mat"
    values = read_mat(path)
    mean = matrix(values, (1, _SIZE), "M", path)[0]
    whitening = matrix(values, (_SIZE, _SIZE), "P", path)
    path = base / "hosa_live_model.mat"
    model = structure(read_mat(path), "hosa_live_model", path)
    weights = matrix(model, (1, 3 * _SIZE * _WORDS + 1), "w", path)[0]
    constant = float(matrix(model, (1, 1), "bias", path)[0, 0])  # LIBLINEAR's last feature
    bias = float(weights[-1]) * constant
    return Hosa(centroid, variance, skewness, mean, whitening, weights[:-1], bias)


def _patches(grey: Floats) -> Floats:
    """Patches row by row as ``(N, 49)``, minus their mean, over ``sqrt(variance + 10)``."""
    height, width = grey.shape
    if min(height, width) < PATCH:
        raise ImageError(f"HOSA needs images of {PATCH}x{PATCH} pixels at least, not {grey.shape}")
    step = max(1, math.isqrt(height * width // 10_000))
    windows = np.lib.stride_tricks.sliding_window_view(grey, (PATCH, PATCH))
    top, left = (min(_GRID_START, side - PATCH) for side in grey.shape)
    patches = windows[top::step, left::step].reshape(-1, _SIZE)
    patches = patches - patches.mean(1, keepdims=True)
    deviation = np.sqrt((patches**2).sum(1, keepdims=True) / (_SIZE - 1) + 10.0)
    normalised: Floats = patches / deviation
    return normalised
