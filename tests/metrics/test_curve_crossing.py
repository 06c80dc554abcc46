from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.interpolate import PchipInterpolator
from scipy.optimize import brentq

from ratewise.errors import InputError
from ratewise.metrics.bjontegaard import curve
from ratewise.metrics.crossing import AboveCurveError, crossings, rate_at


def test_two_points_are_a_line_over_the_logarithm_of_the_rate() -> None:
    assert rate_at(curve([0.1, 0.4], [60, 70]), 65) == pytest.approx(0.2)


def test_the_ends_of_a_curve_are_reached_at_their_rates() -> None:
    points = curve([0.05, 0.1, 0.3], [0.5, 0.61, 0.7])
    assert rate_at(points, 0.5) == pytest.approx(0.05)
    assert rate_at(points, 0.7) == pytest.approx(0.3)


def test_a_level_outside_of_the_curve_is_refused_with_the_side() -> None:
    points = curve([0.1, 0.2], [60, 70])
    with pytest.raises(AboveCurveError, match="above this level at its lowest rate"):
        rate_at(points, 59)
    with pytest.raises(InputError, match="does not reach this level"):
        rate_at(points, 71)
    with pytest.raises(InputError, match="too few points"):
        rate_at(curve([0.1], [60]), 60)


def test_a_crossing_is_where_the_interpolated_difference_is_0() -> None:
    rates, values = [0.04, 0.07, 0.1, 0.2], [-3.0, -1.0, 0.5, 4.0]
    found = crossings(rates, values)
    pieces = PchipInterpolator(np.log(rates), values)
    assert found.rates == pytest.approx([math.exp(brentq(pieces, *np.log([0.07, 0.1])))])
    assert (found.below, found.above) == (-1, 1)


def test_every_change_of_sign_is_found_whatever_the_order_of_the_points() -> None:
    found = crossings([0.4, 0.1, 0.2], [1.0, 1.0, -1.0])
    assert len(found.rates) == 2
    assert 0.1 < found.rates[0] < 0.2 < found.rates[1] < 0.4
    assert (found.below, found.above) == (1, 1)


def test_a_point_at_0_between_two_signs_is_one_crossing() -> None:
    assert crossings([0.1, 0.2, 0.4], [-1.0, 0.0, 1.0]).rates == pytest.approx([0.2])
    assert crossings([0.1, 0.2, 0.4], [1.0, 0.0, 1.0]).rates == ()


def test_curves_that_do_not_cross_say_so_and_one_point_is_refused() -> None:
    found = crossings([0.1, 0.2], [1.0, 2.0])
    assert (found.rates, found.below, found.above) == ((), 1, 1)
    with pytest.raises(InputError, match="2 points at least, not 1"):
        crossings([0.1], [1.0])
    with pytest.raises(InputError, match="differ"):
        crossings([0.1, 0.1], [1.0, 2.0])
