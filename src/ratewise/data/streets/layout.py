"""What a scene is made of: every random choice about the world, before anything is drawn."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ratewise.data.streets.frame import Colour, linear, tint


@dataclass(frozen=True)
class Light:
    """Sun and sky. ``sun`` is the unit vector towards the sun; colours are linear light."""

    sun: tuple[float, float, float]
    direct: Colour
    ambient: Colour
    zenith: Colour
    horizon: Colour
    clouds: float
    haze: float
    """Distance in metres at which half of the light is the haze's."""
    exposure: float
    warmth: float
    noise: float
    blur: float


@dataclass(frozen=True)
class Road:
    """The road's middle is at ``X = start + heading Z + bend Z^2 / 2``.

    Lateral positions on the street (``d``) count from that middle, to the right. Per side, left
    first: widths of verge (grass at the kerb), sidewalk and yard (grass before the facades).
    """

    start: float
    heading: float
    bend: float
    half: float
    lane: float
    lanes: int
    dashed: bool
    centre_yellow: bool
    edge_lines: bool
    verge: tuple[float, float]
    walk: tuple[float, float]
    yard: tuple[float, float]
    crossing: tuple[float, float] | None
    """Z where a crossing street begins and ends."""
    zebra: float | None
    asphalt: Colour
    paving: Colour
    slab: tuple[float, float]
    grass: Colour
    wear: float
    phase: float

    def middle(self, z: float) -> float:
        """X of the road's middle at ``z``."""
        return self.start + self.heading * z + 0.5 * self.bend * z * z

    def slope(self, z: float) -> float:
        """dX / dZ of the road at ``z``."""
        return self.heading + self.bend * z

    def kerb(self, side: int) -> float:
        """Distance from the middle to where the sidewalk begins (side 0 left, 1 right)."""
        return self.half + self.verge[side]

    def facade(self, side: int) -> float:
        """Distance from the middle to the facades (side 0 left, 1 right)."""
        return self.half + self.verge[side] + self.walk[side] + self.yard[side]

    def is_open(self, z: float, margin: float = 0.0) -> bool:
        """Whether ``z`` lies on the crossing street."""
        return (
            self.crossing is not None and self.crossing[0] - margin < z < self.crossing[1] + margin
        )


@dataclass(frozen=True)
class Building:
    """A box along the street from ``near`` to ``far`` (Z), ``height`` metres high."""

    side: int
    near: float
    far: float
    height: float
    offset: float
    wall: Colour
    trim: Colour
    roof: Colour
    material: int
    """0 plaster, 1 brick, 2 stone, 3 glass."""
    floor: float
    pitch: float
    window: tuple[float, float]
    shop: bool
    attic: float
    salt: int


@dataclass(frozen=True)
class Hedge:
    """A clipped hedge along the street."""

    side: int
    near: float
    far: float
    height: float
    offset: float
    colour: Colour
    salt: int


@dataclass(frozen=True)
class Tree:
    """A tree (or, without a trunk, a bush) at ``x``, ``z``."""

    x: float
    z: float
    trunk: float
    radius: float
    colour: Colour
    blobs: tuple[tuple[float, float, float], ...]
    salt: int


@dataclass(frozen=True)
class Car:
    """A car whose near end is at ``z``, its middle at ``x``; ``view`` is rear, front or side."""

    x: float
    z: float
    slope: float
    view: str
    shape: int
    size: tuple[float, float, float]
    """Length, width, height in metres."""
    paint: Colour
    salt: int


@dataclass(frozen=True)
class Person:
    """A pedestrian; ``stride`` in [-1, 1] opens the legs, ``turn`` is +1 or -1."""

    x: float
    z: float
    height: float
    stride: float
    turn: float
    build: float
    top: Colour
    legs: Colour
    skin: Colour
    hair: Colour
    bag: Colour | None
    striped: bool


@dataclass(frozen=True)
class Post:
    """A pole at ``x``, ``z`` with what it carries: lamp, sign kinds, light, bollard."""

    x: float
    z: float
    height: float
    radius: float
    carries: str
    reach: float
    """Length of the lamp's arm, signed towards the road."""
    colour: Colour
    plate: int
    plate_size: float


@dataclass(frozen=True)
class Scene:
    """Everything that is drawn; positions in metres, independent of the picture's size."""

    zoom: float
    horizon: float
    above: float
    light: Light
    road: Road
    skyline: int
    buildings: list[Building] = field(default_factory=list)
    hedges: list[Hedge] = field(default_factory=list)
    trees: list[Tree] = field(default_factory=list)
    cars: list[Car] = field(default_factory=list)
    people: list[Person] = field(default_factory=list)
    posts: list[Post] = field(default_factory=list)


class Dice:
    """Short names for the draws that a layout needs."""

    def __init__(self, generator: np.random.Generator) -> None:
        self.generator = generator

    def between(self, low: float, high: float) -> float:
        """A number from [low, high)."""
        return low + (high - low) * float(self.generator.random())

    def chance(self, probability: float) -> bool:
        """True with ``probability``."""
        return float(self.generator.random()) < probability

    def whole(self, low: int, high: int) -> int:
        """A whole number from low to high, both included."""
        return int(self.generator.integers(low, high + 1))

    def pick(self, colours: list[tuple[int, int, int]], spread: float = 0.2) -> Colour:
        """One of 8-bit ``colours`` as linear light, brightness varied by ``spread``."""
        chosen = linear(*colours[self.whole(0, len(colours) - 1)])
        varied = tint(chosen, self.between(1 - spread, 1 + spread))
        return (
            varied[0] * self.between(0.94, 1.06),
            varied[1],
            varied[2] * self.between(0.94, 1.06),
        )
