"""Halving and doubling of chroma, in integers, with the reference encoder's and decoder's taps.

Chroma lies between the luma samples, as in JPEG, or, horizontally, on every second one, as in
MPEG-2. Edges are repeated. Between the two passes of a filter the values keep extra bits and are
not clipped, so that a picture decodes to the same values as with the reference decoder.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.int32]

_HALVING = (2, -4, -8, 17, 57, 57, 17, -8, -4, 2)  # sums to 128, symmetric
_BETWEEN = (2, -6, 18, 57, -10, 4, -1)  # sums to 64; reversed for the sample on the other side
_ON = (-1, 4, -11, 40, 40, -11, 4, -1)  # sums to 64, symmetric

_REACH = 3
"""How many chroma rows above and below a row :func:`double_rows` looks at."""


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


def double_rows(values: NDArray[Any], first: int, last: int, shift: int) -> Values:
    """Chroma rows ``first`` to ``last`` as twice as many, times ``2 ** (6 - shift)``."""
    rows = _rows(values, first - _REACH, last + _REACH)
    count = last - first
    shifted = [rows[k : k + count] for k in range(7)]
    doubled = np.empty((2 * count, rows.shape[1]), np.int32)
    doubled[0::2] = _weigh(shifted, _BETWEEN)
    doubled[1::2] = _weigh(shifted, _BETWEEN[::-1])
    return _rounded(doubled, shift)


def double_columns(values: Values, width: int, gain: int, *, between: bool) -> Values:
    """``(h, ceil(width / 2))`` to ``(h, width)``, over ``2 ** gain``, not clipped.

    ``between`` says whether chroma lies between the luma columns or on every second one.
    """
    padded = np.pad(values, ((0, 0), (_REACH, _REACH + 1)), mode="edge")
    count = values.shape[1]
    shifted = [padded[:, k : k + count] for k in range(8)]
    doubled = np.empty((values.shape[0], 2 * count), np.int32)
    if between:
        doubled[:, 0::2] = _rounded(_weigh(shifted[:7], _BETWEEN), 6 + gain)
        doubled[:, 1::2] = _rounded(_weigh(shifted[:7], _BETWEEN[::-1]), 6 + gain)
    else:
        doubled[:, 0::2] = _rounded(values.copy(), gain)
        doubled[:, 1::2] = _rounded(_weigh(shifted, _ON), 6 + gain)
    return doubled[:, :width]


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
