"""Curves from a few points, and rungs whose bytes are all measured."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ratewise.codecs.allocation import Curves, Rungs, allocate, fill, spent
from ratewise.codecs.curves import predict, shape_of, spread
from ratewise.codecs.points import Points
from ratewise.codecs.settling import promising, settle

_RUNGS = 50


def _codec(seed: int, images: int, bend: float) -> tuple[Curves, Curves]:
    """Bytes and log-MSE like a codec's: log bytes rise unevenly, every image in its own way."""
    rng = np.random.default_rng(seed)
    up = np.linspace(0, 1, _RUNGS) ** bend
    complexity = rng.uniform(0, 3, (images, 1))
    wobble = np.cumsum(rng.normal(0, 0.004, (images, _RUNGS)), axis=1)
    size = np.exp(4 + complexity + (4 - complexity / 3) * up + wobble)
    return np.maximum.accumulate(np.floor(size), axis=1), 4 + complexity - 6 * up + wobble


def _settled(size: Curves, distortion: Curves, budget: int) -> tuple[Rungs, int]:
    """The rungs, and how many measurements they took."""
    images, scouts = len(size), Points()
    points, every = Points(images), range(0, _RUNGS, 12)
    for image in range(min(4, images)):
        scouts.new_image()
        for rung in spread(lambda r, i=image: size[i, r], _RUNGS, 1e9, 12):
            scouts.add(image, rung, int(size[image, rung]), distortion[image, rung])
    for image in range(images):
        for rung in every:
            points.add(image, rung, int(size[image, rung]), distortion[image, rung])
    count = images * len(every)

    def measure(wanted: Mapping[int, int], rungs: Rungs) -> None:
        nonlocal count
        count += len(wanted)
        for image, rung in wanted.items():
            assert rungs[image] == rung
            points.add(image, rung, int(size[image, rung]), distortion[image, rung])

    shape = shape_of(scouts, _RUNGS, logarithmic=False)
    rungs = settle(points, shape, False, budget, measure)
    assert all(points.has(image, int(rung)) for image, rung in enumerate(rungs))
    return rungs, count


@example(seed=1000000, images=3, bend=0.400390625, share=0.02)
@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10**6),
    st.sampled_from([1, 2, 3, 9, 40]),
    st.floats(0.4, 2.5),
    st.floats(0.02, 0.8),
)
def test_a_budget_is_kept_and_used(seed: int, images: int, bend: float, share: float) -> None:
    size, distortion = _codec(seed, images, bend)
    low, high = size[:, 0].sum(), size[:, -1].sum()
    budget = int(low + share * (high - low))
    rungs, _ = _settled(size, distortion, budget)
    used = spent(size, rungs)
    assert used <= budget
    if images == 1:
        assert used == size[0][size[0] <= budget].max()
    else:
        reachable = fill(size, distortion, allocate(size, distortion, budget).rungs, budget)
        raises = [row[r + 1] - row[r] for row, r in zip(size, rungs, strict=True) if r + 1 < _RUNGS]
        # With few images other rungs may fill a small budget better, though none can be raised
        full = bool(raises) and budget - used < min(raises)
        assert full or used >= min(0.98 * budget, spent(size, reachable))


def test_many_images_come_near_the_optimum_with_two_more_measurements_each() -> None:
    size, distortion = _codec(1, 1000, 1.6)
    budget = int(size[:, 20].sum())
    rungs, count = _settled(size, distortion, budget)
    best = fill(size, distortion, allocate(size, distortion, budget).rungs, budget)
    fixed = distortion[:, 20].mean()
    gain, possible = (fixed - spent(distortion, r) / 1000 for r in (rungs, best))
    assert gain > 0.9 * possible
    assert count <= 1000 * (5 + 2)


def test_what_is_measured_is_kept_and_the_rest_is_monotone() -> None:
    size, distortion = _codec(2, 5, 0.5)
    points = Points(5)
    for image in range(5):
        for rung in (0, 7, 30):
            points.add(image, rung, int(size[image, rung]), distortion[image, rung])
    shape = shape_of(points, _RUNGS, logarithmic=False)
    predicted, values = predict(points, shape, logarithmic=False)
    np.testing.assert_array_equal(predicted[:, [0, 7, 30]], size[:, [0, 7, 30]])
    np.testing.assert_array_equal(values[:, [0, 7, 30]], distortion[:, [0, 7, 30]])
    assert (np.diff(predicted, axis=1) >= 0).all()
    assert (np.diff(values, axis=1) <= 0).all()


def test_one_scouted_image_tells_the_shape_of_another() -> None:
    size, distortion = _codec(3, 1, 0.5)
    scout, other = Points(1), Points(1)
    for rung in range(_RUNGS):
        scout.add(0, rung, int(size[0, rung]), distortion[0, rung])
    for rung in (0, _RUNGS - 1):
        other.add(0, rung, int(100 * size[0, rung]), distortion[0, rung] + 1)
    shape = shape_of(scout, _RUNGS, logarithmic=False)
    predicted, values = predict(other, shape, logarithmic=False)
    np.testing.assert_allclose(predicted, 100 * size, rtol=1e-3)
    np.testing.assert_allclose(values, distortion + 1, rtol=1e-3)


def test_an_image_that_fails_takes_no_part() -> None:
    size, distortion = _codec(4, 12, 1.0)
    points = Points(12)
    for image in range(12):
        for rung in (0, 25, _RUNGS - 1):
            points.add(image, rung, int(size[image, rung]), distortion[image, rung])

    def measure(wanted: Mapping[int, int], rungs: Rungs) -> None:
        for image, rung in wanted.items():
            if image == 5:
                points.alive[image] = False
            else:
                points.add(image, rung, int(size[image, rung]), distortion[image, rung])

    budget = int(size[:, 20].sum())
    rungs = settle(points, shape_of(points, _RUNGS, False), False, budget, measure)
    assert rungs[5] == -1
    there = np.arange(12) != 5
    assert 0.98 * budget <= spent(size[there], rungs[there]) <= budget


