"""Agreement with the identity line: against other formulas, and on features made to differ."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ratewise.errors import InputError
from ratewise.metrics.agreement import concordance, relative_deviation

_RNG = np.random.default_rng(0)
_X = _RNG.normal(3, 2, 200)


def test_concordance_is_correlation_times_the_bias_factor() -> None:
    """Lin's own factorisation: rho times C_b = 2 / (v + 1 / v + u^2)."""
    y = 0.5 * _X + 2 + _RNG.normal(0, 0.7, 200)
    v = _X.std() / y.std()
    u = (_X.mean() - y.mean()) / math.sqrt(_X.std() * y.std())
    expected = np.corrcoef(_X, y)[0, 1] * 2 / (v + 1 / v + u**2)
    assert concordance(_X, y) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("moved", [_X + 1.0, 0.6 * _X, -_X])
def test_any_line_but_the_identity_lowers_concordance(moved: np.ndarray) -> None:
    assert abs(np.corrcoef(_X, moved)[0, 1]) == pytest.approx(1)
    assert concordance(_X, _X) == pytest.approx(1)
    assert concordance(_X, moved) < 0.95


def test_deviation_is_in_units_of_the_spread_and_has_no_unit() -> None:
    shifted = _X + 0.25 * _X.std()
    assert relative_deviation(_X, shifted) == pytest.approx(0.25)
    assert relative_deviation(7 * _X, 7 * shifted) == pytest.approx(0.25)
    assert relative_deviation(_X, _X) == 0


def test_deviation_sees_what_a_wide_channel_hides_from_concordance() -> None:
    """Two channels far apart carry the spread; the other ones may move a lot at little cost."""
    reference = np.r_[-100.0, 100.0, np.linspace(-1, 1, 20)]
    moved = reference.copy()
    moved[2:] = -moved[2:]
    assert concordance(reference, moved) > 0.999
    assert relative_deviation(reference, moved) > 0


def test_constant_numbers_have_no_agreement_and_no_pairs_are_refused() -> None:
    assert math.isnan(concordance([1, 1], [1, 1]))
    assert math.isnan(relative_deviation([1, 1], [1, 2]))
    with pytest.raises(InputError, match="pairs of numbers"):
        concordance([1, 2], [1, 2, 3])
    with pytest.raises(InputError, match="pairs of numbers"):
        relative_deviation([1], [1])
