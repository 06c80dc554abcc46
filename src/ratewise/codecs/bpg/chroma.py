"""Halving and doubling of chroma, exactly, with the reference encoder's and decoder's taps.

Chroma lies between the luma samples, as in JPEG, or, horizontally, on every second one, as in
MPEG-2. Edges are repeated. Between the two passes of a filter the values keep extra bits and are
not clipped, so that a picture decodes to the same values as with the reference decoder.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.int32]
Doubled = NDArray[np.float32]
"""Whole numbers: sums stay below 2 ** 22 for samples of up to 12 bits, so floats hold them exactly,
and doubling may go through the matrix product, which is several times faster than integers."""

_HALVING = (2, -4, -8, 17, 57, 57, 17, -8, -4, 2)  # sums to 128, symmetric
_BETWEEN = (2, -6, 18, 57, -10, 4, -1)  # sums to 64; reversed for the sample on the other side
_ON = (-1, 4, -11, 40, 40, -11, 4, -1)  # sums to 64, symmetric

_BLOCK = 8
"""Chroma samples that are doubled in one product of matrices."""


def halve_columns(values: Values, shift: int) -> Values:
    """``(h, w)`` to ``(h, ceil(w / 2))``, over 128 and times ``2 ** (7 - shift)``."""
    count = (values.shape[1] + 1) // 2
    padded = np.pad(values, ((0, 0), (4, 5)), mode="edge")
    return _rounded(
        _weigh([padded[:, k : k + 2 * count - 1 : 2] for k in range(10)], _HALVING), shift
    )


def halve_rows(values: NDArray[Any], first: int, last: int, shift: int) -> Values:
    """Rows ``first`` to ``last`` of ``values (h, w)`` halved vertically, ``ceil(h / 2)`` in all."""
    rows = _rows(values, 2 * first - 4, 2 * last + 4)
    count = last - first
    return _rounded(_weigh([rows[k : k + 2 * count - 1 : 2] for k in range(10)], _HALVING), shift)


def double_rows(values: NDArray[Any], first: int, last: int, shift: int) -> Doubled:
    """Chroma rows ``first`` to ``last`` as twice as many, times ``2 ** (6 - shift)``."""
    count = last - first
    blocks = -(-count // _BLOCK)
    # The last block may reach further than needed; what it reads there is not kept
    rows = _rows(values, first - 3, first + blocks * _BLOCK + 3).astype(np.float32)
    step, inner = rows.strides
    windows = _view(rows, (blocks, _BLOCK + 6, rows.shape[1]), (_BLOCK * step, step, inner))
    doubled = np.matmul((_BAND * _share(shift)).T, windows)
    return _whole(doubled.reshape(2 * blocks * _BLOCK, -1)[: 2 * count], shift)


def double_columns(values: Doubled, width: int, shift: int, *, between: bool) -> Doubled:
    """``(h, ceil(width / 2))`` to ``(h, width)``, times ``2 ** (6 - shift)``, not clipped.

    ``between`` says whether chroma lies between the luma columns or on every second one.
    """
    height, count = values.shape
    blocks = -(-count // _BLOCK)
    padded = np.empty((height, blocks * _BLOCK + 8), np.float32)
    padded[:, 3 : 3 + count] = values
    padded[:, :3] = values[:, :1]
    padded[:, 3 + count :] = values[:, -1:]
    step, inner = padded.strides
    band = _BAND if between else _BAND_ON
    windows = _view(padded, (blocks, height, len(band)), (_BLOCK * inner, step, inner))
    doubled = np.empty((height, blocks, 2 * _BLOCK), np.float32)
    np.matmul(windows, band * _share(shift), out=doubled.transpose(1, 0, 2))
    return _whole(doubled.reshape(height, -1)[:, :width], shift)


def _band(first: tuple[int, ...], second: tuple[int, ...]) -> Doubled:
    """The matrix of a block: a window of chroma to the pairs of luma positions in it."""
    band = np.zeros((_BLOCK + len(first) - 1, 2 * _BLOCK), np.float32)
    for i in range(_BLOCK):
        band[i : i + len(first), 2 * i] = first
        band[i : i + len(second), 2 * i + 1] = second
    return band


def _view(values: Doubled, shape: tuple[int, ...], strides: tuple[int, ...]) -> Doubled:
    """``values`` in overlapping pieces; numpy's as_strided takes ten times as long."""
    return np.ndarray(shape, np.float32, values, strides=strides)


def _share(shift: int) -> np.float32:
    """The factor of taps whose sums are divided by ``2 ** shift``: exact in floats."""
    return np.float32(1 / (1 << shift))


def _whole(values: Doubled, shift: int) -> Doubled:
    """``values``, which were divided by ``2 ** shift``, rounded in place."""
    if shift:
        values += np.float32(0.5)
        np.floor(values, out=values)
    return values


def _rows(values: NDArray[Any], first: int, last: int) -> Values:
    """Rows ``first`` to ``last``, where those outside repeat the edge."""
    height = values.shape[0]
    if first >= 0 and last <= height:
        return values[first:last].astype(np.int32)
    return values[np.clip(np.arange(first, last), 0, height - 1)].astype(np.int32)


def _weigh(parts: list[Values], taps: tuple[int, ...]) -> Values:
    total = parts[0] * taps[0]
    for part, tap in zip(parts[1:], taps[1:], strict=True):
        total += part * tap
    return total


def _rounded(values: Values, shift: int) -> Values:
    """``values / 2 ** shift``, rounded, in place."""
    if shift:
        values += 1 << (shift - 1)
        values >>= shift
    return values


_BAND = _band(_BETWEEN, _BETWEEN[::-1])
_BAND_ON = _band((0, 0, 0, 64, 0, 0, 0, 0), _ON)
