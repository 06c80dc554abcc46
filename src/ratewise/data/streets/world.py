"""Invents a scene: draws every parameter of :mod:`ratewise.data.streets.layout` from dice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ratewise.data.streets.frame import Colour, tint
from ratewise.data.streets.layout import (
    Building,
    Dice,
    Hedge,
    Light,
    Road,
    Scene,
    Tree,
)
from ratewise.data.streets.traffic import bystanders, furniture, vehicles

WALLS = [
    (176, 158, 134),
    (150, 92, 74),
    (196, 184, 164),
    (128, 122, 116),
    (168, 120, 92),
    (186, 172, 120),
    (134, 96, 84),
    (160, 164, 168),
    (204, 196, 186),
    (110, 104, 100),
    (172, 140, 120),
    (148, 150, 138),
]
ROOFS = [(98, 58, 48), (70, 70, 76), (84, 74, 66), (110, 74, 58)]
TRIMS = [(210, 204, 194), (92, 86, 80), (226, 222, 214), (140, 130, 118)]


def invent(seed: int, index: int) -> Scene:
    """The scene number ``index`` of the collection ``seed``."""
    dice = Dice(np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, index]))))
    place = ("city", "city", "residential", "residential", "avenue", "outskirts")[dice.whole(0, 5)]
    light = _light(dice)
    green = dice.pick([(86, 104, 48), (76, 98, 52), (98, 108, 50), (88, 96, 60)], 0.15)
    road = _road(dice, place, green)
    scene = Scene(
        zoom=dice.between(0.8, 1.05),
        horizon=dice.between(0.36, 0.5),
        above=dice.between(1.3, 1.9),
        light=light,
        road=road,
        skyline=dice.whole(0, 2),
    )
    scene.buildings.extend(_buildings(dice, road, place))
    scene.hedges.extend(_hedges(dice, road, green, place))
    scene.trees.extend(_trees(dice, road, green, place))
    scene.cars.extend(vehicles(dice, road, place))
    scene.posts.extend(furniture(dice, road))
    scene.people.extend(bystanders(dice, road, place))
    return scene


def _light(dice: Dice) -> Light:
    cloudy = dice.chance(0.35)
    low = dice.chance(0.3) and not cloudy
    up = dice.between(0.22, 0.4) if low else dice.between(0.45, 0.9)
    across = dice.between(0.25, 1.0) * (1 if dice.chance(0.5) else -1)
    along = dice.between(-1.0, 0.6)
    flat = (1 - up * up) ** 0.5 / (across * across + along * along) ** 0.5
    sun = (across * flat, up, along * flat)
    warm = dice.between(0.12, 0.3) if low else dice.between(-0.04, 0.1)
    strength = dice.between(0.1, 0.3) if cloudy else dice.between(0.95, 1.5)
    ambient = dice.between(0.62, 0.85) if cloudy else dice.between(0.26, 0.42)
    blue = 0.02 if cloudy else 0.16
    glow = dice.between(0.5, 0.72)
    horizon = (glow * (1 + warm * 0.8), glow, glow * (1.04 - warm * 0.9))
    if not cloudy:
        horizon = (glow * (0.84 + warm), glow * 0.95, glow * (1.1 - warm))
    grey = dice.between(0.36, 0.54)
    deep = dice.between(0.8, 1.15)
    zenith = (grey, grey * 1.02, grey * 1.06) if cloudy else (0.1 * deep, 0.22 * deep, 0.5 * deep)
    foggy = dice.chance(0.12)
    return Light(
        sun=sun,
        direct=(strength * (1 + warm), strength, strength * (1 - 1.1 * warm)),
        ambient=(ambient * (1 - blue), ambient, ambient * (1 + blue)),
        zenith=zenith,
        horizon=horizon,
        clouds=dice.between(0.5, 1.0) if cloudy else dice.between(0.0, 0.6),
        haze=dice.between(70, 130) if foggy else dice.between(220, 700),
        exposure=dice.between(1.0, 1.75),
        warmth=dice.between(-0.06, 0.08),
        noise=dice.between(1.2, 4.5),
        blur=dice.between(0.0, 0.35),
    )


def _road(dice: Dice, place: str, green: Colour) -> Road:
    lanes = {"city": dice.whole(1, 3), "avenue": dice.whole(3, 4)}.get(place, 2)
    lane = dice.between(2.9, 3.5)
    parking = 2.1 if place in ("city", "residential") and dice.chance(0.5) else 0.3
    half = lanes * lane / 2 + parking
    wide = {"city": 0.1, "residential": 0.5, "avenue": 0.7, "outskirts": 0.6}[place]
    verge = [dice.between(1.0, 2.6) if dice.chance(wide) else 0.0 for _ in range(2)]
    walk = [dice.between(2.0, 4.4 if place == "city" else 3.0) for _ in range(2)]
    yards = {"city": (0.0, 0.0), "residential": (2.5, 7.0), "avenue": (0.0, 4.0)}
    yard = [dice.between(*yards.get(place, (6.0, 16.0))) for _ in range(2)]
    own = dice.whole((lanes - 1) // 2, lanes - 1) if lanes > 1 else 0
    at = (own + 0.5 - lanes / 2) * lane + dice.between(-0.4, 0.4)
    heading = dice.between(-0.05, 0.05)
    bend = dice.between(-0.006, 0.006) if dice.chance(0.45) else 0.0
    crossing, zebra = None, None
    if dice.chance(0.38):
        begin = dice.between(14, 42)
        crossing = (begin, begin + dice.between(7, 12))
        if dice.chance(0.65):
            zebra = begin - dice.between(4.0, 5.0)
    elif dice.chance(0.3):
        zebra = dice.between(7, 28)
    base = dice.pick([(88, 88, 92), (104, 102, 100), (120, 116, 112), (74, 75, 80)], 0.15)
    # A paving of nearly the asphalt's colour: joints and slabs tell them apart, hue does not.
    paving = tint(base, dice.between(0.9, 1.3))
    if dice.chance(0.2):
        paving = (paving[0] * 1.35, paving[1] * 1.02, paving[2] * 0.88)
    return Road(
        start=-at,
        heading=heading,
        bend=bend,
        half=half,
        lane=lane,
        lanes=lanes,
        dashed=dice.chance(0.75),
        centre_yellow=dice.chance(0.2),
        edge_lines=dice.chance(0.65),
        verge=(verge[0], verge[1]),
        walk=(walk[0], walk[1]),
        yard=(yard[0], yard[1]),
        crossing=crossing,
        zebra=zebra,
        asphalt=base,
        paving=paving,
        slab=(dice.between(0.35, 0.8), dice.between(0.35, 0.8)),
        grass=tint(green, dice.between(0.85, 1.2)),
        wear=dice.between(0.1, 0.7),
        phase=dice.between(0, 12),
    )


def _buildings(dice: Dice, road: Road, place: str) -> list[Building]:
    built: list[Building] = []
    floors = {"city": (3, 7), "residential": (1, 3), "avenue": (2, 8), "outskirts": (1, 2)}[place]
    gap = {"city": 0.12, "residential": 0.8, "avenue": 0.4, "outskirts": 0.95}[place]
    for side in (0, 1):
        z = dice.between(-22, -6)
        while z < 170:
            length = dice.between(8, 24)
            far = z + length
            if road.crossing and far > road.crossing[0] - 2 and z < road.crossing[1] + 2:
                if road.crossing[0] - 2 - z > 6:
                    far = road.crossing[0] - 2
                else:
                    z = road.crossing[1] + dice.between(2, 4)
                    continue
            storey = dice.between(2.9, 3.7)
            count = dice.whole(*floors)
            if place != "outskirts" or dice.chance(0.55):
                built.append(
                    Building(
                        side=side,
                        near=z,
                        far=far,
                        height=count * storey + dice.between(0.5, 1.2),
                        offset=road.facade(side) + (dice.between(0, 1.5) if gap > 0.3 else 0.0),
                        wall=dice.pick(WALLS, 0.25),
                        trim=dice.pick(TRIMS, 0.15),
                        roof=dice.pick(ROOFS, 0.2),
                        material=(0, 0, 1, 1, 2, 3)[dice.whole(0, 5)]
                        if count > 3
                        else dice.whole(0, 2),
                        floor=storey,
                        pitch=dice.between(1.9, 3.4),
                        window=(dice.between(0.42, 0.62), dice.between(0.42, 0.62)),
                        shop=place == "city" and dice.chance(0.55),
                        attic=dice.between(1.5, 3.0) if dice.chance(0.5) else 0.0,
                        salt=dice.whole(0, 500),
                    )
                )
            z = far + (dice.between(2, 14) if dice.chance(gap) else 0.0)
    return built


def _hedges(dice: Dice, road: Road, green: Colour, place: str) -> list[Hedge]:
    rows: list[Hedge] = []
    often = {"city": 0.0, "residential": 0.75, "avenue": 0.3, "outskirts": 0.5}[place]
    for side in (0, 1):
        z = dice.between(-4, 6)
        while z < 90 and road.yard[side] > 1.5:
            far = z + dice.between(5, 18)
            clear = not (
                road.is_open(z, 2) or road.is_open(far, 2) or road.is_open((z + far) / 2, 2)
            )
            if clear and dice.chance(often):
                rows.append(
                    Hedge(
                        side=side,
                        near=z,
                        far=far,
                        height=dice.between(0.7, 2.0),
                        offset=road.facade(side) - road.yard[side] + dice.between(0.1, 0.5),
                        colour=tint(green, dice.between(0.6, 1.0)),
                        salt=dice.whole(0, 500),
                    )
                )
            z = far + dice.between(1.2, 4)
    return rows


def _tree(dice: Dice, x: float, z: float, green: Colour, bush: bool) -> Tree:
    radius = dice.between(0.5, 1.1) if bush else dice.between(1.4, 3.0)
    blobs = tuple(
        (dice.between(-0.62, 0.62), dice.between(-0.5, 0.75), dice.between(0.42, 0.68))
        for _ in range(6)
    )
    return Tree(
        x=x,
        z=z,
        trunk=0.0 if bush else dice.between(1.9, 3.2),
        radius=radius,
        colour=tint(green, dice.between(0.6, 1.15)),
        blobs=((0.0, 0.05, 0.72), *blobs),
        salt=dice.whole(0, 500),
    )


def _trees(dice: Dice, road: Road, green: Colour, place: str) -> list[Tree]:
    grown: list[Tree] = []
    for side in (0, 1):
        sign = 1 if side else -1
        street = {"city": 0.35, "residential": 0.4, "avenue": 0.85, "outskirts": 0.3}[place]
        if dice.chance(street):
            step, z = dice.between(8, 15), dice.between(3, 12)
            inset = road.verge[side] / 2 if road.verge[side] else -0.9
            while z < 110:
                d = sign * (road.kerb(side) - inset)
                if not road.is_open(z, 3) and dice.chance(0.8):
                    grown.append(_tree(dice, road.middle(z) + d, z, green, bush=False))
                z += step
        if road.yard[side] > 2.5:
            for _ in range(dice.whole(2, 8)):
                z = dice.between(5, 100)
                d = sign * (road.facade(side) - dice.between(0.8, road.yard[side] - 0.8))
                if not road.is_open(z, 3):
                    bush = dice.chance(0.4)
                    grown.append(_tree(dice, road.middle(z) + d, z, green, bush))
        for _ in range(dice.whole(4, 10)):  # behind the houses
            z = dice.between(18, 140)
            d = sign * (road.facade(side) + dice.between(4, 30))
            tree = _tree(dice, road.middle(z) + d, z, green, bush=False)
            grown.append(replace(tree, radius=tree.radius * 1.3))
    return grown
