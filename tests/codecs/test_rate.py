"""A target instead of a setting: what is chosen for real codecs and for a made-up one."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from ratewise.codecs import codec, encode_to_bpp, encode_to_bytes, encode_to_psnr, registry
from ratewise.codecs.base import OperatingPoint
from ratewise.codecs.ladder import ladder
from ratewise.codecs.png import PngCodec
from ratewise.codecs.typical import expected_decibels, expected_log_bytes
from ratewise.errors import CodecError, InputError
from ratewise.images import Image, read_image
from ratewise.metrics.distortion import psnr


@pytest.fixture(scope="module")
def picture() -> Image:
    """Smooth areas, an edge and some noise; 48x64."""
    y, x = np.mgrid[:48, :64]
    rough = np.random.default_rng(3).normal(0, 12, (48, 64, 3))
    smooth = np.stack([3 * x + y, 2 * y + 90 * (x > y), 255 - 4 * x], -1) % 256
    return np.clip(smooth + rough, 0, 255).astype(np.uint8)


class Toy(PngCodec):
    """Files of listed sizes and errors, the same for every image of grey level 100."""

    codec_name: ClassVar[str] = "toy"
    level: int = 0
    sizes: ClassVar[list[int]] = []
    errors: ClassVar[list[int]] = []
    encoded: ClassVar[list[int]] = []

    @classmethod
    def range(cls) -> OperatingPoint | None:
        return OperatingPoint("level", 0, len(cls.sizes) - 1, True)

    @property
    def spec(self) -> str:
        return f"toy:level={self.level}"

    def encode(self, image: Image) -> bytes:
        self.encoded.append(self.level)
        return bytes([self.level]) * self.sizes[self.level]

    def decode(self, data: bytes) -> Image:
        return np.full((8, 8, 3), 100 + self.errors[data[0]], np.uint8)


GREY = np.full((8, 8, 3), 100, np.uint8)


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> type[Toy]:
    monkeypatch.setattr(registry, "kind", lambda name: Toy)
    monkeypatch.setattr(Toy, "sizes", [10, 20, 40, 80, 80, 160, 320, 640])
    monkeypatch.setattr(Toy, "errors", [60, 50, 40, 30, 20, 10, 5, 0])
    monkeypatch.setattr(Toy, "encoded", [])
    return Toy


@pytest.mark.parametrize("family", ["jpeg", "webp", "bpg:preset=ultrafast", "avif:speed=10"])
def test_a_limit_of_bytes_gives_the_best_rung_that_keeps_to_it(family: str, picture: Image) -> None:
    rungs = ladder(family)
    sizes = [len(codec(rungs.spec(rung)).encode(picture)) for rung in range(len(rungs))]
    for limit in np.geomspace(min(sizes), max(sizes) + 1, 12).astype(int):
        choice = encode_to_bytes(family, picture, int(limit))
        assert len(choice.data) <= limit
        assert choice.data == codec(choice.spec).encode(picture)
        assert choice.psnr is None
        rung = [rungs.spec(r) for r in range(len(rungs))].index(choice.spec)
        assert rung + 1 == len(rungs) or sizes[rung + 1] > limit
        if sizes == sorted(sizes):
            assert rung == max(r for r, size in enumerate(sizes) if size <= limit)


def test_jpeg2000_uses_nearly_all_of_a_limit(picture: Image) -> None:
    for limit in (700, 1500, 3000):
        choice = encode_to_bytes("jpeg2000", picture, limit)
        assert 0.95 * limit < len(choice.data) <= limit


@pytest.mark.parametrize("family", ["jpeg", "jpeg2000", "webp", "bpg:preset=ultrafast"])
def test_a_psnr_gives_a_small_file_that_reaches_it(family: str, picture: Image) -> None:
    choice = encode_to_psnr(family, picture, 26.0)
    decoded = codec(choice.spec).decode(choice.data)
    assert choice.psnr == psnr(picture, decoded) >= 26.0
    rungs = ladder(family)
    rung = [rungs.spec(r) for r in range(len(rungs))].index(choice.spec)
    below = codec(rungs.spec(rung - 1))
    data = below.encode(picture)
    assert psnr(picture, below.decode(data)) < 26.0 or len(data) >= len(choice.data)


def test_bits_per_pixel_are_bytes_rounded_down(picture: Image) -> None:
    size = len(codec("jpeg:quality=40").encode(picture))
    exact = 8 * size / (48 * 64)
    assert encode_to_bpp("jpeg:quality=1,40", picture, exact).spec == "jpeg:quality=40"
    assert encode_to_bpp("jpeg:quality=1,40", picture, exact - 0.001).spec == "jpeg:quality=1"


def test_a_list_limits_the_choice(picture: Image) -> None:
    choice = encode_to_bytes("jpeg:quality=10,50,90", picture, 10**6)
    assert choice.spec == "jpeg:quality=90"
    assert choice.encodes <= 3
    kept = encode_to_psnr("jpeg:quality=10,50,90,subsampling=444", picture, 1.0)
    assert kept.spec == "jpeg:quality=10,subsampling=444"


def test_each_rung_is_encoded_at_most_once_and_counted(toy: type[Toy]) -> None:
    choice = encode_to_bytes("toy", GREY, 100)
    assert (choice.spec, len(choice.data)) == ("toy:level=4", 80)
    assert choice.encodes == len(toy.encoded) == len(set(toy.encoded))
    choice = encode_to_psnr("toy", GREY, 20 * math.log10(255 / 20))
    assert (choice.spec, choice.psnr) == ("toy:level=4", 20 * math.log10(255 / 20))


def test_infinite_psnr_meets_any_target(toy: type[Toy]) -> None:
    choice = encode_to_psnr("toy", GREY, 90.0)
    assert (choice.spec, choice.psnr) == ("toy:level=7", math.inf)


def test_of_files_that_reach_a_psnr_the_smallest_seen_is_taken(
    toy: type[Toy], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Toy, "sizes", [50, 50, 50])
    monkeypatch.setattr(Toy, "errors", [30, 20, 19])
    assert encode_to_psnr("toy", GREY, 22.0).spec == "toy:level=1"
    monkeypatch.setattr(Toy, "sizes", [50, 60, 40])  # a better picture in fewer bytes
    choice = encode_to_psnr("toy", GREY, 22.0)
    seen = {level: Toy.sizes[level] for level in toy.encoded if Toy.errors[level] <= 20}
    assert len(choice.data) == min(seen.values())


@pytest.mark.parametrize("sizes", [[9, 30, 12, 40, 11, 60], [30, 9, 30, 9, 30, 9]])
def test_a_limit_holds_where_bytes_rise_and_fall(
    sizes: list[int], toy: type[Toy], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Toy, "sizes", sizes)
    monkeypatch.setattr(Toy, "errors", [5] * 6)
    for limit in (31, 40, 60):
        assert len(encode_to_bytes("toy", GREY, limit).data) <= limit


def test_what_cannot_be_met_says_what_the_extreme_gives(picture: Image) -> None:
    size = len(codec("bpg:qp=51").encode(picture))
    with pytest.raises(InputError, match=f"even bpg:qp=51 takes {size} bytes, more than 20"):
        encode_to_bytes("bpg", picture, 20)
    with pytest.raises(InputError, match=r"more than 3, which 0.01 bpp of 64x48 allow"):
        encode_to_bpp("bpg", picture, 0.01)
    best = psnr(picture, codec("webp:quality=100").decode(codec("webp").encode(picture)))
    with pytest.raises(InputError, match=r"even webp:quality=\d+ gives \d+\.\d\d dB, less than 70"):
        encode_to_psnr("webp", picture, 70)
    assert best < 70


@pytest.mark.parametrize("target", [0, -1, math.nan, math.inf])
@pytest.mark.parametrize("function", [encode_to_bytes, encode_to_bpp, encode_to_psnr])
def test_targets_that_are_none_are_refused_before_any_encode(
    function: object, target: float, toy: type[Toy]
) -> None:
    with pytest.raises(InputError, match="give a number above 0, at most"):
        function("toy", GREY, target)  # type: ignore[operator]
    assert not toy.encoded


def test_codecs_without_a_choice_and_images_that_are_none_are_refused(picture: Image) -> None:
    with pytest.raises(InputError, match="'png' has no operating point"):
        encode_to_bytes("png", picture, 1000)
    with pytest.raises(InputError, match="an image must be uint8"):
        encode_to_bpp("jpeg", picture[:, :, 0], 1.0)
    with pytest.raises(CodecError, match="16383"):
        encode_to_bytes("webp", np.zeros((1, 16384, 3), np.uint8), 1000)


@pytest.mark.parametrize("family", ["bpg", "jpeg", "jpeg2000", "webp", "avif", "jpeg:quality=50"])
def test_typical_curves_rise_and_have_spread(family: str) -> None:
    rungs = ladder(family)
    for expected in (expected_log_bytes(rungs, 100, 200), expected_decibels(rungs)):
        assert len(expected) == len(rungs)
        assert np.all(np.diff(expected.mean) >= 0)
        assert np.all(expected.spread > 0)


def test_photographs_need_about_half_the_encodes_of_bisection(shared_data: Path) -> None:
    found = []
    for name in ("kodim03", "kodim08", "kodim20"):
        image = np.ascontiguousarray(
            read_image(shared_data / "kodak" / f"{name}.png")[100:324, 200:424]
        )
        for family in ("jpeg", "webp"):
            found += [encode_to_bpp(family, image, bpp).encodes for bpp in (0.5, 1.0, 2.0)]
    assert np.mean(found) < 4.5  # bisection of 100 rungs takes 6.6


@pytest.mark.parametrize("target", [10**400, 1e308, True, "2kB", None])
def test_what_is_no_number_of_a_target_is_refused(target: Any) -> None:
    for encode in (encode_to_bytes, encode_to_bpp, encode_to_psnr):
        with pytest.raises(InputError, match="is no target"):
            encode("jpeg", np.zeros((8, 8, 3), np.uint8), target)


def test_a_refusal_has_tried_the_other_end_of_a_curve_that_falls() -> None:
    flat = np.full((40, 40, 3), 90, np.uint8)  # WebP's best quality takes the fewest bytes here
    sizes = [len(codec(f"webp:quality={q}").encode(flat)) for q in range(101)]
    assert sizes[100] < min(sizes[:90])
    choice = encode_to_bytes("webp", flat, sizes[100])
    assert len(choice.data) <= sizes[100]
