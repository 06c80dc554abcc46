"""Privileged shares: nested, contiguous, and never restored by a restorer that saw them."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from ratewise.errors import InputError
from ratewise.study.privileged import (
    FIRST,
    SECOND,
    WHOLE,
    Frame,
    PrivilegedShare,
    apart,
    collected,
    trained,
)

_SHARES = st.fractions(Fraction(1, 1000), Fraction(999, 1000))
_SEEDS = st.integers(0, 5)
# Small shares leave no image to train on after the margins, and are set aside: often
_some = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.filter_too_much]
)


@st.composite
def _images(draw: st.DrawFn) -> list[Frame]:
    """Drives of different lengths; with tiles, several images of one frame."""
    lengths = draw(st.lists(st.integers(1, 40), min_size=1, max_size=6))
    tiles = draw(st.integers(1, 3))
    return [
        (f"{drive}/{frame}", f"drive {drive}")
        for drive, length in enumerate(lengths)
        for frame in range(length)
        for _ in range(tiles)
    ]


def _drives(*lengths: int) -> list[Frame]:
    return [(f"{d}/{f}", f"{d}") for d, length in enumerate(lengths) for f in range(length)]


def _place(images: list[Frame], index: int) -> tuple[str, int]:
    """The group of an image, and the number of its frame in it."""
    frame, group = images[index]
    return group, int(frame.split("/")[1])


def _near(images: list[Frame], one: int, other: int, margin: int) -> bool:
    (group, place), (other_group, other_place) = _place(images, one), _place(images, other)
    return group == other_group and abs(place - other_place) <= margin


@_some
@given(_images(), _SHARES, _SHARES, _SEEDS)
def test_shares_are_nested(images: list[Frame], p: Fraction, q: Fraction, seed: int) -> None:
    small, large = (PrivilegedShare(s, seed).members(images) for s in sorted((p, q)))
    assert set(small) <= set(large)


@_some
@given(_images(), _SHARES, _SEEDS)
def test_a_share_is_a_block_at_one_end_of_each_group(
    images: list[Frame], share: Fraction, seed: int
) -> None:
    members = PrivilegedShare(share, seed).members(images)
    assert members == sorted(set(members))
    frames: dict[str, set[int]] = {}
    for index in range(len(images)):
        frames.setdefault(_place(images, index)[0], set()).add(_place(images, index)[1])
    inside: dict[str, set[int]] = {}
    for index in members:
        inside.setdefault(_place(images, index)[0], set()).add(_place(images, index)[1])
    for group, places in inside.items():
        assert all(b - a == 1 for a, b in pairwise(sorted(places)))
        assert min(places) == 0 or max(places) == max(frames[group])
        assert abs(len(places) - share * len(frames[group])) <= 1 + len(frames) / 2
    total = sum(map(len, frames.values()))
    taken = sum(map(len, inside.values()))
    expected = max(1, min(int(share * total + Fraction(1, 2)), total - 1))
    assert taken == expected
    # no frame is parted: all its tiles are in, or none
    assert {images[i][0] for i in members}.isdisjoint(
        images[i][0] for i in set(range(len(images))) - set(members)
    )


def test_a_share_of_long_groups_is_that_share_of_each() -> None:
    images = _drives(40, 80, 16)
    members = PrivilegedShare(Fraction(1, 4), 3).members(images)
    groups = [images[i][1] for i in members]
    assert [groups.count(g) for g in ("0", "1", "2")] == [10, 20, 4]


def test_a_long_group_gets_its_share_beside_many_of_one_frame() -> None:
    images = _drives(100, *[1] * 100)
    members = PrivilegedShare(Fraction(45, 100), 3).members(images)
    assert len(members) == 90
    assert abs([images[i][1] for i in members].count("0") - 45) <= 1


def test_groups_of_one_frame_are_chosen_among() -> None:
    images = _drives(*[1] * 20)
    chosen = [PrivilegedShare(Fraction(1, 4), seed).members(images) for seed in range(4)]
    assert [len(members) for members in chosen] == [5] * 4
    assert len({tuple(members) for members in chosen}) > 1


def test_groups_that_are_set_apart_are_none_of_the_share() -> None:
    images = _drives(10, 10)
    members = PrivilegedShare(Fraction(1, 2), without=("0",)).members(images)
    assert {images[i][1] for i in members} == {"1"}
    assert len(members) == 5


@_some
@given(_images(), _SHARES, _SEEDS, st.integers(0, 6))
def test_under_cross_fitting_nothing_is_restored_by_a_restorer_that_saw_it_or_a_neighbour(
    images: list[Frame], share: Fraction, seed: int, margin: int
) -> None:
    privileged = PrivilegedShare(share, seed, margin)
    try:
        sets = [privileged.trained(images, part) for part in (WHOLE, FIRST, SECOND)]
    except InputError:
        assume(False)
    assignment = privileged.assignment(images)
    assert len(assignment) == len(images)
    members = set(privileged.members(images))
    places = [{_place(images, seen) for seen in training} for training in sets]
    for image, restorer in enumerate(assignment):
        assert (image in members) == (restorer != 0)
        group, place = _place(images, image)
        near = {(group, place + step) for step in range(-margin, margin + 1)}
        assert not near & places[restorer]
    assert all(set(training) <= members for training in sets)


@_some
@given(_images(), _SHARES, _SEEDS)
def test_the_parts_are_the_whole(images: list[Frame], share: Fraction, seed: int) -> None:
    privileged = PrivilegedShare(share, seed, margin=2)
    first, second = privileged.parts(images)
    assert sorted(first + second) == privileged.members(images)


def test_the_parts_are_about_equal_and_long_blocks_are_cut_in_two() -> None:
    images = _drives(80, 80, 80)
    first, second = PrivilegedShare(Fraction(1, 2), margin=5).parts(images)
    assert len(first) == len(second) == 60
    assert {images[i][1] for i in first} == {images[i][1] for i in second} == {"0", "1", "2"}


def test_short_blocks_are_not_lost_to_the_margin() -> None:
    images = _drives(62, 101, 101, 103)  # as long as CamVid's drives
    privileged = PrivilegedShare(Fraction(1, 8), margin=5)
    whole, first, second = (privileged.trained(images, p) for p in (WHOLE, FIRST, SECOND))
    assert len(privileged.members(images)) == 46
    assert len(whole) == 46 - 4 * 5
    assert min(len(first), len(second)) >= 20


@_some
@given(_images(), _SHARES, st.integers(0, 8))
def test_apart_agrees_with_looking_at_every_pair(
    images: list[Frame], share: Fraction, margin: int
) -> None:
    members = PrivilegedShare(share).members(images)
    rest = sorted(set(range(len(images))) - set(members))
    expected = [i for i in members if not any(_near(images, i, j, margin) for j in rest)]
    assert apart(images, members, rest, margin) == expected


def test_a_share_that_the_margin_swallows_is_refused_with_what_to_change() -> None:
    with pytest.raises(InputError, match=r"margin = 5 .* lower restoration\.margin or raise"):
        PrivilegedShare(Fraction(1, 8), margin=5).trained(_drives(40))


def test_one_privileged_image_cannot_be_cross_fitted() -> None:
    privileged = PrivilegedShare(Fraction(1, 100))
    assert len(privileged.members(_drives(10))) == 1
    parts = [FIRST, SECOND]
    with pytest.raises(InputError, match=r"too few to be cut in two: .*overlap to exclude"):
        [privileged.trained(_drives(10), part) for part in parts]


def test_a_share_survives_being_written_down() -> None:
    privileged = PrivilegedShare(Fraction(1, 8), 3, 5, ("a", "b"))
    assert PrivilegedShare.from_json(privileged.to_json()) == privileged


def test_what_is_collected_is_more_than_what_is_trained_on() -> None:
    images = _drives(40, 40)
    rule = {"rule": "share", **PrivilegedShare(Fraction(1, 2), margin=5).to_json(), "part": WHOLE}
    assert len(collected(rule, images)) == 40
    assert len(trained(rule, images)) == 30
    groups = {"rule": "groups", "groups": ["1"]}
    assert collected(groups, images) == trained(groups, images) == list(range(40, 80))
    assert collected({"rule": "all"}, images) == list(range(80))
