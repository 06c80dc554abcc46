"""The operating points of a codec in order of quality."""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

import pytest

from ratewise.codecs import registry
from ratewise.codecs.base import OperatingPoint
from ratewise.codecs.ladder import ladder
from ratewise.codecs.png import PngCodec
from ratewise.errors import InputError


def test_the_worst_picture_comes_first_as_the_codec_declares() -> None:
    jpeg, bpg = ladder("jpeg"), ladder("bpg:chroma=444")
    assert (len(jpeg), jpeg.spec(0), jpeg.spec(99)) == (100, "jpeg:quality=1", "jpeg:quality=100")
    assert (len(bpg), bpg.spec(0)) == (52, "bpg:qp=51,chroma=444")
    assert bpg.spec(51) == "bpg:qp=0,chroma=444"
    assert bpg.family == "bpg:chroma=444"
    assert jpeg.family == "jpeg"


def test_a_list_gives_its_points_alone_sorted_and_once() -> None:
    assert ladder("bpg:qp=33,29,37,33").values == (37.0, 33.0, 29.0)
    assert ladder("jpeg:quality=30,5,subsampling=444").spec(0) == "jpeg:quality=5,subsampling=444"
    assert ladder("jpeg2000:ratio=12.5").values == (12.5,)


def test_a_real_operating_point_has_a_rung_at_every_per_cent_from_end_to_end() -> None:
    values = ladder("jpeg2000").values
    assert (values[0], values[-1]) == (1_000_000, 1)
    steps = [larger / smaller for larger, smaller in pairwise(values)]
    assert all(1.0 < step < 1.0111 for step in steps)
    assert ladder("jpeg2000").spec(1389) == "jpeg2000:ratio=1"


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("png", "no operating point"),
        ("jpgg", "unknown codec"),
        ("bpg:qp=29,52", "qp=52 is not allowed"),
        ("bpg:qp=29.5", "qp=29.5 is not allowed"),
        ("jpeg2000:ratio=nan", "ratio=nan is not allowed"),
        ("jpeg:subsampling=420,444", "only quality may have several"),
        ("jpeg:subsampling=421", "subsampling=421 is not allowed"),
    ],
)
def test_wrong_specs_are_refused(spec: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        ladder(spec)


@pytest.mark.parametrize(
    ("point", "count"),
    [
        (OperatingPoint("level", 0, 1, True, integer=False), 1001),
        (OperatingPoint("level", 1, 8, True), 8),
        (OperatingPoint("level", 0, float("inf"), True, integer=False), None),
        (OperatingPoint("level", 0, 2**31, True), None),
    ],
)
def test_codecs_of_other_packages_have_finitely_many_rungs(
    point: OperatingPoint, count: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Other(PngCodec):
        codec_name: ClassVar[str] = "other"
        level: float = 6

        @classmethod
        def range(cls) -> OperatingPoint | None:
            return point

    monkeypatch.setattr(registry, "kind", lambda name: Other)
    if count is None:
        with pytest.raises(InputError, match="list those to choose from"):
            ladder("other")
        assert ladder("other:level=1,2").values == (1, 2)
    else:
        assert len(ladder("other")) == count
