"""The ground: each pixel below the horizon is traced to the street's plane and painted there."""

from __future__ import annotations

import numpy as np

from ratewise.data.streets import labels
from ratewise.data.streets.frame import Frame, vector
from ratewise.data.streets.layout import Road, Scene
from ratewise.data.streets.noise import ASPHALT, BLADES, STAINS, Array, Flags, cell, fbm, smooth
from ratewise.data.streets.shade import Shade
from ratewise.images import Mask

_KERB = 0.16


def draw_ground(frame: Frame, scene: Scene, shade: Shade) -> None:
    """Paint road, markings, sidewalks and grass wherever nothing stands in front of them."""
    camera, road = frame.camera, scene.road
    first = max(int(camera.horizon) + 1, 0)
    if first >= camera.height:
        return
    rows = slice(first, camera.height)
    z = (np.float32(camera.above) / camera.drops(first, camera.height))[:, None]
    x = camera.slopes(0, camera.width)[None, :] * z
    middle = np.float32(road.start) + z * (np.float32(road.heading) + np.float32(road.bend / 2) * z)
    d = x - middle
    lit = shade.sunlit(d, z)
    sky = np.ones_like(d)
    _cast(frame, scene, first, lit, sky)
    seen = frame.depth[rows] > z
    painted = _markings(road, d, z, z / np.float32(camera.focal))
    kind = np.where(painted, np.uint8(labels.MARKING), _zones(road, d, z))
    depth = np.broadcast_to(z, d.shape)
    for label in (labels.ROAD, labels.MARKING, labels.SIDEWALK, labels.GRASS):
        r, c = np.nonzero(seen & (kind == label))
        if not r.size:
            continue
        fz, fd = depth[r, c], d[r, c]
        # The mean side of a pixel's footprint, which is Z / f wide and Z^2 / (f above) long.
        blur: Array = np.sqrt(fz * fz * fz) / np.float32(camera.focal * camera.above**0.5)
        if label == labels.SIDEWALK:
            colour = _paving(road, fd, fz, blur)
        elif label == labels.GRASS:
            colour = _lawn(road, fd, fz, blur)
        else:
            colour = _asphalt(road, fd, fz, blur, label == labels.MARKING)
        sun = lit[r, c, None] * (shade.direct * np.float32(shade.light.sun[1]))
        frame.scatter(r + first, c, colour * (sky[r, c, None] * shade.ambient + sun), fz, label)


def _zones(road: Road, d: Array, z: Array) -> Mask:
    kind = np.full(d.shape, labels.GRASS, np.uint8)
    for side in (0, 1):
        out = d if side else -d
        kerb, walk = road.kerb(side), road.walk[side]
        end = kerb + walk + (40.0 if road.yard[side] < 0.5 else 0.0)
        kind[(out >= kerb) & (out < end)] = labels.SIDEWALK
        kind[(out >= road.half) & (out < road.half + _KERB)] = labels.SIDEWALK
    kind[(d > -road.half) & (d < road.half)] = labels.ROAD
    if road.crossing:
        across = (z > road.crossing[0]) & (z < road.crossing[1])
        kind[np.broadcast_to(across, kind.shape)] = labels.ROAD
    return kind


def _markings(road: Road, d: Array, z: Array, pixel: Array) -> Flags:
    """Where paint is: lines (never thinner than two thirds of a pixel), zebra, stop line."""
    wide = np.maximum(np.float32(0.075), pixel * np.float32(0.65))
    free = z < 90
    if road.crossing:
        before = road.crossing[0] - (5.0 if road.zebra else 0.8)
        free = free & ((z < before) | (z > road.crossing[1] + 1))
    elif road.zebra:
        free = free & ((z < road.zebra - 1.5) | (z > road.zebra + 4))
    paint = np.zeros(d.shape, np.bool_)
    dash = np.mod(z + np.float32(road.phase), np.float32(9.0)) < 4
    for number in range(1, road.lanes):
        at = (number - road.lanes / 2) * road.lane
        solid = road.lanes % 2 == 0 and number == road.lanes // 2 and not road.dashed
        line = np.abs(d - np.float32(at)) < wide
        paint |= line & (free if solid else free & dash)
    if road.edge_lines:
        edge = np.float32(road.lanes * road.lane / 2)
        paint |= (np.abs(np.abs(d) - edge) < wide) & free
    inside = np.abs(d) < np.float32(road.half - 0.2)
    if road.zebra:
        band = (z > road.zebra) & (z < road.zebra + 3.0)
        paint |= band & inside & (np.mod(d, np.float32(1.1)) < np.float32(0.55))
    if road.crossing or road.zebra:
        stop = (road.zebra or road.crossing[0]) - 1.2  # type: ignore[index]
        paint |= (z > stop - 0.4) & (z < stop) & inside & (d > (0 if road.lanes > 1 else -9))
    return paint


