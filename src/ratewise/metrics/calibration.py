"""Cross-entropy of class scores in bits, and the temperature that makes it smallest.

C. Guo, G. Pleiss, Y. Sun, K. Weinberger: On calibration of modern neural networks. ICML 2017,
section 4.2: scores are divided by one number, which changes no decision.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ratewise.errors import InputError

Scores = NDArray[np.floating]
Labels = NDArray[np.integer]

COLDEST, HOTTEST = 0.01, 100.0
"""The temperatures that are looked at; scores that are always right ask for ever colder ones."""


def cross_entropy_bits(
    scores: Scores, labels: Labels, temperature: float = 1.0
) -> NDArray[np.float64]:
    """``-log2 softmax(scores / temperature)[label]`` of each of ``(N, C)`` with labels ``(N,)``."""
    z = _checked(scores, labels) / temperature
    top = z.max(1)
    normaliser = top + np.log(np.exp(z - top[:, None]).sum(1))
    bits: NDArray[np.float64] = (normaliser - z[np.arange(len(z)), labels]) / math.log(2)
    return bits


def fit_temperature(scores: Scores, labels: Labels) -> float:
    """The temperature with the smallest mean cross-entropy of scores ``(N, C)``, 0.01 to 100.

    The cross-entropy is convex in the temperature's inverse, so the zero of its derivative is
    looked for. Raises :class:`InputError` without scores.
    """
    from scipy.optimize import brentq

    z = _checked(scores, labels)
    z = z - z.max(1, keepdims=True)
    right = float(z[np.arange(len(z)), labels].mean())

    def slope(logarithm: float) -> float:
        """The derivative by the inverse temperature, whose logarithm is given."""
        weights = np.exp(z * math.exp(logarithm))
        return float(((weights * z).sum(1) / weights.sum(1)).mean()) - right

    low, high = -math.log(HOTTEST), -math.log(COLDEST)
    if slope(low) >= 0:
        return HOTTEST
    if slope(high) <= 0:
        return COLDEST
    return math.exp(-float(brentq(slope, low, high, xtol=1e-9)))


def _checked(scores: Scores, labels: Labels) -> NDArray[np.float64]:
    if scores.ndim != 2 or labels.shape != scores.shape[:1] or not len(labels):
        raise InputError(f"scores {scores.shape} and labels {labels.shape} do not fit")
    return scores.astype(np.float64)
