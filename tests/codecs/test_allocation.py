"""Sharing a budget among curves: against brute force, and what must hold for any curves."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratewise.codecs.allocation import Curves, allocate, combine, fill, spent, trim


def _convex(seed: int, images: int, rungs: int) -> tuple[Curves, Curves]:
    """Curves on their own lower hull: each byte buys less than the one before."""
    rng = np.random.default_rng(seed)
    steps = rng.integers(1, 60, (images, rungs)).astype(float)
    slopes = -np.sort(-rng.uniform(0.01, 1, (images, rungs)), axis=1)
    size = np.cumsum(steps, axis=1) + rng.integers(0, 50, (images, 1))
    return size, 100 - np.cumsum(steps * slopes, axis=1)


def _anything(seed: int, images: int, rungs: int) -> tuple[Curves, Curves]:
    rng = np.random.default_rng(seed)
    size = rng.integers(1, 200, (images, rungs)).astype(float)
    return size, rng.integers(-5, 5, (images, rungs)).astype(float)


def _brute_force(size: Curves, distortion: Curves, budget: float, least: float = 0) -> float:
    rows = range(len(size))
    totals = (
        (sum(distortion[i, r] for i, r in zip(rows, rungs, strict=True)), rungs)
        for rungs in itertools.product(range(size.shape[1]), repeat=len(size))
        if least <= sum(size[i, r] for i, r in zip(rows, rungs, strict=True)) <= budget
    )
    return min((total for total, _ in totals), default=np.inf)


_CASES = st.tuples(st.integers(0, 10**6), st.integers(1, 4), st.integers(2, 5))


@settings(max_examples=60, deadline=None)
@given(_CASES, st.floats(0, 1), st.sampled_from([_convex, _anything]))
def test_no_rungs_of_as_many_bytes_are_better(case, share, make) -> None:
    size, distortion = make(*case)
    low, high = size.min(axis=1).sum(), size.max(axis=1).sum()
    budget = low + share * (high - low)
    rungs = allocate(size, distortion, budget).rungs
    used = spent(size, rungs)
    assert used <= budget
    assert spent(distortion, rungs) == pytest.approx(_brute_force(size, distortion, used))


@settings(max_examples=60, deadline=None)
@given(_CASES, st.floats(0, 1))
def test_filled_it_is_within_one_step_of_the_best(case, share) -> None:
    size, distortion = _convex(*case)
    low, high = size.min(axis=1).sum(), size.max(axis=1).sum()
    budget = low + share * (high - low)
    rungs = fill(size, distortion, allocate(size, distortion, budget).rungs, budget)
    best = _brute_force(size, distortion, budget)
    largest_step = -np.diff(distortion, axis=1).min()
    assert best - 1e-9 <= spent(distortion, rungs) <= best + largest_step


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(st.integers(0, 10**6), st.integers(1, 40), st.integers(1, 12)),
    st.floats(0, 1.2),
    st.sampled_from([_convex, _anything]),
)
def test_a_budget_is_kept_and_no_step_up_that_fits_is_left(case, share, make) -> None:
    size, distortion = make(*case)
    low, high = size.min(axis=1).sum(), size.max(axis=1).sum()
    budget = low + share * (high - low)
    rungs = fill(size, distortion, allocate(size, distortion, budget).rungs, budget)
    left = budget - spent(size, rungs)
    assert left >= 0
    rows = np.arange(len(size))
    cost, gain = size - size[rows, rungs][:, None], distortion[rows, rungs][:, None] - distortion
    assert not ((gain > 0) & (cost <= left)).any()
    top = size.argmax(axis=1)
    trimmed = trim(size, distortion, top, budget)
    assert spent(size, trimmed) <= budget


@settings(max_examples=60, deadline=None)
@given(_CASES, st.floats(0.1, 1), st.sampled_from([_convex, _anything]))
def test_combinations_are_the_best_of_all(case, share, make) -> None:
    size, distortion = make(*case)
    low, high = size.min(axis=1).sum(), size.max(axis=1).sum()
    budget = low + share * (high - low)
    for least in (0.0, 0.98 * budget):
        found = combine(size, distortion, least, budget)
        best = _brute_force(size, distortion, budget, least)
        if found is None:
            assert best == np.inf
        else:
            assert least <= spent(size, found) <= budget
            assert spent(distortion, found) == pytest.approx(best)


def test_the_best_rungs_cost_nothing_more_where_they_fit() -> None:
    size, distortion = _convex(1, 3, 4)
    allocation = allocate(size, distortion, 1e6)
    assert allocation.rungs.tolist() == [3, 3, 3]
    assert allocation.price == 0


def test_of_equal_pictures_the_smaller_file_is_taken() -> None:
    size, distortion = np.array([[10.0, 30.0, 20.0]]), np.array([[5.0, 1.0, 1.0]])
    assert allocate(size, distortion, 100).rungs.tolist() == [2]


def test_rungs_that_an_image_does_not_have_are_never_taken() -> None:
    size = np.array([[10.0, np.inf, 30.0], [10.0, 20.0, np.inf]])
    distortion = np.array([[9.0, np.inf, 1.0], [9.0, 8.0, np.inf]])
    assert allocate(size, distortion, 45).rungs.tolist() == [2, 0]
    assert fill(size, distortion, np.array([0, 0]), 45).tolist() == [2, 0]
    assert trim(size, distortion, np.array([2, 1]), 45).tolist() == [2, 0]
    found = combine(size, distortion, 0, 50)
    assert found is not None
    assert found.tolist() == [2, 1]


def test_equal_images_do_not_all_step_at_once() -> None:
    size, distortion = np.tile([10.0, 20.0], (100, 1)), np.tile([2.0, 1.0], (100, 1))
    rungs = fill(size, distortion, allocate(size, distortion, 1505).rungs, 1505)
    assert spent(size, rungs) == 1500


def test_a_budget_below_the_smallest_files_is_an_error() -> None:
    size, distortion = _convex(1, 3, 4)
    with pytest.raises(ValueError, match=f"{size[:, 0].sum():.0f} bytes at least"):
        allocate(size, distortion, size[:, 0].sum() - 1)
