"""What stands along the street as a wall: facades of houses with their gables, and hedges."""

from __future__ import annotations

import numpy as np

from ratewise.data.streets import labels
from ratewise.data.streets.frame import Frame, vector
from ratewise.data.streets.layout import Building, Hedge, Scene
from ratewise.data.streets.noise import (
    ASPHALT,
    LEAVES,
    STAINS,
    Array,
    Flags,
    Places,
    cell,
    fbm,
    smooth,
)
from ratewise.data.streets.shade import Shade

_DEEP = 14.0
"""Depth of a house away from the street in metres."""


def draw_building(frame: Frame, house: Building, scene: Scene, shade: Shade) -> None:
    """The facade along the street, and the gable that faces the camera."""
    road = scene.road
    sign = 1 if house.side else -1
    inward = (-float(sign), 0.0, 0.0)
    roof = house.height + house.attic
    d = np.float32(sign * house.offset)
    if house.near > 1.5:
        x = road.middle(house.near) + sign * house.offset
        left, right = (0.0, _DEEP) if sign > 0 else (-_DEEP, 0.0)
        patch = frame.patch(house.near, x, left, right, 0.0, roof)
        if patch is not None:
            shape = (patch.y.size, patch.x.size)
            inside = (patch.x >= left) & (patch.x <= right) & (patch.y >= 0) & (patch.y <= roof)
            along = np.broadcast_to(np.abs(patch.x), shape).ravel()
            up = np.broadcast_to(patch.y, shape).ravel()
            blur = np.full(along.shape, patch.pixel, np.float32)
            colour = _facade(house, along + 31, up, blur, gable=True)
            lit = shade.sunlit(d - sign, np.array([house.near], np.float32), up)
            sun = np.float32(max(-scene.light.sun[2], 0.0)) * lit[:, None]
            colour = colour * (shade.ambient + sun * shade.direct)
            frame.put(patch, inside, colour.reshape(*shape, 3), labels.BUILDING)
    fragments = _wall(frame, scene, float(d), house.near, house.far, roof)
    if fragments is None:
        return
    r, c, z, y = fragments
    colour = _facade(house, z, y, z / np.float32(frame.camera.focal), gable=False)
    facing = np.float32(max(inward[0] * scene.light.sun[0], 0.0))
    lit = shade.sunlit(d * np.float32(0.98), z, y)[:, None] * facing
    frame.scatter(r, c, colour * (shade.ambient + lit * shade.direct), z, labels.BUILDING)


def draw_hedge(frame: Frame, hedge: Hedge, scene: Scene, shade: Shade) -> None:
    """A clipped hedge: leaves on the side that faces the street and on its near end."""
    sign = 1 if hedge.side else -1
    d = np.float32(sign * hedge.offset)
    if hedge.near > 1.5:
        x = scene.road.middle(hedge.near) + float(d)
        left, right = (0.0, 0.7) if sign > 0 else (-0.7, 0.0)
        patch = frame.patch(hedge.near, x, left, right, 0.0, hedge.height)
        if patch is not None:
            leaf = _leaves(patch.x + hedge.salt, patch.y, patch.pixel)
            inside = (
                (patch.x > left)
                & (patch.x < right)
                & (patch.y < hedge.height + np.float32(0.06) * leaf)
            )
            shine = shade.round(shade.at(x, hedge.near)) * vector(hedge.colour)
            colour = (np.float32(0.9) + np.float32(0.6) * leaf)[:, :, None] * shine
            frame.put(patch, inside & (patch.y > 0), colour, labels.VEGETATION)
    fragments = _wall(frame, scene, float(d), hedge.near, hedge.far, hedge.height)
    if fragments is None:
        return
    r, c, z, y = fragments
    leaf = _leaves(z + hedge.salt, y, z / np.float32(frame.camera.focal))
    facing = np.float32(max(-sign * scene.light.sun[0], 0.0) * 0.8 + 0.15)
    lit = shade.sunlit(d, z, y)[:, None] * facing
    dark = np.float32(0.65) + np.float32(0.45) * y / np.float32(hedge.height)
    value = np.maximum(dark * (1 + np.float32(0.75) * leaf), np.float32(0.08))
    colour = value[:, None] * vector(hedge.colour) * (shade.ambient + lit * shade.direct)
    frame.scatter(r, c, colour, z, labels.VEGETATION)


def _leaves(x: Array, y: Array, blur: Array | float) -> Array:
    fine = smooth(fbm(*LEAVES), x * 55, y * 55)
    return fine * (np.float32(0.25) / (np.float32(0.25) + blur))


def _wall(
    frame: Frame, scene: Scene, d: float, near: float, far: float, top: float
) -> tuple[Places, Places, Array, Array] | None:
    """Visible pixels of an upright wall along the street: rows, columns, Z and Y of each.

    The wall follows the road's bend, ``X = a + heading Z + bend Z^2 / 2``, so a column of slope
    ``t = X / Z`` meets it where a quadratic in Z is zero; the nearer root is the visible one.
    """
    camera, road = frame.camera, scene.road
    a = road.start + d
    lean = camera.slopes(0, camera.width) - np.float32(road.heading)
    inner = lean * lean - np.float32(2 * road.bend * a)
    root = np.sqrt(np.maximum(inner, 0))
    below = lean + root if a > 0 else lean - root
    below = np.where(np.abs(below) < 1e-6, np.float32(1e-6), below)
    z: Array = np.float32(2 * a) / below.astype(np.float32, copy=False)
    columns = np.nonzero((inner >= 0) & (z >= max(near, 1.0)) & (z < far))[0]
    if not columns.size:
        return None
    z = z[columns]
    nearest = float(z.min())
    v0, v1 = camera.rows((camera.above - top) / nearest, camera.above / nearest)
    if top < camera.above:
        v0 = camera.rows((camera.above - top) / float(z.max()), 0.0)[0]
    if v0 >= v1:
        return None
    y = np.float32(camera.above) - camera.drops(v0, v1)[:, None] * z
    seen = (y >= 0) & (y <= top) & (frame.depth[v0:v1, columns] > z)
    r, c = np.nonzero(seen)
    if not r.size:
        return None
    return r + v0, columns[c], z[c], y[r, c]


