"""RGB to the planes of a BPG picture and back, in integers, as the reference tools do it.

Written pictures are BT.601 in full range. Read are all of the format: BT.601, BT.709, BT.2020,
YCgCo and RGB, in full or limited range, grey, and all chroma formats. Work goes in strips of rows,
which stay in the processor's cache and bound the memory.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ratewise.codecs.bpg import chroma
from ratewise.codecs.bpg.container import BT601, BT709, BT2020, C420, C422, GREY, RGB, YCGCO
from ratewise.codecs.bpg.hevc import Plane
from ratewise.images import Image

_LUMA_WEIGHTS = {BT601: (0.299, 0.114), BT709: (0.2126, 0.0722), BT2020: (0.2627, 0.0593)}
"""The weights of red and blue in luma."""

_STRIP = 1 << 15
"""Pixels that are converted at a time."""


def plane_shapes(chroma_format: int, height: int, width: int) -> list[tuple[int, int]]:
    """The shapes of a picture's planes: chroma is halved with the odd sample kept."""
    if chroma_format == GREY:
        return [(height, width)]
    chroma_height = (height + 1) // 2 if chroma_format == C420 else height
    chroma_width = (width + 1) // 2 if chroma_format in (C420, C422) else width
    return [(height, width), (chroma_height, chroma_width), (chroma_height, chroma_width)]


def from_rgb(image: Image, chroma_format: int, bit_depth: int) -> list[Plane]:
    """The BT.601 full-range planes of ``image``, ``uint8 (H, W, 3)``."""
    height, width = image.shape[:2]
    kind = np.uint8 if bit_depth == 8 else np.uint16
    # Horizontally halved chroma keeps bits that the vertical pass rounds away
    kinds = [kind] + [np.int16 if chroma_format == C420 else kind] * 2
    shapes = plane_shapes(C422 if chroma_format == C420 else chroma_format, height, width)
    planes = [np.empty(shape, t) for shape, t in zip(shapes, kinds, strict=False)]
    matrix, shift = _to_ycc(bit_depth)
    for first, last in _strips(height, width, 1):
        rgb = [image[first:last, :, channel].astype(np.int32) for channel in range(3)]
        for plane, weights in zip(planes, matrix, strict=False):
            values = rgb[0] * weights[0]
            values += rgb[1] * weights[1]
            values += rgb[2] * weights[2]
            values += 1 << (shift - 1)
            values >>= shift
            if plane is planes[0]:
                plane[first:last] = values
                continue
            values += 1 << (bit_depth - 1)
            np.minimum(values, (1 << bit_depth) - 1, out=values)
            if chroma_format == C420:
                values = chroma.halve_columns(values, bit_depth - 7)
            elif chroma_format == C422:
                values = _clipped(chroma.halve_columns(values, 7), bit_depth)
            plane[first:last] = values
    if chroma_format == C420:
        return [planes[0]] + [_halved(plane, bit_depth) for plane in planes[1:]]
    return planes


def to_rgb(
    planes: Sequence[Plane],
    *,
    chroma_format: int,
    bit_depth: int,
    color_space: int,
    limited_range: bool,
    chroma_between: bool,
) -> Image:
    """The picture in ``planes``, cropped to its size, as ``uint8 (H, W, 3)``.

    ``chroma_between`` says where halved chroma lies; see :func:`chroma.double_columns`.
    """
    height, width = planes[0].shape
    image = np.empty((height, width, 3), np.uint8)
    convert = _Conversion(bit_depth, color_space, limited_range)
    for first, last in _strips(height, width, 2):
        luma = planes[0][first:last]
        strip = image[first:last]
        if chroma_format == GREY:
            strip[:] = convert.scaled(luma)[:, :, None]
            continue
        pair = [
            _chroma(plane, chroma_format, bit_depth, (first, last), width, chroma_between)
            for plane in planes[1:]
        ]
        convert(luma, pair[0], pair[1], strip)
    return image


def to_bytes(plane: Plane, bit_depth: int) -> NDArray[np.uint8]:
    """Full-range samples ``(H, W)`` as 8 bits, in memory of its own."""
    height, width = plane.shape
    grey = np.empty((height, width), np.uint8)
    convert = _Conversion(bit_depth, BT601, False)
    for first, last in _strips(height, width, 1):
        grey[first:last] = convert.scaled(plane[first:last])
    return grey


def divide_by_alpha(image: Image, alpha: NDArray[np.uint8]) -> None:
    """Undo, in place, that ``image (H, W, 3)`` was multiplied by ``alpha (H, W)`` over 255.

    Where alpha is 0 the colour is lost, and white, as with the reference decoder.
    """
    height, width = alpha.shape
    table = _quotients()
    for first, last in _strips(height, width, 1):
        strip = image[first:last]
        strip[:] = table[alpha[first:last, :, None], strip]


