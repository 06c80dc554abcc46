"""Temperatures and cross-entropies against scipy, sklearn and what they were made of."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from sklearn.metrics import log_loss

from ratewise.errors import InputError
from ratewise.metrics.calibration import COLDEST, HOTTEST, cross_entropy_bits, fit_temperature


def _made_up(temperature: float, count: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Labels drawn from softmax(scores / temperature)."""
    rng = np.random.default_rng(1)
    scores = rng.normal(0, 3, (count, 5))
    chances = np.exp(log_softmax(scores / temperature, axis=1))
    labels = (chances.cumsum(1) < rng.random((count, 1))).sum(1)
    return scores.astype(np.float32), np.minimum(labels, 4)


def test_cross_entropy_is_sklearns() -> None:
    scores, labels = _made_up(1.0, 300)
    chances = np.exp(log_softmax(scores.astype(float) / 1.7, axis=1))
    expected = log_loss(labels, chances, labels=range(5)) / math.log(2)
    assert cross_entropy_bits(scores, labels, 1.7).mean() == pytest.approx(expected, rel=1e-6)


def test_large_scores_do_not_overflow() -> None:
    scores = np.array([[1e4, 0.0], [-1e4, 0.0]], np.float32)
    assert cross_entropy_bits(scores, np.array([0, 1])).tolist() == [0, 0]
    assert np.isfinite(cross_entropy_bits(scores, np.array([1, 0]))).all()


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_the_temperature_is_scipys_optimum_and_that_of_the_labels(temperature: float) -> None:
    scores, labels = _made_up(temperature)

    def loss(t: float) -> float:
        return float(-log_softmax(scores.astype(float) / t, axis=1)[range(4000), labels].mean())

    best = minimize_scalar(loss, bounds=(0.05, 20), method="bounded", options={"xatol": 1e-9})
    found = fit_temperature(scores, labels)
    assert found == pytest.approx(best.x, rel=1e-4)
    assert found == pytest.approx(temperature, rel=0.1)


def test_scores_that_are_always_right_or_wrong_meet_the_bounds() -> None:
    scores = np.array([[2.0, 0.0], [0.0, 3.0]])
    assert fit_temperature(scores, np.array([0, 1])) == COLDEST
    assert fit_temperature(scores, np.array([1, 0])) == HOTTEST


def test_scores_without_labels_are_refused() -> None:
    with pytest.raises(InputError, match="do not fit"):
        fit_temperature(np.zeros((0, 3)), np.zeros(0, int))
