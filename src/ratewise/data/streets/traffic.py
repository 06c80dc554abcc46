"""Invents what moves or stands on a street: cars, pedestrians, poles and signs."""

from __future__ import annotations

from ratewise.data.streets.frame import Colour
from ratewise.data.streets.layout import Car, Dice, Person, Post, Road

PAINTS = [
    (224, 224, 222),
    (34, 34, 38),
    (120, 124, 128),
    (164, 168, 172),
    (150, 28, 30),
    (36, 60, 116),
    (64, 70, 78),
    (84, 104, 92),
    (196, 190, 172),
    (48, 88, 140),
    (188, 140, 40),
    (96, 40, 36),
]
CLOTHES = [
    (40, 44, 58),
    (150, 40, 44),
    (210, 206, 196),
    (58, 84, 126),
    (96, 88, 76),
    (28, 28, 30),
    (176, 136, 70),
    (70, 104, 80),
    (128, 128, 132),
    (196, 120, 140),
    (230, 190, 60),
]
TROUSERS = [(38, 46, 72), (30, 30, 34), (92, 84, 72), (64, 70, 84), (138, 126, 104)]
SKINS = [(224, 182, 154), (198, 150, 118), (150, 104, 76), (98, 66, 48)]
HAIRS = [(40, 30, 24), (92, 66, 40), (160, 128, 80), (24, 22, 22), (130, 126, 122)]

SIZES = ((4.0, 1.76, 1.48), (4.6, 1.82, 1.45), (4.5, 1.88, 1.72), (5.0, 1.96, 2.15))
"""Length, width, height of hatchback, saloon, off-roader, van."""


def _car(dice: Dice, x: float, z: float, slope: float, view: str) -> Car:
    shape = (0, 0, 0, 1, 1, 2, 2, 3)[dice.whole(0, 7)]
    grow = dice.between(0.96, 1.04)
    length, width, height = SIZES[shape]
    return Car(
        x=x,
        z=z,
        slope=slope,
        view=view,
        shape=shape,
        size=(length * grow, width * grow, height * grow),
        paint=dice.pick(PAINTS),
        salt=dice.whole(0, 500),
    )


def vehicles(dice: Dice, road: Road, place: str) -> list[Car]:
    """Parked cars along the kerbs, cars in the lanes, cars on the crossing street."""
    cars: list[Car] = []
    for side in (0, 1):
        parked = road.half - road.lanes * road.lane / 2 > 1.5
        if parked and dice.chance(0.8):
            z, full = dice.between(2.5, 8), dice.between(0.35, 0.9)
            view = "rear" if side or dice.chance(0.4) else "front"
            while z < 90:
                busy = road.is_open(z + 2, 6) or (road.zebra and abs(z - road.zebra) < 6)
                if dice.chance(full) and not busy:
                    d = (1 if side else -1) * (road.half - 1.05)
                    cars.append(_car(dice, road.middle(z) + d, z, road.slope(z), view))
                z += dice.between(5.6, 6.8)
    for number in range(road.lanes):
        d = (number + 0.5 - road.lanes / 2) * road.lane
        oncoming = road.lanes > 1 and number < road.lanes // 2
        ahead = abs(d + road.start) < road.lane * 0.7
        z = dice.between(7, 30) if ahead else dice.between(4, 30)
        while z < 110:
            if not road.is_open(z + 2, 3) and dice.chance(0.6):
                x = road.middle(z) + d + dice.between(-0.25, 0.25)
                cars.append(_car(dice, x, z, road.slope(z), "front" if oncoming else "rear"))
            z += dice.between(9, 34)
    if road.crossing:
        for _ in range(dice.whole(0, 2)):
            z = dice.between(road.crossing[0] + 1, road.crossing[1] - 2)
            cars.append(_car(dice, road.middle(z) + dice.between(-11, 11), z, 0.0, "side"))
    return cars


def bystanders(dice: Dice, road: Road, place: str) -> list[Person]:
    """Pedestrians on the sidewalks and on the zebra crossing, some of them near."""
    people: list[Person] = []

    def add(d: float, z: float) -> None:
        child = dice.chance(0.1)
        people.append(
            Person(
                x=road.middle(z) + d,
                z=z,
                height=dice.between(1.1, 1.4) if child else dice.between(1.56, 1.92),
                stride=dice.between(-1, 1),
                turn=1.0 if dice.chance(0.5) else -1.0,
                build=dice.between(0.88, 1.2),
                top=dice.pick(CLOTHES),
                legs=dice.pick(TROUSERS),
                skin=dice.pick(SKINS),
                hair=dice.pick(HAIRS),
                bag=dice.pick(CLOTHES) if dice.chance(0.35) else None,
                striped=dice.chance(0.15),
            )
        )

    crowd = {"city": (5, 14), "residential": (2, 8), "avenue": (3, 10), "outskirts": (1, 5)}[place]
    for _ in range(dice.whole(*crowd)):
        side = dice.whole(0, 1)
        d = road.kerb(side) + dice.between(0.3, max(road.walk[side] - 0.3, 0.5))
        near = dice.between(0, 1)
        z = 4.5 + 20 * near * near
        add(d if side else -d, z)
        if dice.chance(0.25):
            add((d if side else -d) + 0.6, z + dice.between(-0.3, 0.3))
    if road.zebra and dice.chance(0.6):
        for _ in range(dice.whole(1, 3)):
            add(dice.between(-road.half, road.half), road.zebra + dice.between(0.3, 2.6))
    if dice.chance(0.2):
        z = dice.between(7, 20)
        add((1 if dice.chance(0.5) else -1) * (road.half - 0.6), z)
    return people


def furniture(dice: Dice, road: Road) -> list[Post]:
    """Street lamps, signs, traffic lights and bollards."""
    posts: list[Post] = []
    greys = [(96, 98, 100), (70, 74, 74), (136, 138, 140), (52, 60, 56), (150, 146, 138)]

    def add(side: int, inset: float, z: float, carries: str, **more: float) -> None:
        sign = 1 if side else -1
        paint: Colour = dice.pick(greys)
        posts.append(
            Post(
                x=road.middle(z) + sign * (road.kerb(side) + inset),
                z=z,
                height=more["height"],
                radius=more["radius"],
                carries=carries,
                reach=-sign * more.get("reach", 0.0),
                colour=paint,
                plate=dice.whole(0, 6),
                plate_size=dice.between(0.8, 1.15),
            )
        )

    for side in (0, 1):
        if dice.chance(0.75):
            z, step = dice.between(5, 18), dice.between(16, 28)
            height, reach = dice.between(5.0, 8.5), dice.between(0.8, 2.2)
            while z < 42:
                if not road.is_open(z, 0.5):
                    add(side, 0.45, z, "lamp", height=height, radius=0.14, reach=reach)
                z += step
        for _ in range(dice.whole(1, 3)):
            z = dice.between(6, 20)
            if not road.is_open(z, 0.5):
                add(side, 0.35, z, "sign", height=dice.between(2.3, 3.1), radius=0.075)
        if dice.chance(0.2):
            z = dice.between(4, 10)
            for number in range(dice.whole(4, 10)):
                if not road.is_open(z + 1.8 * number, 0.5):
                    add(side, 0.25, z + 1.8 * number, "bollard", height=0.95, radius=0.1)
    if road.crossing and dice.chance(0.7):
        for side in (0, 1):
            z = road.crossing[0] - dice.between(0.6, 1.4)
            add(side, 0.3, z, "light", height=3.2, radius=0.09)
            z = road.crossing[1] + dice.between(0.6, 1.4)
            add(side, 0.3, z, "light", height=3.2, radius=0.09)
    return posts
