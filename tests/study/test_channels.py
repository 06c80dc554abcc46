"""Spelling of configurations and choice of image shares."""

from __future__ import annotations

from fractions import Fraction

import pytest

from ratewise.errors import InputError
from ratewise.study.channels import Channel, Configuration
from ratewise.study.shares import share_indices

_TRAIN, _TEST = "OCRA", "OCRA"
_SPELLINGS = [
    *(train + test for train in _TRAIN for test in _TEST),
    *(f"{train}{test}@25%" for train in ("o", "r", "o+c", "o+r") for test in _TEST),
    "CO#25%",
    "OO#12.5%",
    "RO(rdn)",
    "RO#50%(rdn)",
    "rR@0.1%",
    "o+cO@12.5%#25%(rdn)",
    "AA(small-2.b_c)",
]


@pytest.mark.parametrize("text", _SPELLINGS)
def test_a_configuration_prints_as_it_was_spelled(text: str) -> None:
    assert Configuration.parse(text).name == text


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("CO#100%", "CO"),
        ("CO#25.0%", "CO#25%"),
        ("oO@012.50%", "oO@12.5%"),
        ("rO@0.000010%", "rO@0.00001%"),
        ("rO@33.3333333%", "rO@33.3333333%"),
    ],
)
def test_there_is_one_spelling(text: str, canonical: str) -> None:
    assert Configuration.parse(text).name == canonical
    assert Configuration.parse(canonical) == Configuration.parse(text)


def test_a_spelling_is_read_as_its_channels() -> None:
    parsed = Configuration.parse("o+rA@12.5%#25%(rdn)")
    assert parsed.train == Channel("o+r", None, "rdn", Fraction(1, 8))
    assert parsed.test == Channel("A", None, "rdn")
    assert parsed.share == Fraction(1, 4)
    assert parsed.share_name == "@12.5%#25%"


def test_only_compressed_sides_get_the_codec_of_a_sweep() -> None:
    parsed = Configuration.parse("oR@50%").through("jpeg:quality=5")
    assert (parsed.train.codec, parsed.test.codec) == ("png", "jpeg:quality=5")
    assert Configuration.parse("o+cO@50%").through("jpeg:quality=5").train.codec != "png"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not known; allowed: O, C, R, A, o, r, o"),
        ("XO", "is not known"),
        ("co", "is not known"),
        ("oo@50%", "is not known"),
        ("COC", "is not known"),
        ("c+oO@50%", "is not known"),
        ("CO#", "is not known"),
        ("CO#25", "is not known"),
        ("CO#25%@50%", "is not known"),
        ("RO()", "is not known"),
        ("RO(a b)", "is not known"),
        ("RO (a)", "is not known"),
        ("rO@1e1%", "is not known"),
        ("CO#0%", "the image share must be over 0 and up to 100 %"),
        ("CO#101%", "the image share must be over 0 and up to 100 %"),
        ("rO", r"r needs a share of privileged originals, such as rO@12\.5%"),
        ("o+cC#25%", r"such as o\+cC@12\.5%"),
        ("RO@50%", "R takes no share of privileged originals"),
        ("rO@0%", "over 0 and under 100 %"),
        ("oO@100%", "over 0 and under 100 %"),
    ],
)
def test_a_wrong_configuration_is_refused_in_a_sentence(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        Configuration.parse(text)
    assert str(caught.value).startswith(f"configuration {text!r}")
    assert "\n" not in str(caught.value)


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
