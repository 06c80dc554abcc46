"""Draws a scene: near things first, so that what they hide is never painted."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from ratewise.data.streets.cars import draw_car
from ratewise.data.streets.finish import developed, halved, halved_labels, hazed
from ratewise.data.streets.frame import Camera, Frame
from ratewise.data.streets.ground import draw_ground
from ratewise.data.streets.layout import Scene
from ratewise.data.streets.people import draw_person
from ratewise.data.streets.plants import draw_tree
from ratewise.data.streets.posts import draw_post
from ratewise.data.streets.shade import Shade
from ratewise.data.streets.sky import draw_sky, draw_skyline
from ratewise.data.streets.walls import draw_building, draw_hedge
from ratewise.data.streets.world import invent
from ratewise.errors import InputError
from ratewise.images import Image, Mask

LIMITS = (16, 8192)
"""Smallest and largest side of a scene in pixels."""

_DOUBLED = 500_000
"""Pictures with fewer pixels than this are drawn at twice their size and averaged."""


def render_scene(seed: int, index: int, width: int, height: int) -> tuple[Image, Mask]:
    """Scene number ``index`` of the collection ``seed``: image and exact mask.

    The image is ``uint8 (height, width, 3)``, the mask ``uint8 (height, width)`` of ids of
    ``CLASSES``, without ignored pixels. The same arguments give the same bytes. The world does
    not depend on the size: a larger picture shows the same scene in more detail.

    Raises :class:`InputError` if ``seed`` or ``index`` is negative, or a side is not a whole
    number within :data:`LIMITS`.
    """
    for name, value in (("seed", seed), ("index", index)):
        if not _whole(value) or value < 0:
            raise InputError(f"streets: {name} must be a whole number from 0, not {value!r}")
    for name, value in (("width", width), ("height", height)):
        if not _whole(value) or not LIMITS[0] <= value <= LIMITS[1]:
            raise InputError(
                f"streets: {name} must be a whole number from {LIMITS[0]} to {LIMITS[1]}, "
                f"not {value!r}"
            )
    scene = invent(int(seed), int(index))
    twice = width * height < _DOUBLED
    frame = _drawn(scene, width * 2 if twice else width, height * 2 if twice else height)
    colour = hazed(frame, scene.light)
    label = frame.label
    if twice:
        colour, label = halved(colour), halved_labels(label)
    sensor = np.random.SeedSequence([int(seed), int(index), 1])
    generator = np.random.Generator(np.random.PCG64(sensor))
    return developed(colour, scene.light, _metered(scene), generator), label


def _metered(scene: Scene) -> float:
    """The exposure a camera would choose: longer where houses keep the sun from the road."""
    light, shade = scene.light, Shade(scene.light, scene.road, scene.buildings)
    places = (5.0, 9.0, 16.0, 28.0)
    lit = sum(shade.at(scene.road.middle(z), z, 0.0) for z in places) / len(places)
    level = light.ambient[1] + light.direct[1] * light.sun[1] * (0.15 + 0.85 * lit)
    return float(light.exposure * (0.75 / level) ** 0.5)


def _drawn(scene: Scene, width: int, height: int) -> Frame:
    focal = scene.zoom * (width * height * 4 / 3) ** 0.5
    camera = Camera(width, height, focal, scene.horizon * height, width / 2, scene.above)
    frame = Frame(camera)
    shade = Shade(scene.light, scene.road, scene.buildings)
    things: list[tuple[float, Callable[[], None]]] = [
        *((it.near, partial(draw_building, frame, it, scene, shade)) for it in scene.buildings),
        *((it.near, partial(draw_hedge, frame, it, scene, shade)) for it in scene.hedges),
        *((it.z, partial(draw_tree, frame, it, scene, shade)) for it in scene.trees),
        *((it.z, partial(draw_car, frame, it, scene, shade)) for it in scene.cars),
        *((it.z, partial(draw_person, frame, it, scene, shade)) for it in scene.people),
        *((it.z, partial(draw_post, frame, it, scene, shade)) for it in scene.posts),
    ]
    for _, draw in sorted(things, key=lambda thing: thing[0]):
        draw()
    draw_ground(frame, scene, shade)
    draw_skyline(frame, scene, shade)
    draw_sky(frame, scene)
    return frame


def _whole(value: object) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)