def _facade(house: Building, s: Array, y: Array, blur: Array, *, gable: bool) -> Array:
    """Albedo of a facade at ``s`` metres along and ``y`` metres up, ``(N, 3)``."""
    wall = vector(house.wall)
    value = 1 + np.float32(0.14) * smooth(fbm(*STAINS), s * 9 + house.salt, y * 7)
    value += np.float32(0.1) * smooth(fbm(*ASPHALT), s * 40, y * 40) * _fade(blur, 0.06)
    if house.material in (1, 2):
        tall, long = (0.16, 0.42) if house.material == 1 else (0.5, 0.95)
        row = np.floor(y / np.float32(tall))
        place = s / np.float32(long) + np.float32(0.5) * np.mod(row, 2)
        column = np.floor(place)
        part_y, part_s = y / np.float32(tall) - row, place - column
        joint = np.minimum(
            np.minimum(part_y, 1 - part_y) * np.float32(tall),
            np.minimum(part_s, 1 - part_s) * np.float32(long),
        ) < np.maximum(np.float32(0.014), blur * np.float32(0.4))
        value += np.float32(0.22) * cell(row, column, house.salt) * _fade(blur, tall)
        value += np.float32(0.35 if house.material == 1 else -0.35) * joint * _fade(blur, tall / 3)
    colour = value[:, None] * wall
    storey = np.float32(house.floor)
    level = np.floor(y / storey)
    rise = y / storey - level
    pitch = np.float32(house.pitch)
    bay = np.floor(s / pitch)
    part = s / pitch - bay
    wide, tall_share = house.window
    if house.material == 3:
        wide, tall_share = 0.86, 0.78
    off_s, off_y = np.abs(part - np.float32(0.5)), np.abs(rise - np.float32(0.52))
    glass = (off_s < np.float32(wide / 2)) & (off_y < np.float32(tall_share / 2))
    if gable:
        glass &= cell(bay, level, house.salt + 1) > 0.1
    rim_s, rim_y = np.float32(0.12 / house.pitch), np.float32(0.12 / house.floor)
    rim = (off_s < np.float32(wide / 2) + rim_s) & (off_y < np.float32(tall_share / 2) + rim_y)
    if gable:
        rim &= cell(bay, level, house.salt + 1) > 0.1
    cross = (off_s < np.float32(0.035 / house.pitch)) | (
        np.abs(rise - np.float32(0.62)) < np.float32(0.03 / house.floor)
    )
    trim = vector(house.trim)
    street = np.zeros(s.shape, np.bool_)
    if house.shop and not gable:
        street = level == 0
        glass = np.where(street, (off_s < 0.44) & (rise > 0.12) & (rise < 0.72), glass)
        rim &= ~street
        cross &= ~street
        board = np.nonzero(street & (rise > 0.74) & (rise < 0.94))[0]
        shop = bay[board] // 3
        hues = np.stack([cell(shop, shop, house.salt + k) for k in range(3)], axis=1)
        colour[board] = np.float32(0.16) + np.float32(0.14) * hues
    colour[rim & ~glass] = trim
    at = np.nonzero(glass)[0]
    colour[at] = _panes(house, bay[at] * 2 + (part[at] > 0.5), level[at], rise[at], street[at])
    colour[glass & cross] = trim * np.float32(0.8)
    over = y > np.float32(house.height - 0.45)
    ledge = over & (y < house.height)
    if house.material != 1:
        ledge |= (rise < 0.05) & (level > 0)
    colour[ledge] = trim * np.float32(0.85)
    colour[(y > house.height - 0.62) & ~over] *= np.float32(0.55)
    if house.attic:
        at = np.nonzero(y >= house.height)[0]
        tile_row = np.floor(y[at] / np.float32(0.28))
        tile = cell(tile_row, np.floor(s[at] / np.float32(0.3) + tile_row * 0.5), house.salt)
        dark = (y[at] / np.float32(0.28) - tile_row) < 0.2
        colour[at] = (1 + np.float32(0.2) * tile - np.float32(0.3) * dark)[:, None] * vector(
            house.roof
        )
    colour[(y < 0.5) & ~glass] *= np.float32(0.7)
    return colour


def _panes(house: Building, column: Array, level: Array, rise: Array, street: Flags) -> Array:
    """Window panes mirror the sky, brighter towards their top, each a little different."""
    own = cell(column, level, house.salt + 2)
    sheen = np.float32(0.03) + np.maximum(own, 0) * np.float32(0.16)
    sheen += np.maximum(rise - np.float32(0.5), 0) * np.float32(0.14)
    pane: Array = sheen[:, None] * np.array([0.8, 1.0, 1.25], np.float32)
    pane[(own < -0.55) & ~street] = vector(house.trim) * np.float32(0.55)
    return pane


def _fade(blur: Array, size: float) -> Array:
    return np.float32(size) / (np.float32(size) + blur)
