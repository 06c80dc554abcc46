"""Procedural texture: periodic noise tiles from a hashed lattice, and looking them up.

Only additions, products and roots are used, which IEEE 754 rounds the same everywhere, so a tile
has the same bytes on every machine.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float32]
Flags: TypeAlias = NDArray[np.bool_]
Places: TypeAlias = NDArray[np.intp]

SIZE = 512
"""Side of a tile in texels; a power of two, so that wrapping is a bit mask."""

_WRAP = SIZE - 1


def hashed(side: int, salt: int) -> Array:
    """A ``(side, side)`` lattice of independent values in [-1, 1)."""
    index = np.arange(side * side, dtype=np.uint32).reshape(side, side)
    value = index * np.uint32(0x9E3779B1) + np.uint32(salt * 0x85EBCA6B & 0xFFFFFFFF)
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B), (16, 1)):
        value = (value ^ (value >> np.uint32(shift))) * np.uint32(factor)
    return (value >> np.uint32(8)).astype(np.float32) / np.float32(2**23) - np.float32(1)


@lru_cache(maxsize=16)
def fbm(first: int, last: int, gain: float, contrast: float = 1.0) -> Array:
    """Fractal value noise, ``(SIZE, SIZE)``, periodic, about [-1, 1].

    Octaves have ``first``, ``2 first``, ... ``last`` cells per tile; each weighs ``gain`` times
    the one before. ``contrast`` above 1 pushes values towards the ends (clumps, leaves).
    """
    total = np.zeros((SIZE, SIZE), np.float32)
    weight, power, cells = 1.0, 0.0, first
    while cells <= last:
        lattice = hashed(cells, salt=cells * 31 + first)
        at = np.arange(SIZE, dtype=np.float32) * np.float32(cells / SIZE)
        low = at.astype(np.int32)
        part = at - low
        part = part * part * (3 - 2 * part)
        high = (low + 1) % cells
        rows = lattice[low] + (lattice[high] - lattice[low]) * part[:, None]
        total += np.float32(weight) * (rows[:, low] + (rows[:, high] - rows[:, low]) * part)
        power += weight * weight
        weight, cells = weight * gain, cells * 2
    scaled = total * np.float32(contrast * 2.0 / power**0.5)
    tile: Array = scaled / np.sqrt(1 + scaled * scaled)
    tile.setflags(write=False)
    return tile


@lru_cache(maxsize=1)
def white() -> Array:
    """Independent values in [-1, 1), ``(SIZE, SIZE)``."""
    tile = hashed(SIZE, 977)
    tile.setflags(write=False)
    return tile


def smooth(tile: Array, x: Array, y: Array) -> Array:
    """``tile`` at texel coordinates ``x``, ``y`` (any broadcastable shapes), bilinear, wrapped."""
    left, top = np.floor(x), np.floor(y)
    part_x, part_y = x - left, y - top
    j, i = left.astype(np.int32) & _WRAP, top.astype(np.int32) & _WRAP
    j1, i1 = (j + 1) & _WRAP, ((i + 1) & _WRAP) * SIZE
    i = i * SIZE
    flat = tile.reshape(-1)
    upper = flat.take(i + j)
    upper = upper + (flat.take(i + j1) - upper) * part_x
    lower = flat.take(i1 + j)
    lower = lower + (flat.take(i1 + j1) - lower) * part_x
    mixed: Array = upper + (lower - upper) * part_y
    return mixed


def cell(i: Array, j: Array, salt: int = 0) -> Array:
    """A value in [-1, 1) for each pair of whole numbers ``i``, ``j`` (floats are cut)."""
    a = (i.astype(np.int32) * 5 + salt * 17) & _WRAP
    b = (j.astype(np.int32) * 3 + salt * 29) & _WRAP
    return white().reshape(-1).take(a * SIZE + b)


ASPHALT = (64, 256, 1.25)
"""Arguments of :func:`fbm` for fine grain without structure."""
STAINS = (4, 64, 0.6)
"""... for broad stains, patches and clouds."""
LEAVES = (32, 256, 0.9, 2.2)
"""... for clumps of leaves."""
BLADES = (32, 256, 1.0, 1.6)
"""... for grass."""
