"""Specs: one spelling, parsed and printed both ways."""

from __future__ import annotations

import pytest

from ratewise.codecs import codec, expand, family
from ratewise.errors import InputError


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("png", "png"),
        ("png:level=9", "png:level=9"),
        ("jpeg", "jpeg:quality=75"),
        ("jpeg:subsampling=444,quality=10", "jpeg:quality=10,subsampling=444"),
        ("jpeg:quality=10,subsampling=420,progressive=no", "jpeg:quality=10"),
        ("jpeg:quality=10,optimize=1", "jpeg:quality=10,optimize=true"),
        (" jpeg : quality = 010 ", "jpeg:quality=10"),
        ("jpeg2000:ratio=75.0", "jpeg2000:ratio=75"),
        ("jpeg2000:mode=paper,ratio=12.5", "jpeg2000:ratio=12.5,mode=paper"),
        ("webp:method=6", "webp:quality=75,method=6"),
        ("avif:speed=6,quality=0", "avif:quality=0"),
    ],
)
def test_the_canonical_spelling_is_parsed_back_to_itself(written: str, canonical: str) -> None:
    assert codec(written).spec == canonical
    assert codec(canonical).spec == canonical
    assert codec(canonical) == codec(written)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("jpg:quality=5", r"unknown codec 'jpg'; did you mean jpeg\? \(codecs: png, jpeg, "),
        ("", "write NAME"),
        (":quality=5", "write NAME"),
        ("jpeg:", "is not option=value"),
        ("jpeg:5", "'5' is not option=value"),
        ("jpeg:quality=", "'quality=' is not option=value"),
        ("jpeg:qualty=5", r"codec 'jpeg': unknown option 'qualty'; did you mean quality\? \(opt"),
        ("jpeg:quality=101", "'jpeg': quality=101 is not allowed; .* whole number from 1 to 100"),
        ("jpeg:quality=high", "quality=high is not allowed"),
        ("jpeg:quality=7.5", "quality=7.5 is not allowed"),
        ("jpeg:subsampling=411", "subsampling=411 is not allowed; subsampling is 420, 422 or 444"),
        ("jpeg:progressive=maybe", "progressive is true or false"),
        ("jpeg:quality=5,quality=6", "option 'quality' is given twice"),
        ("jpeg:quality=5,6", "option 'quality' has 2 values"),
        ("jpeg2000:ratio=0.5", "ratio=0.5 is not allowed; ratio is a number from 1"),
        ("jpeg2000:ratio=nan", "ratio=nan is not allowed"),
        ("jpeg2000:mode=fast", "mode is standard or paper"),
        ("png:quality=5", r"unknown option 'quality' \(options: level\)"),
    ],
)
def test_a_wrong_spec_names_the_codec_the_option_and_what_is_allowed(spec: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        codec(spec)


def test_a_sweep_gives_every_combination_once_in_order() -> None:
    assert expand("jpeg:quality=5,10,subsampling=444,420") == [
        "jpeg:quality=5,subsampling=444",
        "jpeg:quality=5",
        "jpeg:quality=10,subsampling=444",
        "jpeg:quality=10",
    ]
    assert expand("jpeg:quality=5,10,30,subsampling=444")[2] == "jpeg:quality=30,subsampling=444"
    assert expand("jpeg2000:ratio=75,75.0") == ["jpeg2000:ratio=75"]
    assert expand("png") == ["png"]


def test_a_sweep_with_one_wrong_value_is_refused() -> None:
    with pytest.raises(InputError, match="quality=300"):
        expand("jpeg:quality=5,300")
    with pytest.raises(InputError, match="given twice"):
        expand("jpeg:quality=5,10,quality=30")


def test_a_family_is_the_spec_without_its_operating_point() -> None:
    assert family("jpeg:quality=5") == "jpeg"
    assert family("jpeg:quality=5,subsampling=444") == "jpeg:subsampling=444"
    assert family("png:level=9") == "png:level=9"
