"""Cars: a flank along the road and an end that faces the camera, or a car seen from its side."""

from __future__ import annotations

import numpy as np

from ratewise.data.streets import labels
from ratewise.data.streets.frame import Frame, vector
from ratewise.data.streets.layout import Car, Scene
from ratewise.data.streets.noise import Array, Flags
from ratewise.data.streets.shade import Shade

# Outline of each shape from its tail (0) to its nose (1): share of length, share of height.
_OUTLINES = (
    (
        (0, 0.6),
        (0.03, 0.68),
        (0.15, 0.98),
        (0.3, 1),
        (0.52, 0.98),
        (0.72, 0.66),
        (0.96, 0.56),
        (1, 0.4),
    ),
    (
        (0, 0.56),
        (0.02, 0.67),
        (0.15, 0.7),
        (0.29, 0.98),
        (0.42, 1),
        (0.55, 0.97),
        (0.72, 0.67),
        (0.97, 0.56),
        (1, 0.4),
    ),
    (
        (0, 0.62),
        (0.02, 0.7),
        (0.08, 0.97),
        (0.2, 1),
        (0.56, 0.98),
        (0.71, 0.68),
        (0.97, 0.6),
        (1, 0.44),
    ),
    ((0, 0.9), (0.015, 0.97), (0.1, 1), (0.74, 0.98), (0.88, 0.58), (0.98, 0.46), (1, 0.32)),
)
_CABIN_TAIL = (0.12, 0.24, 0.06, 0.01)
_CABIN_NOSE = (0.6, 0.62, 0.62, 0.8)
_BELT = 0.64
_TYRE = np.array([0.012, 0.012, 0.013], np.float32)
_RIM = np.array([0.2, 0.2, 0.21], np.float32)


def draw_car(frame: Frame, car: Car, scene: Scene, shade: Shade) -> None:
    """Draw one car, the part nearest the camera last (the depth buffer sorts the rest)."""
    lit = shade.at(car.x, car.z, 0.6)
    if car.view == "side":
        length, _, height = car.size
        patch = frame.patch(car.z, car.x, -length / 2, length / 2, 0.0, height * 1.02)
        if patch is not None:
            s = patch.x / np.float32(length) + np.float32(0.5)
            if car.salt % 2:
                s = 1 - s
            inside, colour = _flank(car, s, patch.y, patch.pixel, scene)
            light = shade.on((0.0, 0.35, -0.9), lit)
            frame.put(patch, inside, colour * light, labels.CAR)
        return
    _draw_flank(frame, car, scene, shade, lit)
    _draw_end(frame, car, scene, shade, lit)


def _draw_flank(frame: Frame, car: Car, scene: Scene, shade: Shade, lit: float) -> None:
    """The long side, in the plane ``X = edge + slope (Z - z)``."""
    length, width, height = car.size
    camera = frame.camera
    side = -1.0 if car.x + car.slope * length / 2 > 0 else 1.0
    edge = car.x + side * width / 2
    below = camera.slopes(0, camera.width) - np.float32(car.slope)
    below = np.where(np.abs(below) < 1e-6, np.float32(1e-6), below)
    z = np.float32(edge - car.slope * car.z) / below
    columns = np.nonzero((z >= max(car.z, 1.0)) & (z < car.z + length))[0]
    if not columns.size:
        return
    nearest = max(car.z, 1.0)
    v0, v1 = camera.rows((camera.above - height * 1.02) / nearest, camera.above / nearest)
    if height * 1.02 < camera.above:
        v0 = camera.rows((camera.above - height * 1.02) / (car.z + length), 0.0)[0]
    if v0 >= v1:
        return
    u0, u1 = int(columns[0]), int(columns[-1]) + 1
    depth = z[u0:u1][None, :]
    y = np.float32(camera.above) - camera.drops(v0, v1)[:, None] * depth
    s = (depth - np.float32(car.z)) / np.float32(length)
    s = 1 - s if car.view == "front" else s
    inside, colour = _flank(car, s, y, nearest / camera.focal, scene)
    inside &= frame.depth[v0:v1, u0:u1] > depth
    r, c = np.nonzero(inside)
    light = shade.on((side * 0.9, 0.35, 0.0), lit)
    frame.scatter(r + v0, c + u0, colour[r, c] * light, depth[0, c], labels.CAR)


def _flank(car: Car, s: Array, y: Array, pixel: float, scene: Scene) -> tuple[Flags, Array]:
    """Outline and albedo of the side at ``s`` (0 tail, 1 nose) and ``y`` metres up."""
    length, _, height = car.size
    knots = _OUTLINES[car.shape]
    top = np.interp(s, [k[0] for k in knots], [k[1] for k in knots]).astype(np.float32)
    y = np.broadcast_to(y, np.broadcast_shapes(y.shape, s.shape))
    high = y / np.float32(height)
    body = (high <= top) & (high > 0.17) & (s >= 0) & (s <= 1)
    colour = _paint(car, high, scene)
    seam = np.minimum(np.abs(s - 0.43), np.abs(s - (0.64 if car.shape < 3 else 0.74)))
    line = (seam < 0.006) & (high > 0.24) & (high < 0.9)
    colour[line & body] *= np.float32(0.5)
    cabin = (s > _CABIN_TAIL[car.shape]) & (s < _CABIN_NOSE[car.shape] + 0.09)
    glass = cabin & (high > _BELT + 0.02) & (high < top - 0.075)
    glass &= np.abs(s - 0.43) > 0.012
    if car.shape == 3:
        glass &= s > 0.58
    colour[glass] = _glass(high[glass], scene)
    colour[(high < 0.25) & body] *= np.float32(0.4)
    colour[body & (s < 0.03) & (high > 0.46) & (high < 0.6)] = (0.35, 0.02, 0.02)
    colour[body & (s > 0.965) & (high > 0.42) & (high < 0.54)] = (0.6, 0.6, 0.56)
    radius = np.float32(0.33)
    inside = body
    for at in (0.19, 0.82):
        across = (s - np.float32(at)) * np.float32(length)
        distance = across * across + (y - radius) * (y - radius)
        colour[distance < (radius * 1.14) ** 2] = _TYRE
        inside = inside | (distance < radius * radius)
        colour[distance < (radius * 0.62) ** 2] = _RIM
        colour[distance < (radius * 0.2) ** 2] = _TYRE
    return inside & (y > 0), colour