def _asphalt(road: Road, d: Array, z: Array, blur: Array, painted: bool) -> Array:
    grain = smooth(fbm(*ASPHALT), d * 115, z * 115) * _fade(blur, 0.05)
    stain = smooth(fbm(*STAINS), d * 9 + 40, z * 4)
    value = 1 + np.float32(0.38) * grain + np.float32(0.11) * stain
    value -= np.float32(0.14) * (stain > 0.72)
    # Cracks: where a broad noise crosses zero.
    crack = np.abs(smooth(fbm(8, 32, 0.7), d * 26 + 9, z * 20)) < np.float32(0.02) + blur * 0.1
    value -= np.float32(0.35) * crack * _fade(blur, 0.05)
    if not painted:
        lane = np.mod(np.abs(d + np.float32(road.lane * road.lanes / 2)), np.float32(road.lane))
        tyre = np.abs(np.abs(lane - np.float32(road.lane / 2)) - np.float32(0.75))
        value -= np.float32(0.13) * np.maximum(1 - tyre * 2, 0)
        return value[:, None] * vector(road.asphalt)
    worn = np.clip((smooth(fbm(16, 128, 0.9), d * 40, z * 40) + road.wear * 1.5 - 1) * 3, 0, 0.75)
    white = np.array([0.62, 0.62, 0.58], np.float32)
    if road.centre_yellow:
        yellow = np.abs(d) < 0.2
        white = np.where(yellow[:, None], np.array([0.66, 0.45, 0.08], np.float32), white)
    paint = white * (1 + np.float32(0.12) * grain + np.float32(0.12) * stain)[:, None]
    under = value[:, None] * vector(road.asphalt)
    mixed: Array = paint + (under - paint) * worn[:, None]
    return mixed


def _paving(road: Road, d: Array, z: Array, blur: Array) -> Array:
    long, wide = np.float32(road.slab[0]), np.float32(road.slab[1])
    i = np.floor(z / long)
    # Every other row is shifted by half a slab.
    across = d / wide + np.float32(0.5) * np.mod(i, 2)
    j = np.floor(across)
    near = np.minimum(_edge(z / long - i) * long, _edge(across - j) * wide)
    joint = near < np.maximum(np.float32(0.018), blur * np.float32(0.5))
    value = 1 + np.float32(0.2) * cell(i, j) * _fade(blur, 0.3)
    value -= np.float32(0.5) * joint * _fade(blur, 0.09)
    value += np.float32(0.12) * smooth(fbm(*STAINS), d * 12, z * 8)
    value += np.float32(0.14) * smooth(fbm(*ASPHALT), d * 60, z * 60) * _fade(blur, 0.03)
    out = np.where(d > 0, d - np.float32(road.half), -d - np.float32(road.half))
    stone = (out >= 0) & (out < np.float32(_KERB))
    value = np.where(stone, 1.35 + 0.1 * cell(np.floor(z), np.sign(d)), value)
    return value[:, None].astype(np.float32) * vector(road.paving)


def _lawn(road: Road, d: Array, z: Array, blur: Array) -> Array:
    blade = smooth(fbm(*BLADES), d * 45, z * 30) * _fade(blur, 0.14)
    tuft = smooth(fbm(16, 64, 0.9), d * 16, z * 10) * _fade(blur, 0.4)
    dry = smooth(fbm(*STAINS), d * 10, z * 7)
    value = 1 + np.float32(0.55) * blade + np.float32(0.22) * tuft + np.float32(0.12) * dry
    colour: Array = value[:, None] * vector(road.grass)
    colour[:, 0] *= 1 + np.float32(0.25) * dry
    return colour


