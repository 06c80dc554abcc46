"""Bjøntegaard deltas: against the published package, by hand, and what is refused."""

from __future__ import annotations

import itertools
import math
import warnings

import bjontegaard
import numpy as np
import pytest

from ratewise.errors import InputError
from ratewise.metrics.bjontegaard import bd_psnr, bd_quality, bd_rate, curve

# (rate, quality), as different in shape as codecs are: evenly and unevenly spaced, saturating,
# with a knee, two and three points only.
CURVES = {
    "six": ([0.12, 0.25, 0.5, 1.0, 1.9, 3.7], [26.1, 29.0, 31.8, 34.9, 38.0, 41.2]),
    "uneven": ([0.1, 0.11, 0.3, 0.33, 2.0], [25.5, 26.3, 30.9, 31.1, 39.5]),
    "knee": ([0.2, 0.3, 0.4, 1.5, 3.0], [27.0, 31.5, 33.0, 34.1, 36.9]),
    "saturating": ([0.15, 0.6, 1.2, 2.4], [28.9, 33.0, 34.0, 34.2]),
    "three": ([0.3, 0.9, 2.5], [28.0, 32.5, 38.5]),
    "two": ([0.25, 1.4], [28.5, 36.0]),
}


@pytest.mark.parametrize("method", ["akima", "pchip"])
@pytest.mark.parametrize(("anchor", "other"), list(itertools.permutations(CURVES, 2)))
def test_deltas_are_those_of_the_published_package(anchor: str, other: str, method: str) -> None:
    curves = (*CURVES[anchor], *CURVES[other])
    options = {"method": method, "require_matching_points": False, "min_overlap": 0}
    rate, psnr = bjontegaard.bd_rate(*curves, **options), bjontegaard.bd_psnr(*curves, **options)
    assert bd_rate(*curves, method) == pytest.approx(rate, rel=1e-9)
    assert bd_psnr(*curves, method) == pytest.approx(psnr, rel=1e-9)


