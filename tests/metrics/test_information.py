"""The estimate of information loss, and how often its interval holds the truth."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ratewise.errors import InputError
from ratewise.metrics.information import InformationLoss, information_loss


def _loss(difference: np.ndarray, pixels: np.ndarray, **options: object) -> InformationLoss:
    """Of models whose bits differ by ``difference (seeds, N)``."""
    count = difference.shape[1]
    units = options.pop("units", np.arange(count))
    rng = np.random.default_rng(9)
    base = np.broadcast_to(rng.uniform(50, 60, count), difference.shape)
    return information_loss(base, base + difference, pixels, units, **options)  # type: ignore[arg-type]


def test_it_is_bits_over_pixels_and_may_be_negative() -> None:
    found = _loss(np.array([[3.0, -9.0]]), np.array([10.0, 20.0]))
    assert found.mean == pytest.approx(-6 / 30)
    assert found.seeds == (pytest.approx(-0.2),)


def test_pairing_cancels_what_both_models_find_hard() -> None:
    """Images differ by far more than the models do; the interval does not see that."""
    pixels = np.full(40, 100.0)
    rng = np.random.default_rng(0)
    hard = rng.uniform(0, 1000, 40)[None]
    found = information_loss(hard, hard + 5.0, pixels, np.arange(40))
    assert (found.low, found.high) == (pytest.approx(0.05), pytest.approx(0.05))


def test_tiles_of_one_frame_are_drawn_together() -> None:
    rng = np.random.default_rng(2)
    of_frames = rng.normal(0, 10, 12)
    tiles = np.repeat(of_frames, 10)[None]
    pixels = np.full(120, 100.0)
    apart = _loss(tiles, pixels)
    together = _loss(tiles, pixels, units=np.repeat(np.arange(12), 10))
    assert together.units == 12
    assert together.high - together.low > 2 * (apart.high - apart.low)


@pytest.mark.parametrize(("seeds", "least"), [(1, 0.89), (3, 0.91)])
def test_the_interval_holds_the_truth_about_as_often_as_it_says(seeds: int, least: float) -> None:
    """Images and trainings both vary; with one seed only images do."""
    rng = np.random.default_rng(3)
    pixels, truth, held, trials = np.full(40, 50.0), 0.2, 0, 250
    for trial in range(trials):
        trainings = rng.normal(0, 3.0, (seeds, 1)) if seeds > 1 else np.zeros((1, 1))
        difference = 50 * truth + trainings + rng.normal(0, 12, 40) + rng.normal(0, 5, (seeds, 40))
        found = _loss(difference, pixels, resamples=200, seed=trial)
        held += found.low <= truth <= found.high
    assert least <= held / trials <= 0.995


def test_one_frame_has_no_interval_and_no_labels_are_refused() -> None:
    found = _loss(np.array([[3.0, 1.0]]), np.array([10.0, 10.0]), units=np.zeros(2, int))
    assert found.mean == pytest.approx(0.2)
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    with pytest.raises(InputError, match="no labelled pixels"):
        _loss(np.array([[0.0, 0.0]]), np.zeros(2))
    with pytest.raises(InputError, match="are no pairs"):
        information_loss(np.zeros((1, 2)), np.zeros((2, 2)), np.ones(2), np.arange(2))