def test_scouting_looks_closer_where_the_bytes_rise_most() -> None:
    size = np.exp(np.linspace(0, 1, 101) ** 0.3 * 6)
    asked: list[int] = []

    def measure(rung: int) -> float:
        asked.append(rung)
        return float(size[rung])

    found = spread(measure, 101, 1e9, 12)
    assert sorted(asked) == found
    assert len(found) == 12
    assert found[:3] == [0, 1, 2]
    assert np.diff(np.log(size[found]))[1:].max() < 0.8
    assert spread(measure, 101, size[10], 12)[-1] < 40


def test_rungs_that_no_prediction_can_tell_apart_do_not_cost_an_encode_each() -> None:
    rng = np.random.default_rng(5)
    size = 100 + rng.integers(0, 3, (9, _RUNGS)).astype(float)
    distortion = np.tile(np.linspace(5, 4, _RUNGS), (9, 1))
    _, count = _settled(size, distortion, int(size[:, 0].sum()))
    assert count <= 9 * 5 + 9 * 13


@pytest.mark.parametrize("images", [2, 3])
def test_a_few_images_come_within_a_tenth_of_a_decibel_of_every_combination(images: int) -> None:
    for seed in range(10):
        size, distortion = _codec(seed, images, 0.7)
        rng = np.random.default_rng(seed)
        distortion = distortion + rng.normal(0, 0.03, distortion.shape)  # curves are not smooth
        budget = int(size[:, 25].sum())
        rungs, _ = _settled(size, distortion, budget)
        sums, losses = np.zeros(1), np.zeros(1)
        for image in range(images):
            sums = np.add.outer(sums, size[image]).ravel()
            losses = np.add.outer(losses, distortion[image]).ravel()
        best = losses[sums <= budget].min()
        gap = 10 / np.log(10) * (spent(distortion, rungs) - best) / images
        assert gap < 0.1


def test_from_an_earlier_choice_few_others_are_measured() -> None:
    size, distortion = _codec(7, 40, 1.0)
    points = Points(40)
    for image in range(40):
        for rung in (0, 10, 20, 30, 40, _RUNGS - 1):
            points.add(image, rung, int(size[image, rung]), distortion[image, rung])
    measured: list[int] = []

    def measure(wanted: Mapping[int, int], rungs: Rungs) -> None:
        for image, rung in wanted.items():
            measured.append(image)
            points.add(image, rung, int(size[image, rung]), distortion[image, rung])

    shape, budget = shape_of(points, _RUNGS, False), int(size[:, 22].sum())
    start = settle(points, shape, False, budget, measure)
    measured.clear()
    size[3] *= 1.5
    points.forget(3)
    for rung in (0, 20, 40):
        points.add(3, rung, int(size[3, rung]), distortion[3, rung])
    start[3] = -1
    rungs = settle(points, shape, False, budget, measure, start)
    assert 0.98 * budget <= spent(size, rungs) <= budget
    assert len(measured) <= 12


@pytest.mark.parametrize("images", [3, 20])
def test_a_few_coarse_points_are_combined(images: int) -> None:
    rng = np.random.default_rng(6)
    size = rng.integers(80, 120, (images, 1)) * np.array([[1.0, 2.0, 4.0]])
    distortion = np.tile([3.0, 2.0, 1.0], (images, 1))
    points = Points(images)
    for image in range(images):
        for rung in range(3):
            points.add(image, rung, int(size[image, rung]), distortion[image, rung])
    budget = int(size[:, 1].sum())
    rungs = settle(points, shape_of(points, 3, False), False, budget, lambda wanted, rungs: None)
    assert 0.98 * budget <= spent(size, rungs) <= budget


def _all_measured(size: Curves, distortion: Curves, rungs: tuple[int, ...]) -> Points:
    points = Points(len(size))
    for image in range(len(size)):
        for rung in rungs:
            points.add(image, rung, int(size[image, rung]), distortion[image, rung])
    return points


@pytest.mark.parametrize("images", [3, 20])
def test_bytes_that_buy_nothing_are_left_over_where_distortion_wobbles(images: int) -> None:
    size = np.tile([100.0, 200, 300, 400], (images, 1))
    distortion = np.tile([9.0, 1, 4, 2], (images, 1))
    points = _all_measured(size, distortion, (0, 1, 2, 3))
    shape = shape_of(points, 4, True)
    budget = 400 * images
    rungs = settle(points, shape, True, budget, lambda wanted, rungs: None, monotone=False)
    assert rungs.tolist() == [1] * images


def test_the_rungs_to_look_at_next_are_those_that_the_price_likes_best() -> None:
    size = np.cumsum(np.full((6, 9), 100.0), axis=1)
    distortion = np.geomspace(8, 0.01, 9) * np.ones((6, 1))
    points = _all_measured(size, distortion, (0, 4, 8))
    shape, budget = shape_of(points, 9, True), 6 * 450
    found = promising(points, shape, True, budget, 2)
    predicted, loss = predict(points, shape, True)
    cost = loss + allocate(predicted, loss, budget).price * predicted
    for image, rungs in found.items():
        others = [rung for rung in (1, 2, 3, 5, 6, 7) if rung not in rungs]
        assert max(cost[image, list(rungs)]) <= min(cost[image, others])
    assert sorted(found) == list(range(6))
    everything = _all_measured(size, distortion, tuple(range(9)))
    assert promising(everything, shape, True, budget, 2) == {}