def _cast(frame: Frame, scene: Scene, first: int, lit: Array, sky: Array) -> None:
    """Darken ``lit`` behind trees, cars, poles and pedestrians, and ``sky`` under cars."""
    across, up, along = scene.light.sun
    lean_x, lean_z = -across / up, -along / up
    for tree in scene.trees:
        top = tree.trunk + tree.radius * 0.8
        x, z = tree.x + lean_x * top, tree.z + lean_z * top
        wide = tree.radius * 1.25
        spot = _Spot(frame, first, x, z, wide * 1.4)
        if not spot.seen:
            continue
        leaf = smooth(fbm(16, 64, 0.9), spot.x * 18, spot.z * 18)
        distance = (spot.x**2 + spot.z**2) / np.float32(wide * wide)
        spot.darken(lit, (1 - distance + leaf * np.float32(0.7)) * 2, 0.92)
        if tree.trunk:
            _streak(frame, first, lit, tree.x, tree.z, lean_x * top, lean_z * top, 0.16)
    for post in scene.posts:
        reach = post.height
        _streak(frame, first, lit, post.x, post.z, lean_x * reach, lean_z * reach, 0.07)
    for person in scene.people:
        reach = person.height
        _streak(frame, first, lit, person.x, person.z, lean_x * reach, lean_z * reach, 0.2)
    for car in scene.cars:
        length, width, height = car.size
        half_x, half_z = (length / 2, width / 2) if car.view == "side" else (width / 2, length / 2)
        for step in (0.0, 0.4, 0.8):
            x = car.x + car.slope * half_z + lean_x * height * step
            z = car.z + half_z + lean_z * height * step
            spot = _Spot(frame, first, x, z, max(half_x, half_z) + 0.6)
            if spot.seen:
                skew = spot.x - spot.z * np.float32(car.slope)
                outside = np.maximum(
                    np.abs(skew) - np.float32(half_x), np.abs(spot.z) - np.float32(half_z)
                )
                spot.darken(lit, np.float32(0.8) - outside * 4, 1.0)
                if step == 0:
                    spot.darken(sky, np.float32(0.7) - outside * 2, 0.75)


def _streak(
    frame: Frame, first: int, lit: Array, x: float, z: float, dx: float, dz: float, wide: float
) -> None:
    """The shadow of an upright thing at ``x``, ``z`` whose top falls ``dx``, ``dz`` away."""
    reach = (dx * dx + dz * dz) ** 0.5 / 2 + wide
    spot = _Spot(frame, first, x + dx / 2, z + dz / 2, reach)
    if not spot.seen:
        return
    px, pz = spot.x + np.float32(dx / 2), spot.z + np.float32(dz / 2)
    t: Array = np.clip(
        (px * np.float32(dx) + pz * np.float32(dz)) / np.float32(dx**2 + dz**2), 0, 1
    )
    across, along = px - t * np.float32(dx), pz - t * np.float32(dz)
    distance = across * across + along * along
    inside: Array = 2 - distance * np.float32(2 / (wide * wide))
    spot.darken(lit, inside, 0.9)


class _Spot:
    """The pixels of the ground near a place; ``x``, ``z`` count from there."""

    def __init__(self, frame: Frame, first: int, x: float, z: float, reach: float) -> None:
        camera = frame.camera
        near, far = max(z - reach, 1.2), z + reach
        self.seen = False
        if far <= near + 0.01 or near > 90:
            return
        top, bottom = camera.rows(camera.above / far, camera.above / near)
        top, bottom = max(top, first), max(bottom, first)
        left = min((x - reach) / near, (x - reach) / far)
        right = max((x + reach) / near, (x + reach) / far)
        u0, u1 = camera.columns(left, right)
        if top >= bottom or u0 >= u1:
            return
        self.seen = True
        depth = (np.float32(camera.above) / camera.drops(top, bottom))[:, None]
        self.box = (slice(top - first, bottom - first), slice(u0, u1))
        self.x = camera.slopes(u0, u1)[None, :] * depth - np.float32(x)
        self.z = depth - np.float32(z)

    def darken(self, lit: Array, amount: Array, most: float) -> None:
        part = lit[self.box]
        np.minimum(part, 1 - np.clip(amount, 0, np.float32(most)), out=part)


def _edge(part: Array) -> Array:
    """Distance of a fraction in [0, 1) to the nearer whole number."""
    return np.minimum(part, 1 - part)


def _fade(blur: Array, size: float) -> Array:
    """How much contrast of a detail of ``size`` metres is left at ``blur`` metres a pixel."""
    return np.float32(size) / (np.float32(size) + blur)
