"""Colour: every colour space against its definition, chroma filters against a plain sum."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from ratewise.codecs.bpg import chroma, colour, container

WEIGHTS = {
    container.BT601: (0.299, 0.114),
    container.BT709: (0.2126, 0.0722),
    container.BT2020: (0.2627, 0.0593),
}
LEVELS = (0, 1, 31, 128, 200, 254, 255)
ALL = np.array(list(itertools.product(LEVELS, repeat=3)), np.uint8).reshape(7, 49, 3)


def planes_by_definition(
    image: NDArray[np.uint8], color_space: int, bit_depth: int, limited: bool
) -> list[NDArray[np.float64]]:
    """The planes of ``image`` in real arithmetic, from the definitions of the colour spaces."""
    red, green, blue = np.moveaxis(image / 255.0, -1, 0)
    if color_space in WEIGHTS:
        kr, kb = WEIGHTS[color_space]
        luma = kr * red + (1 - kr - kb) * green + kb * blue
        values = [luma, (blue - luma) / (1 - kb) / 2 + 0.5, (red - luma) / (1 - kr) / 2 + 0.5]
    elif color_space == container.YCGCO:
        outer = (red + blue) / 2
        values = [(green + outer) / 2, (green - outer) / 2 + 0.5, (red - blue) / 2 + 0.5]
    else:
        values = [green, blue, red]
    full, unit = (1 << bit_depth) - 1, 1 << (bit_depth - 8)
    planes = []
    for index, value in enumerate(values):
        signed = index > 0 and color_space != container.RGB
        if not limited:
            scaled = (value - 0.5) * full + (full + 1) / 2 if signed else value * full
        elif signed:
            scaled = ((value - 0.5) * 224 + 128) * unit
        else:
            scaled = (value * 219 + 16) * unit
        planes.append(np.clip(scaled, 0, full))
    return planes


@pytest.mark.parametrize("bit_depth", [8, 10, 12])
@pytest.mark.parametrize(
    ("color_space", "limited"),
    # Limited YCgCo is written by nothing, and its scale is defined by nothing
    [
        pair
        for pair in itertools.product(range(5), (False, True))
        if pair != (container.YCGCO, True)
    ],
)
def test_every_colour_space_comes_back(color_space: int, limited: bool, bit_depth: int) -> None:
    real = planes_by_definition(ALL, color_space, bit_depth, limited)
    image = colour.to_rgb(
        [np.rint(p).astype(np.uint16) for p in real],
        chroma_format=container.C444,
        bit_depth=bit_depth,
        color_space=color_space,
        limited_range=limited,
        chroma_between=True,
    )
    # Rounded chroma, times at most 1.88 by the matrix; a coarser step in limited range
    tolerance = (2 if limited else 1) if bit_depth == 8 else 1
    assert np.abs(image.astype(int) - ALL).max() <= tolerance


@pytest.mark.parametrize("bit_depth", [8, 10])
def test_written_planes_are_bt601_in_full_range(bit_depth: int) -> None:
    expected = planes_by_definition(ALL, container.BT601, bit_depth, False)
    for plane, right in zip(colour.from_rgb(ALL, container.C444, bit_depth), expected, strict=True):
        assert np.abs(plane - right).max() < 0.5 + 1e-4


def test_grey_pictures_are_repeated_in_the_three_channels() -> None:
    luma = np.arange(256, dtype=np.uint8).reshape(8, 32)
    image = np.repeat(luma[:, :, None], 3, axis=2)
    (plane,) = colour.from_rgb(image, container.GREY, 8)
    assert np.array_equal(plane, luma)
    (deep,) = colour.from_rgb(image, container.GREY, 10)
    for planes, bit_depth in (([plane], 8), ([deep], 10)):
        back = colour.to_rgb(
            planes,
            chroma_format=container.GREY,
            bit_depth=bit_depth,
            color_space=container.BT601,
            limited_range=False,
            chroma_between=True,
        )
        assert np.array_equal(back, image)


def test_strips_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    image = np.random.default_rng(0).integers(0, 256, (53, 31, 3), dtype=np.uint8)
    results = []
    for strip in (1 << 20, 31 * 7, 1):
        monkeypatch.setattr(colour, "_STRIP", strip)
        for chroma_format in range(4):
            planes = colour.from_rgb(image, chroma_format, 8)
            back = colour.to_rgb(
                planes,
                chroma_format=chroma_format,
                bit_depth=8,
                color_space=container.BT601,
                limited_range=False,
                chroma_between=True,
            )
            results.append([*planes, back])
    for other in (results[4:8], results[8:]):
        for ours, theirs in zip(results[:4], other, strict=True):
            assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))


def doubled_by_hand(line: list[int], width: int, between: bool) -> list[float]:
    """One line of chroma at every luma sample, by the filters' definition."""
    near = {-3: 2, -2: -6, -1: 18, 0: 57, 1: -10, 2: 4, 3: -1}
    middle = {-3: -1, -2: 4, -1: -11, 0: 40, 1: 40, 2: -11, 3: 4, 4: -1}

    def at(index: int) -> int:
        return line[min(max(index, 0), len(line) - 1)]

    out = []
    for x in range(width):
        i, odd = divmod(x, 2)
        if between:
            out.append(sum(tap * at(i - k if odd else i + k) for k, tap in near.items()) / 64)
        else:
            out.append(sum(tap * at(i + k) for k, tap in middle.items()) / 64 if odd else line[i])
    return out


@pytest.mark.parametrize("between", [True, False])
@pytest.mark.parametrize("width", [1, 2, 15, 16, 17, 40])
def test_doubling_is_the_filter(width: int, between: bool) -> None:
    line = np.random.default_rng(width).integers(0, 256, (width + 1) // 2)
    expected = np.floor(np.array(doubled_by_hand(line.tolist(), width, between)) + 0.5)
    found = chroma.double_columns(line[None].astype(np.float32), width, 6, between=between)
    assert np.array_equal(found[0], expected)
    if between:
        rows = chroma.double_rows(line[:, None], 0, len(line), 6)
        assert np.array_equal(rows[:width, 0], expected)


@pytest.mark.parametrize("size", [1, 2, 9, 30])
def test_halving_is_symmetric_and_keeps_the_mean(size: int) -> None:
    line = np.random.default_rng(size).integers(0, 256, (1, size)).astype(np.int32)
    halved = chroma.halve_columns(line, 7)
    assert halved.shape == (1, (size + 1) // 2)
    assert np.array_equal(chroma.halve_rows(line.T, 0, (size + 1) // 2, 7), halved.T)
    if size % 2 == 0:
        assert np.array_equal(chroma.halve_columns(line[:, ::-1], 7), halved[:, ::-1])
    flat = np.full((1, size), 77, np.int32)
    assert (chroma.halve_columns(flat, 7) == 77).all()
