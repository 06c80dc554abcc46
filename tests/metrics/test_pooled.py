from __future__ import annotations

import math

import numpy as np
import pytest

from ratewise.errors import InputError
from ratewise.metrics.paired import student
from ratewise.metrics.pooled import pooled_difference


def _study(rng, seeds, images, effect=0.0, of_runs=0.0, of_images=0.0):
    """Made-up outcomes of models that are right on four images in five, each run changing its mind
    on a fifth of them. ``effect`` is the true difference of accuracies, ``of_runs`` its standard
    deviation from run to run, ``of_images`` that from image to image."""
    base = rng.random(images) < 0.8
    own = rng.normal(0, of_images, images)
    points = []
    for count in seeds:
        before, after = [], []
        for _ in range(count):
            for found, shift in ((before, 0.0), (after, effect + rng.normal(0, of_runs) + own)):
                changed = rng.random(images) < 0.2
                chance = np.clip(0.5 + np.asarray(shift) / 0.2, 0, 1)
                found.append(np.where(changed, rng.random(images) < chance, base))
        points.append((np.array(before), np.array(after)))
    return points


def test_the_mean_gives_every_point_the_same_weight_whatever_its_seeds():
    wrong, right = np.zeros((1, 4), bool), np.ones((1, 4), bool)
    half = np.array([[True, True, False, False]])
    three = np.concatenate([right, half, half])  # +1, +1/2, +1/2 to all wrong
    found = pooled_difference([(np.zeros((3, 4), bool), three), (right, half), (wrong, wrong)])
    assert found.points == pytest.approx((2 / 3, -1 / 2, 0.0))
    assert found.mean == pytest.approx((2 / 3 - 1 / 2) / 3)
    assert (found.images, found.runs, found.freedom) == (4, 5, 2)


@pytest.mark.parametrize(
    ("of_runs", "of_images"), [(0.0, 0.0), (0.01, 0.0), (0.0, 0.05)], ids=["", "runs", "images"]
)
def test_without_a_difference_the_interval_holds_0_in_about_95_of_100_studies(of_runs, of_images):
    rng = np.random.default_rng(1)
    held = 0
    for index in range(100):
        points = _study(rng, (3, 3, 1, 1), 400, of_runs=of_runs, of_images=of_images)
        found = pooled_difference(points, resamples=600, seed=index)
        held += found.low <= 0 <= found.high
    assert 89 <= held <= 99  # 95 of 100 has a standard deviation of 2.2


def test_a_difference_that_is_there_is_found():
    points = _study(np.random.default_rng(2), (3, 3, 3), 3000, effect=0.02, of_runs=0.002)
    found = pooled_difference(points)
    assert found.clear
    assert found.low < 0.02 < found.high
    assert found.detectable == pytest.approx((found.high - found.low) / 2)
    assert not pooled_difference([(after, after) for _, after in points]).clear


def test_of_one_run_the_interval_is_that_of_the_images():
    before, after = _study(np.random.default_rng(3), (1,), 2000, effect=0.03)[0]
    difference = after[0].astype(float) - before[0]
    half = 1.96 * difference.std(ddof=1) / math.sqrt(difference.size)
    found = pooled_difference([(before, after)], resamples=20_000)
    assert found.freedom == 0
    assert found.low == pytest.approx(difference.mean() - half, abs=0.05 * half)
    assert found.high == pytest.approx(difference.mean() + half, abs=0.05 * half)


def test_where_images_agree_the_interval_is_students_over_seeds():
    gains = np.random.default_rng(4).normal(0.01, 0.004, 10)
    after = np.repeat(gains[:, None], 50, axis=1)
    found = pooled_difference([(np.zeros_like(after), after)], resamples=40_000)
    expected = student(gains)
    width = expected.high - expected.low
    assert found.mean == pytest.approx(expected.mean)
    assert found.low == pytest.approx(expected.low, abs=0.06 * width)
    assert found.high == pytest.approx(expected.high, abs=0.06 * width)


def test_points_of_one_seed_have_their_share_of_the_chance_of_seeds():
    points = _study(np.random.default_rng(5), (3, 3, 1, 1), 2000, of_runs=0.02)
    single = [(before[:1], after[:1]) for before, after in points]
    assert pooled_difference(points).detectable > 1.5 * pooled_difference(single).detectable


def test_the_interval_is_decided_by_its_seed():
    points = _study(np.random.default_rng(6), (2, 2), 200)
    assert pooled_difference(points, seed=3) == pooled_difference(points, seed=3)
    assert pooled_difference(points, seed=3) != pooled_difference(points, seed=4)


def test_scores_with_many_values_are_drawn_in_parts():
    rng = np.random.default_rng(7)
    before = rng.random((1, 9000))
    after = before + rng.normal(0.01, 0.1, before.shape)
    found = pooled_difference([(before, after)], resamples=2000)  # 18 million counts in all
    half = 1.96 * (after - before).std() / math.sqrt(9000)
    assert found.detectable == pytest.approx(half, rel=0.1)


@pytest.mark.parametrize(
    ("points", "options", "said"),
    [
        ([], {}, "no operating points"),
        ([(np.ones((2, 3)), np.ones((1, 3)))], {}, r"\(2, 3\) and \(1, 3\) are no pair"),
        ([(np.ones(3), np.ones(3))], {}, r"no pair of \(seeds, images\)"),
        (
            [(np.ones((1, 3)), np.ones((1, 3))), (np.ones((1, 4)), np.ones((1, 4)))],
            {},
            "have 3 and 4 images",
        ),
        ([(np.ones((1, 1)), np.ones((1, 1)))], {}, "two images or more"),
        ([(np.ones((1, 2)), np.array([[1.0, np.nan]]))], {}, "not a finite number"),
        ([(np.ones((1, 2)), np.ones((1, 2)))], {"resamples": 10}, "resamples = 10"),
        ([(np.ones((1, 2)), np.ones((1, 2)))], {"confidence": 1.0}, "confidence 1.0"),
    ],
)
def test_what_is_no_comparison_is_refused(points, options, said):
    with pytest.raises(InputError, match=said):
        pooled_difference(points, **options)