class _Conversion:
    """Planes to 8-bit RGB, in fixed point, with the reference decoder's rounding."""

    def __init__(self, bit_depth: int, color_space: int, limited_range: bool) -> None:
        self.shift = 22
        self.centre = 1 << (bit_depth - 1)
        self.color_space = color_space
        self.as_is = bit_depth == 8 and not limited_range
        # Limited range takes luma and chroma outside of 32 bits, where they are then clipped
        self.kind: Any = np.int64 if limited_range else np.int32
        full = (1 << bit_depth) - 1
        unit = 255 * (1 << self.shift)
        luma_range = 219 << (bit_depth - 8) if limited_range else full
        chroma_range = 224 << (bit_depth - 8) if limited_range else full
        self.one = round(unit / luma_range)
        black = 16 << (bit_depth - 8) if limited_range else 0
        self.offset = (1 << (self.shift - 1)) - black * self.one
        if color_space in _LUMA_WEIGHTS:
            red, blue = _LUMA_WEIGHTS[color_space]
            green = 1 - red - blue
            per_chroma = unit / chroma_range
            self.red_cr = round(2 * (1 - red) * per_chroma)
            self.green_cb = round(2 * blue * (1 - blue) / green * per_chroma)
            self.green_cr = round(2 * red * (1 - red) / green * per_chroma)
            self.blue_cb = round(2 * (1 - blue) * per_chroma)

    def scaled(self, values: NDArray[Any]) -> NDArray[Any]:
        """Samples of luma or of RGB as 8 bits."""
        return values if self.as_is else self._bytes(values.astype(self.kind) * self.one)

    def __call__(self, first: Plane, second: NDArray[Any], third: NDArray[Any], rgb: Image) -> None:
        """Fill ``rgb (h, w, 3)`` from three planes ``(h, w)`` of whole numbers."""
        if self.color_space == RGB:
            for channel, plane in enumerate((third, first, second)):
                rgb[:, :, channel] = self.scaled(plane)
            return
        cb = second.astype(self.kind)
        cr = third.astype(self.kind)
        cb -= self.centre
        cr -= self.centre
        luma = first.astype(self.kind)
        if self.color_space == YCGCO:
            cg, co = cb, cr
            rest = luma - cg
            rgb[:, :, 0] = self._bytes((rest + co) * self.one)
            rgb[:, :, 1] = self._bytes((luma + cg) * self.one)
            rgb[:, :, 2] = self._bytes((rest - co) * self.one)
            return
        luma *= self.one
        luma += self.offset
        values = cr * self.red_cr
        values += luma
        rgb[:, :, 0] = self._shifted(values)
        np.multiply(cb, self.blue_cb, out=values)
        values += luma
        rgb[:, :, 2] = self._shifted(values)
        cb *= self.green_cb
        cr *= self.green_cr
        luma -= cb
        luma -= cr
        rgb[:, :, 1] = self._shifted(luma)

    def _bytes(self, values: NDArray[Any]) -> NDArray[Any]:
        values += self.offset
        return self._shifted(values)

    def _shifted(self, values: NDArray[Any]) -> NDArray[Any]:
        values >>= self.shift
        return np.clip(values, 0, 255, out=values)


def _chroma(
    plane: Plane,
    chroma_format: int,
    bit_depth: int,
    rows: tuple[int, int],
    width: int,
    between: bool,
) -> NDArray[Any]:
    """Chroma of the luma ``rows``, which begin at an even one, at every luma sample."""
    first, last = rows
    if chroma_format == C420:
        half = chroma.double_rows(plane, first // 2, (last + 1) // 2, bit_depth - 8)
        values = chroma.double_columns(half[: last - first], width, 20 - bit_depth, between=between)
    elif chroma_format == C422:
        half = plane[first:last].astype(np.float32)
        values = chroma.double_columns(half, width, 6, between=between)
    else:
        return plane[first:last]
    return np.clip(values, 0, (1 << bit_depth) - 1, out=values)


@functools.cache
def _quotients() -> NDArray[np.uint8]:
    """At [a, v]: 255 v / a, rounded, and 255 where v is at least a."""
    alpha, value = np.ogrid[:256, :256]
    rounded = (255 * value + alpha // 2) // np.maximum(alpha, 1)
    return np.where(value < alpha, rounded, 255).astype(np.uint8)


def _to_ycc(bit_depth: int) -> tuple[list[tuple[int, int, int]], int]:
    """The matrix from 8-bit RGB to Y, Cb, Cr in fixed point, and its shift."""
    red, blue = _LUMA_WEIGHTS[BT601]
    green = 1 - red - blue
    shift = 31 - bit_depth
    unit = ((1 << bit_depth) - 1) * (1 << shift) / 255
    rows = (
        (red, green, blue),
        (-0.5 * red / (1 - blue), -0.5 * green / (1 - blue), 0.5),
        (0.5, -0.5 * green / (1 - red), -0.5 * blue / (1 - red)),
    )
    return [(round(r * unit), round(g * unit), round(b * unit)) for r, g, b in rows], shift


def _halved(values: NDArray[Any], bit_depth: int) -> Plane:
    height, width = values.shape
    rows = (height + 1) // 2
    plane = np.empty((rows, width), np.uint8 if bit_depth == 8 else np.uint16)
    for first, last in _strips(rows, width, 1):
        halved = chroma.halve_rows(values, first, last, 21 - bit_depth)
        plane[first:last] = _clipped(halved, bit_depth)
    return plane


def _clipped(values: NDArray[np.int32], bit_depth: int) -> NDArray[np.int32]:
    return np.clip(values, 0, (1 << bit_depth) - 1, out=values)


def _strips(height: int, width: int, step: int) -> Iterator[tuple[int, int]]:
    """Ranges of rows of about :data:`_STRIP` pixels that begin at multiples of ``step``."""
    rows = max(step, _STRIP // width // step * step)
    for first in range(0, height, rows):
        yield first, min(first + rows, height)