@pytest.mark.parametrize("seed", range(20))
def test_deltas_of_random_curves_are_those_of_the_published_package(seed: int) -> None:
    random = np.random.default_rng(seed)
    curves = []
    for count in random.integers(4, 12, 2):
        curves += [np.sort(random.uniform(0.05, 4, count)), np.sort(random.uniform(25, 45, count))]
    for method in ("akima", "pchip"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = bjontegaard.bd_rate(*curves, method, require_matching_points=False)
        assert bd_rate(*curves, method) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("method", ["akima", "pchip"])
@pytest.mark.parametrize("name", list(CURVES))
def test_eight_tenths_of_the_rate_are_twenty_per_cent_less(name: str, method: str) -> None:
    rate, quality = map(np.array, CURVES[name])
    assert bd_rate(rate, quality, 0.8 * rate, quality, method) == pytest.approx(-20.0)
    assert bd_rate(0.8 * rate, quality, rate, quality, method) == pytest.approx(25.0)
    assert bd_quality(rate, quality, rate, quality + 1.5, method) == pytest.approx(1.5)


def test_straight_lines_over_a_part_of_their_range_are_what_a_hand_computes() -> None:
    # log10 rate is 0 to 1 over 30 to 40 dB; the other's is 0.5 to 1 over 35 to 45 dB. Common:
    # 35 to 40, with means 0.75 and 0.625.
    anchor, other = ([1.0, 10.0], [30.0, 40.0]), ([10**0.5, 10.0], [35.0, 45.0])
    assert bd_rate(*anchor, *other) == pytest.approx(100 * (10**-0.125 - 1))
    # Log rates in common: 0.5 to 1, with means 37.5 and 40 dB.
    assert bd_quality(*anchor, *other) == pytest.approx(2.5)


def test_points_in_any_order_give_the_same() -> None:
    rate, quality = map(np.array, CURVES["six"])
    order = [3, 0, 5, 1, 4, 2]
    expected = bd_rate(*CURVES["uneven"], rate, quality)
    assert bd_rate(*CURVES["uneven"], rate[order], quality[order]) == expected


def test_points_that_are_not_finite_are_left_out() -> None:
    rate, quality = CURVES["six"]
    more = ([*rate, 9.0, math.nan, 8.0], [*quality, math.inf, 33.0, math.nan])
    assert bd_rate(*CURVES["uneven"], *more) == bd_rate(*CURVES["uneven"], rate, quality)
    assert curve(*more).not_finite == 3


def test_dominated_points_are_left_out() -> None:
    rate, quality = CURVES["six"]
    # Dearer and worse; dearer and the same; as dear and worse; the same point again.
    more = ([*rate, 1.2, 1.1, 0.5, 0.25], [*quality, 33.0, 34.9, 31.0, 29.0])
    assert bd_rate(*CURVES["uneven"], *more) == bd_rate(*CURVES["uneven"], rate, quality)
    assert bd_quality(*more, *CURVES["uneven"]) == bd_quality(rate, quality, *CURVES["uneven"])
    found = curve(*more)
    assert (found.dominated, len(found)) == (4, 6)
    assert (np.diff(found.rate) > 0).all()
    assert (np.diff(found.quality) > 0).all()


SIX = CURVES["six"]


@pytest.mark.parametrize(
    ("anchor", "other", "said"),
    [
        (SIX, ([0.1, 1.0], [50.0, 60.0]), "no quality in common: the anchor's is 26.1 to 41.2"),
        (SIX, ([0.1, 1.0], [41.2, 60.0]), "no quality in common"),  # they only touch
        (SIX, ([0.5], [30.0]), "the curve has too few points (1)"),
        (([], []), SIX, "the anchor has too few points (0)"),
        (SIX, ([1.0, 2.0], [30.0, math.inf]), "too few points (1, 1 not finite)"),
        (SIX, ([1.0, 2.0, 3.0], [30.0, 29.0, 28.0]), "too few points (1, 2 dominated)"),
        (SIX, ([1.0, 2.0, 3.0], [30.0, 31.0]), "one quality for each rate"),
        (SIX, ([0.0, 2.0], [30.0, 31.0]), "a rate of 0 is not allowed"),
        (SIX, ([-1.0, 2.0], [30.0, 31.0]), "a rate of -1 is not allowed"),
    ],
)
def test_what_cannot_be_compared_is_refused_with_the_reason(
    anchor: tuple[list[float], list[float]], other: tuple[list[float], list[float]], said: str
) -> None:
    with pytest.raises(InputError) as refusal:
        bd_rate(*anchor, *other)
    assert said in str(refusal.value)


def test_no_common_rate_is_refused_for_the_quality() -> None:
    with pytest.raises(InputError, match=r"no rate in common: the anchor's is 0\.12 to 3\.7"):
        bd_quality(*SIX, [5.0, 9.0], [30.0, 40.0])


def test_extreme_curves_are_refused_and_never_nan() -> None:
    tiny, huge = ([1e-300, 2e-300], [30.0, 40.0]), ([1e300, 2e300], [30.0, 40.0])
    with pytest.raises(InputError, match="too close together or too far"):
        bd_rate(*tiny, *huge)
    with pytest.raises(InputError, match="too close together or too far"):
        bd_quality(*SIX, [1.0, 1e9, np.nextafter(1e9, 2e9)], [30.0, 31.0, 32.0])
    for spacing in (1e-13, 1e-200, 5e-324):
        close = ([1.0, 2.0, 3.0, 4.0], [0.0, spacing, 2 * spacing, 30.0])
        try:
            values = [bd_rate(*SIX, *close), bd_quality(*SIX, *close)]
        except InputError:
            continue
        assert all(map(math.isfinite, values))


def test_another_method_is_refused() -> None:
    with pytest.raises(InputError, match="'cubic' is not allowed; it is akima or pchip"):
        bd_rate(*SIX, *SIX, method="cubic")  # type: ignore[arg-type]
