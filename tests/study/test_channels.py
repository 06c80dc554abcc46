"""Spelling of configurations and choice of image shares."""

from __future__ import annotations

from fractions import Fraction

import pytest

from ratewise.errors import InputError
from ratewise.study.channels import Configuration
from ratewise.study.shares import share_indices


@pytest.mark.parametrize("text", ["OO", "CO", "OC", "CC", "CO#25%", "OO#12.5%"])
def test_a_configuration_prints_as_it_was_spelled(text: str) -> None:
    assert Configuration.parse(text).name == text


def test_a_share_of_all_images_is_no_share() -> None:
    assert Configuration.parse("CO#100%") == Configuration.parse("CO")


@pytest.mark.parametrize("text", ["", "XO", "co", "CO#", "CO#25", "CO#0%", "CO#101%", "COC"])
def test_a_wrong_configuration_is_refused_by_name(text: str) -> None:
    with pytest.raises(InputError, match="configuration '"):
        Configuration.parse(text)


def test_shares_of_one_seed_are_nested() -> None:
    quarter, half = (
        set(share_indices(101, share, 3)) for share in (Fraction(1, 4), Fraction(1, 2))
    )
    assert quarter < half < set(share_indices(101, Fraction(1), 3))
    assert len(quarter) == 25
    assert len(half) == 50


def test_shares_of_two_seeds_differ() -> None:
    assert share_indices(100, Fraction(1, 4), 0) != share_indices(100, Fraction(1, 4), 1)


def test_a_share_holds_at_least_one_image() -> None:
    assert len(share_indices(5, Fraction(1, 100), 0)) == 1
