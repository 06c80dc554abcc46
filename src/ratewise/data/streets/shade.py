"""Where the sun does not reach: shadows cast by the rows of houses, and light on a surface."""

from __future__ import annotations

import numpy as np

from ratewise.data.streets.frame import vector
from ratewise.data.streets.layout import Building, Light, Road
from ratewise.data.streets.noise import Array

_FIRST, _LAST = -80, 320


class Shade:
    """The heights of the two rows of houses along Z, and the sun that they hide."""

    def __init__(self, light: Light, road: Road, buildings: list[Building]) -> None:
        self.light = light
        self.road = road
        self.ambient = vector(light.ambient)
        self.direct = vector(light.direct)
        self.heights = np.zeros((2, _LAST - _FIRST), np.float32)
        for house in buildings:
            begin = max(int(house.near) - _FIRST, 0)
            end = min(int(house.far) - _FIRST, _LAST - _FIRST)
            self.heights[house.side, begin:end] = house.height
        self.side = 1 if light.sun[0] > 0 else 0

    def sunlit(self, d: Array | np.float32, z: Array, y: float | Array = 0.0) -> Array:
        """How much of the sun reaches the lateral position ``d`` at ``z``, height ``y``: 0 to 1."""
        across, up, along = self.light.sun
        facade = self.road.facade(self.side)
        distance = facade - d if self.side else facade + d
        distance = np.maximum(distance, np.float32(0.0))
        reach = np.float32(1 / max(abs(across), 0.05))
        at = np.clip((z + distance * (reach * np.float32(along))) - _FIRST, 0, _LAST - _FIRST - 1)
        needed = distance * (reach * np.float32(up)) + y
        tops = self.heights[self.side].take(at.astype(np.int32))
        soft: Array = np.clip((needed - tops) * np.float32(2.5) + np.float32(0.5), 0, 1)
        return soft

    def at(self, x: float, z: float, y: float = 1.0) -> float:
        """:meth:`sunlit` for one place, given by X."""
        d = x - self.road.middle(z)
        across, up, along = self.light.sun
        facade = self.road.facade(self.side)
        distance = max(facade - d if self.side else facade + d, 0.0)
        reach = distance / max(abs(across), 0.05)
        at = min(max(int(z + reach * along - _FIRST), 0), _LAST - _FIRST - 1)
        open_ = reach * up + y - float(self.heights[self.side, at])
        return min(max(open_ * 2.5 + 0.5, 0.0), 1.0)

    def on(self, normal: tuple[float, float, float], lit: float) -> Array:
        """Light ``(3,)`` that falls on a surface with ``normal`` where ``lit`` of the sun comes."""
        sun = self.light.sun
        facing = normal[0] * sun[0] + normal[1] * sun[1] + normal[2] * sun[2]
        light: Array = self.ambient + self.direct * np.float32(max(facing, 0.0) * lit)
        return light

    def round(self, lit: float) -> Array:
        """Light ``(3,)`` on a rounded thing, averaged over what faces the camera."""
        across, _, along = self.light.sun
        share = 0.22 + 0.4 * max(-along, 0.0) + 0.12 * abs(across)
        light: Array = self.ambient + self.direct * np.float32(share * lit)
        return light