def _draw_end(frame: Frame, car: Car, scene: Scene, shade: Shade, lit: float) -> None:
    """Tail or nose: the lower body at the near end, windscreen and roof a little behind it."""
    length, width, height = car.size
    rear = car.view == "rear"
    light = shade.on((0.0, 0.35, -0.9), lit)
    back = _CABIN_TAIL[car.shape] if rear else 1 - _CABIN_NOSE[car.shape]
    half = width / 2
    z = car.z + back * length
    patch = frame.patch(z, car.x + car.slope * back * length, -half, half, 0.0, height * 1.01)
    if patch is not None:
        high = np.broadcast_to(patch.y / np.float32(height), (patch.y.size, patch.x.size))
        taper = np.float32(half) * (1 - np.float32(0.32) * np.maximum(high - np.float32(_BELT), 0))
        away = np.abs(patch.x)
        rounded = np.float32(1.0) - np.float32(0.1) * (away / np.float32(half)) ** 4
        inside = (away < taper) & (high < rounded) & (high > 0.3)
        colour = _paint(car, high, scene)
        pane = (away < taper - np.float32(0.11)) & (high > _BELT + 0.04) & (high < rounded - 0.09)
        colour[pane] = _glass(high[pane], scene)
        # Seats and heads behind the screen.
        inner = (np.abs(away - np.float32(0.36)) < 0.13) & (high < 0.79) & pane
        colour[inner] *= np.float32(0.45)
        frame.put(patch, inside, colour * light, labels.CAR)
    patch = frame.patch(car.z, car.x, -half, half, 0.0, height)
    if patch is None:
        return
    high = np.broadcast_to(patch.y / np.float32(height), (patch.y.size, patch.x.size))
    away = np.abs(patch.x) / np.float32(half)
    lid = {0: 0.68, 1: 0.68, 2: 0.72, 3: 0.98 if rear else 0.56}[car.shape]
    if not rear and car.shape < 3:
        lid = 0.6
    body = (high < lid - 0.05 * away**4) & (high > 0.12) & (away < 1 - 0.06 * (high < 0.26))
    colour = _paint(car, high, scene)
    inside = body | ((away > 0.66) & (away < 0.96) & (high < 0.3))
    colour[high < 0.27] *= np.float32(0.3)
    colour[high < 0.19] = _TYRE
    colour[inside & ~body] = _TYRE
    if rear:
        if car.shape == 3:
            pane = (away < 0.8) & (high > 0.58) & (high < 0.86)
            colour[pane] = _glass(high[pane], scene)
        lamp = (away > 0.66) & (away < 0.95) & (high > 0.5) & (high < 0.62)
        braking = 0.75 if car.salt % 3 == 0 else 0.3
        colour[lamp] = (braking, 0.02, 0.015)
        plate = (np.abs(patch.x) < 0.26) & (high > 0.38) & (high < 0.45)
    else:
        lamp = (away > 0.6) & (away < 0.95) & (high > 0.42) & (high < 0.53)
        glow = 1.3 if car.salt % 3 == 0 else 0.6
        colour[lamp] = (glow, glow, glow * 0.92)
        grille = (away < 0.55) & (high > 0.3) & (high < 0.45)
        colour[grille] = (0.015, 0.015, 0.017)
        plate = (np.abs(patch.x) < 0.26) & (high > 0.25) & (high < 0.32)
    colour[plate & body] = (0.6, 0.58, 0.5)
    edge = body & (np.abs(high - np.float32(0.335)) < 0.008)
    colour[edge] *= np.float32(0.5)
    frame.put(patch, inside & (patch.y > 0), colour * light, labels.CAR)


def _paint(car: Car, high: Array, scene: Scene) -> Array:
    """Lacquer: its colour, a brighter shoulder, and the sky mirrored on what faces up."""
    shoulder = np.float32(0.28) / (1 + ((high - np.float32(0.58)) * 16) ** 2)
    value = np.float32(0.72) + np.float32(0.3) * high + shoulder
    sky = np.maximum(high - np.float32(0.5), 0)[..., None] * (
        vector(scene.light.horizon) * np.float32(0.12)
    )
    colour: Array = value[..., None] * vector(car.paint) + sky
    return colour


def _glass(high: Array, scene: Scene) -> Array:
    """Dark panes that mirror more of the sky towards the roof, ``(..., 3)``."""
    rise = np.clip((high - np.float32(_BELT)) * 2.5, 0, 1)
    mirrored = np.float32(0.03) + np.float32(0.13) * rise * rise
    pane: Array = mirrored[..., None] * (vector(scene.light.horizon) + np.float32(0.1))
    return pane
