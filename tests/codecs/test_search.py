"""The search for a goal on curves that are made up: monotone, flat in places, and wiggly."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratewise.codecs.search import Expected, first_above, most_measurements

LEVELS = st.floats(-50, 50)
STEPS = st.lists(st.floats(0, 5) | st.just(0.0), min_size=1, max_size=200)
WIGGLES = st.lists(LEVELS, min_size=1, max_size=200)


def straight(rungs: int, slope: float = 1.0, start: float = 0.0) -> Expected:
    return Expected(start + slope * np.arange(rungs), np.ones(rungs))


class Curve:
    """A curve that counts who looks at it."""

    def __init__(self, values: list[float]) -> None:
        self.values = values
        self.asked: list[int] = []

    def __call__(self, rung: int) -> float:
        self.asked.append(rung)
        return self.values[rung]


def search(values: list[float], expected: Expected, goal: float, equal: bool) -> tuple[int, Curve]:
    curve = Curve(values)
    found = first_above(curve, expected, goal, equal_is_above=equal)
    assert len(curve.asked) == len(set(curve.asked)), "a rung was measured twice"
    assert len(curve.asked) <= math.ceil(math.log2(len(values))) + 2
    return found, curve


def is_above(value: float, goal: float, equal: bool) -> bool:
    return value > goal or (equal and value == goal)


@given(STEPS, st.floats(-10, 300), st.booleans(), st.floats(0, 9), LEVELS)
@settings(max_examples=300, deadline=None)
def test_a_rising_curve_gives_the_first_rung_above_whatever_was_expected(
    steps: list[float], goal: float, equal: bool, slope: float, start: float
) -> None:
    values = list(np.cumsum(steps))
    found, _ = search(values, straight(len(values), slope, start), goal, equal)
    above = [rung for rung, value in enumerate(values) if is_above(value, goal, equal)]
    assert found == (above[0] if above else len(values))


@given(WIGGLES, LEVELS, st.booleans())
@settings(max_examples=300, deadline=None)
def test_both_sides_of_what_is_found_on_any_curve_were_measured(
    values: list[float], goal: float, equal: bool
) -> None:
    found, curve = search(values, straight(len(values)), goal, equal)
    if found < len(values):
        assert is_above(values[found], goal, equal)
        assert found in curve.asked
    if found:
        assert not is_above(values[found - 1], goal, equal)
        assert found - 1 in curve.asked


@given(STEPS, st.data())
@settings(max_examples=100, deadline=None)
def test_a_goal_that_a_rung_hits_exactly_belongs_where_it_is_told(
    steps: list[float], data: st.DataObject
) -> None:
    values = [float(v) for v in np.cumsum(steps)]
    goal = data.draw(st.sampled_from(values))
    expected = straight(len(values), 2.0)
    first, _ = search(values, expected, goal, equal=True)
    after, _ = search(values, expected, goal, equal=False)
    assert set(values[first:after]) == {goal}
    assert values.count(goal) == after - first


@pytest.mark.parametrize("rungs", [1, 2, 3, 4, 5, 8, 9, 64, 65, 100, 1390])
@pytest.mark.parametrize("slope", [0.0, 0.01, 1.0, 1000.0])
def test_bisection_is_at_most_two_measurements_better_however_wrong_the_expectation(
    rungs: int, slope: float
) -> None:
    assert most_measurements(rungs) == math.ceil(math.log2(rungs)) + 2
    values = [math.expm1(9 * rung / rungs) for rung in range(rungs)]
    for place in range(0, rungs + 1, max(rungs // 30, 1)):
        goal = values[place] - 1e-9 if place < rungs else values[-1] + 1
        assert search(values, straight(rungs, slope), goal, equal=False)[0] == place


def test_the_expected_curve_finds_itself_in_two_measurements() -> None:
    rungs = 1000
    expected = Expected(np.sqrt(np.arange(rungs)), np.full(rungs, 0.1))
    for goal in (3.3, 12.7, 29.9):
        found, curve = search(list(expected.mean), expected, goal, equal=False)
        assert found == math.floor(goal**2) + 1
        assert len(curve.asked) == 2


def test_a_curve_spreads_above_the_mean_is_found_in_three_measurements() -> None:
    rungs = 100
    mean, spread = np.linspace(0, 5, rungs), np.linspace(0.5, 0.1, rungs)
    expected = Expected(mean, spread)
    for score in (-2, -0.7, 1.3, 2):
        values = list(mean + score * spread)
        for goal in (1.51, 2.51):
            _, curve = search(values, expected, goal, equal=False)
            assert len(curve.asked) <= 3


def test_an_infinite_end_is_a_value_like_others() -> None:
    values = [30.0, 35.0, 40.0, math.inf, math.inf, math.inf]
    assert search(values, straight(6, 5.0, 30.0), 45.0, equal=True)[0] == 3
    assert search(values, straight(6, 5.0, 30.0), 38.0, equal=True)[0] == 2
    assert search([math.inf] * 6, straight(6, 5.0, 30.0), 38.0, equal=True)[0] == 0
