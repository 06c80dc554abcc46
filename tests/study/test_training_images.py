"""Which images of its stores a model of the task is trained on."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from ratewise.study.privileged import PrivilegedShare
from ratewise.study.shares import TrainingImages, share_indices, training_images

_IMAGES = [(f"{drive}/{frame}", drive) for drive in "ab" for frame in range(20)]
_HALF = {"share": "1/2", "seed": 7, "without": []}
_INSIDE = PrivilegedShare(Fraction(1, 2), 7).members(_IMAGES)


def _chosen(images: dict[str, Any] | None, share: str = "1", seed: int = 3) -> TrainingImages:
    params: dict[str, Any] = {"share": share, "seed": seed}
    return training_images(params if images is None else params | {"images": images}, _IMAGES)


def test_without_a_rule_it_is_the_image_share_of_all() -> None:
    assert _chosen(None).indices == list(range(40))
    assert _chosen(None, "1/4").indices == share_indices(40, Fraction(1, 4), 3)


def test_groups_set_apart_are_left_out() -> None:
    assert _chosen({"use": "all", "without": ["a"]}).indices == list(range(20, 40))


@pytest.mark.parametrize("seed", [0, 1])
def test_the_privileged_share_does_not_follow_the_seed_of_the_study(seed: int) -> None:
    assert _chosen({"use": "only", **_HALF}, seed=seed).indices == _INSIDE


def test_only_and_outside_are_complements() -> None:
    only, outside = (_chosen({"use": use, **_HALF}).indices for use in ("only", "outside"))
    assert sorted(only + outside) == list(range(40))
    assert not set(only) & set(outside)


def test_in_a_mixture_the_privileged_images_are_originals() -> None:
    chosen = _chosen({"use": "replaced", **_HALF})
    assert chosen.indices == list(range(40))
    assert chosen.originals == set(_INSIDE)


def test_an_image_share_of_a_mixture_takes_as_much_of_either_part() -> None:
    smaller = _chosen({"use": "replaced", **_HALF}, "1/10")
    larger = _chosen({"use": "replaced", **_HALF}, "1/2")
    assert (len(smaller.indices), len(smaller.originals)) == (4, 2)
    assert (len(larger.indices), len(larger.originals)) == (20, 10)
    assert set(smaller.indices) < set(larger.indices)
    assert smaller.originals < larger.originals <= set(_INSIDE)


def test_a_share_is_of_what_is_left_without_the_groups_set_apart() -> None:
    chosen = _chosen({"use": "only", **_HALF, "without": ["a"]})
    assert len(chosen.indices) == 10
    assert min(chosen.indices) >= 20
