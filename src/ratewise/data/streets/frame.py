"""Camera, and the buffers that everything is drawn into, with occlusion by a depth buffer.

The world: X right, Y up, Z forward, in metres, the camera at ``(0, above, 0)`` looking along Z.
Colours are linear light (the finished picture takes the square root, a gamma of 2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ratewise.data.streets.noise import Array, Flags, Places

Colour: TypeAlias = tuple[float, float, float]

FAR = np.float32(1e6)
"""Depth of what is infinitely far: the sky."""


@dataclass(frozen=True)
class Camera:
    """A pinhole camera; ``focal``, ``horizon`` (row) and ``middle`` (column) in pixels."""

    width: int
    height: int
    focal: float
    horizon: float
    middle: float
    above: float

    def slopes(self, first: int, last: int) -> Array:
        """X / Z of the pixel columns ``first`` to ``last`` (exclusive)."""
        columns = np.arange(first, last, dtype=np.float32) + np.float32(0.5 - self.middle)
        return columns / np.float32(self.focal)

    def drops(self, first: int, last: int) -> Array:
        """(above - Y) / Z of the pixel rows ``first`` to ``last`` (exclusive)."""
        rows = np.arange(first, last, dtype=np.float32) + np.float32(0.5 - self.horizon)
        return rows / np.float32(self.focal)

    def columns(self, left: float, right: float) -> tuple[int, int]:
        """Columns that lie between two slopes X / Z, cut to the frame."""
        return (
            _cut(self.middle + self.focal * left, self.width),
            _cut(self.middle + self.focal * right + 1, self.width),
        )

    def rows(self, top: float, bottom: float) -> tuple[int, int]:
        """Rows that lie between two drops (above - Y) / Z, cut to the frame."""
        return (
            _cut(self.horizon + self.focal * top, self.height),
            _cut(self.horizon + self.focal * bottom + 1, self.height),
        )


@dataclass(frozen=True)
class Patch:
    """A rectangle of the frame, and the world seen through it at a constant depth.

    ``x`` is ``(1, w)`` and ``y`` is ``(h, 1)``, in metres from the anchor of the thing drawn;
    ``pixel`` is the size of a pixel there in metres.
    """

    box: tuple[slice, slice]
    x: Array
    y: Array
    depth: float
    pixel: float


class Frame:
    """Colour ``(H, W, 3)``, class ids ``(H, W)`` and depth ``(H, W)`` of a picture being drawn."""

    def __init__(self, camera: Camera) -> None:
        shape = (camera.height, camera.width)
        self.camera = camera
        self.colour: Array = np.zeros((*shape, 3), np.float32)
        self.label: NDArray[np.uint8] = np.zeros(shape, np.uint8)
        self.depth: Array = np.full(shape, FAR, np.float32)

    def patch(
        self, depth: float, x: float, left: float, right: float, bottom: float, top: float
    ) -> Patch | None:
        """The part of the frame that shows ``x + left .. x + right`` by ``bottom .. top`` (Y).

        None where it is out of sight.
        """
        if depth < 1.0:
            return None
        camera = self.camera
        u0, u1 = camera.columns((x + left) / depth, (x + right) / depth)
        v0, v1 = camera.rows((camera.above - top) / depth, (camera.above - bottom) / depth)
        if u0 >= u1 or v0 >= v1:
            return None
        box = (slice(v0, v1), slice(u0, u1))
        if float(self.depth[box].max()) <= depth:
            return None
        xs = camera.slopes(u0, u1) * np.float32(depth) - np.float32(x)
        ys = np.float32(camera.above) - camera.drops(v0, v1) * np.float32(depth)
        return Patch(box, xs[None, :], ys[:, None], depth, depth / camera.focal)

    def put(self, patch: Patch, inside: Flags, colour: Array, label: int) -> None:
        """Draw ``colour`` ``(h, w, 3)`` where ``inside`` ``(h, w)`` and nothing is nearer."""
        seen = inside & (self.depth[patch.box] > np.float32(patch.depth))
        self.colour[patch.box][seen] = colour[seen]
        self.label[patch.box][seen] = label
        self.depth[patch.box][seen] = patch.depth

    def scatter(
        self,
        rows: Places,
        columns: Places,
        colour: Array,
        depth: Array,
        label: int,
    ) -> None:
        """Write fragments (all known to be visible) at ``rows``, ``columns``."""
        at = rows * self.camera.width + columns
        self.colour.reshape(-1, 3)[at] = colour
        self.label.reshape(-1)[at] = label
        self.depth.reshape(-1)[at] = depth


def linear(red: int, green: int, blue: int) -> Colour:
    """Linear light of an 8-bit colour as seen on a screen."""
    return (red / 255) ** 2, (green / 255) ** 2, (blue / 255) ** 2


def tint(colour: Colour, factor: float) -> Colour:
    """``colour`` made brighter or darker."""
    return colour[0] * factor, colour[1] * factor, colour[2] * factor


def vector(colour: Colour) -> Array:
    """``colour`` as an array ``(3,)``."""
    return np.array(colour, np.float32)


def _cut(value: float, limit: int) -> int:
    return int(min(max(value, 0.0), float(limit)))
