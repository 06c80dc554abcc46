"""Learning curves and curves over the rate, on made-up data with known answers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t

from ratewise.errors import InputError
from ratewise.study.advise.learning_curves import RateCurve, fit_learning_curve

_TRUE = (0.72, 0.9, 0.55)
_SIZES = np.array([10, 20, 40, 80, 160, 320, 640, 1280], dtype=float)


def _accuracy(n: np.ndarray) -> np.ndarray:
    a, b, c = _TRUE
    return np.asarray(a - b * n**-c)


def test_exact_data_give_the_parameters_back() -> None:
    curve = fit_learning_curve(list(_SIZES), list(_accuracy(_SIZES)))
    assert (curve.a, curve.b, curve.c) == pytest.approx(_TRUE, rel=1e-3)
    assert curve.spread < 1e-6
    np.testing.assert_allclose(curve.accuracy(_SIZES), _accuracy(_SIZES), atol=1e-6)


def test_the_parameters_lie_in_their_intervals_as_often_as_they_should() -> None:
    rng, n = np.random.default_rng(1), np.repeat(_SIZES, 4)
    quantile = t.ppf(0.975, len(n) - 3)
    inside, predicted = np.zeros(3), 0
    for _ in range(60):
        curve = fit_learning_curve(list(n), list(_accuracy(n) + rng.normal(0, 0.006, len(n))))
        found = np.array([curve.a, curve.b, curve.c])
        inside += np.abs(found - _TRUE) <= quantile * np.array(curve.errors)
        one_more = _accuracy(np.array([200.0]))[0] + rng.normal(0, 0.006)
        predicted += bool(
            abs(float(curve.accuracy(200.0)) - one_more) <= quantile * float(curve.std(200.0))
        )
    assert (inside / 60 > 0.85).all()
    assert predicted / 60 > 0.85


def test_the_standard_deviation_is_that_of_many_repetitions() -> None:
    rng, n = np.random.default_rng(2), np.repeat(_SIZES, 4)
    fitted = [
        fit_learning_curve(list(n), list(_accuracy(n) + rng.normal(0, 0.006, len(n))))
        for _ in range(80)
    ]
    ends = np.array([curve.accuracy(1280.0) for curve in fitted])
    claimed = np.sqrt(np.mean([curve.std(1280.0) ** 2 - curve.spread**2 for curve in fitted]))
    assert claimed == pytest.approx(ends.std(ddof=1), rel=0.3)
    assert np.mean([curve.spread for curve in fitted]) == pytest.approx(0.006, rel=0.1)


def test_three_models_leave_the_uncertainty_open() -> None:
    curve = fit_learning_curve([10, 40, 160], [0.3, 0.5, 0.6])
    assert np.isnan(curve.spread)
    assert np.isnan(curve.std(40.0))
    assert float(curve.accuracy(40)) == pytest.approx(0.5, abs=1e-4)


def test_a_curve_never_falls() -> None:
    curve = fit_learning_curve([10, 40, 160, 640], [0.6, 0.55, 0.5, 0.45])
    assert curve.b >= 0
    assert (np.diff(curve.accuracy(np.linspace(10, 640, 50))) >= -1e-9).all()
    assert np.isfinite(curve.std(100.0))


def test_two_numbers_of_images_are_no_curve() -> None:
    with pytest.raises(InputError, match="at least 3 different numbers of images"):
        fit_learning_curve([10, 10, 40, 40], [0.3, 0.31, 0.5, 0.5])


def test_a_curve_extrapolates_only_when_told_to() -> None:
    curve = fit_learning_curve(list(_SIZES), list(_accuracy(_SIZES)))
    for images in (9.0, 1281.0):
        with pytest.raises(InputError, match="outside of the 10 to 1280"):
            curve.accuracy([100.0, images])
    assert float(curve.accuracy(5000, extrapolate=True)) == pytest.approx(
        float(_accuracy(np.array(5000.0))), abs=1e-3
    )


def test_a_rate_curve_goes_through_its_points_without_overshoot() -> None:
    curve = RateCurve(*map(np.array, ([0.1, 0.2, 0.4, 0.8], [0.4, 0.5, 0.5, 0.6],
                                      [0.01, 0.01, 0.02, np.nan], [1.0, 2.0, 4.0, 8.0],
                                      [9.0, 9.0, 9.0, 9.0])))  # fmt: skip
    accuracy, std, cost, images = curve.at([0.1, 0.2, 0.4, 0.8])
    assert accuracy == pytest.approx([0.4, 0.5, 0.5, 0.6])
    assert cost == pytest.approx([1, 2, 4, 8])
    assert images == pytest.approx([9] * 4)
    assert np.isnan(std[-1])
    between, std, _, _ = curve.at([0.25, 0.3, 0.35])
    assert between == pytest.approx([0.5] * 3)
    assert ((std > 0.01) & (std < 0.02)).all()
    with pytest.raises(InputError, match=r"outside of the 0\.1 to 0\.8 bpp"):
        curve.at([0.05])
