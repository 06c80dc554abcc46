from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from ratewise.errors import InputError
from ratewise.metrics.paired import student


def test_the_interval_is_that_of_students_t() -> None:
    values = np.random.default_rng(1).normal(0.03, 0.01, 5)
    found = student(values)
    assert found is not None
    low, high = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.mean == pytest.approx(values.mean())
    assert found.std == pytest.approx(values.std(ddof=1))
    assert found.clear
    assert found.same_sign


def test_one_value_has_no_interval_and_is_never_clear() -> None:
    found = student([0.5])
    assert found is not None
    assert not found.has_interval
    assert not found.clear
    assert not found.same_sign
    assert (found.mean, found.count) == (0.5, 1)


def test_missing_values_are_left_out_and_nothing_gives_nothing() -> None:
    found = student([math.nan, 1.0, 3.0])
    assert found is not None
    assert (found.mean, found.count) == (2.0, 2)
    assert student([math.nan]) is None
    assert student([]) is None


def test_the_negative_has_its_interval_the_other_way_round() -> None:
    found = student([1.0, 2.0, 4.0])
    assert found is not None
    turned = student([-1.0, -2.0, -4.0])
    assert turned is not None
    assert ((-found).low, (-found).high) == pytest.approx((turned.low, turned.high))


def test_values_of_both_signs_do_not_agree() -> None:
    found = student([1.0, -0.1, 1.0])
    assert found is not None
    assert not found.same_sign
    assert not found.clear


def test_a_confidence_outside_of_0_to_1_is_refused() -> None:
    with pytest.raises(InputError, match=r"confidence 95 is not allowed"):
        student([1.0, 2.0], 95)
