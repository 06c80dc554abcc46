"""Pedestrians, built from tapered limbs."""

from __future__ import annotations

import numpy as np

from ratewise.data.streets import labels
from ratewise.data.streets.frame import Colour, Frame, tint
from ratewise.data.streets.layout import Person, Scene
from ratewise.data.streets.noise import STAINS, Array, Flags, fbm, smooth
from ratewise.data.streets.shade import Shade


def draw_person(frame: Frame, person: Person, scene: Scene, shade: Shade) -> None:
    """Far limbs, trunk, near limbs, head; proportions of a body that is 1 high."""
    size = person.height
    patch = frame.patch(person.z, person.x, -0.36 * size, 0.36 * size, 0.0, size * 1.01)
    if patch is None:
        return
    x = patch.x / np.float32(size) * np.float32(person.turn)
    y = patch.y / np.float32(size)
    thin = np.float32(0.45 * patch.pixel / size)
    inside = np.zeros((y.size, x.size), np.bool_)
    colour = np.zeros((y.size, x.size, 3), np.float32)

    def limb(
        start: tuple[float, float],
        end: tuple[float, float],
        radii: tuple[float, float],
        paint: Colour,
    ) -> None:
        part = _capsule(x, y, start, end, radii, thin)
        inside[part] = True
        colour[part] = paint

    b, open_ = person.build, person.stride
    step = 0.13 * open_
    shoe = (0.02, 0.018, 0.016)
    for way, dim in ((-1.0, 0.72), (1.0, 1.0)):
        foot = way * step + 0.012 * way
        knee = (foot * 0.55 + 0.018, 0.27)
        limb((0.014 * way, 0.48), knee, (0.062 * b, 0.046 * b), tint(person.legs, dim))
        limb(knee, (foot, 0.045), (0.045 * b, 0.032), tint(person.legs, dim * 0.94))
        limb((foot - 0.01, 0.02), (foot + 0.055, 0.018), (0.022, 0.018), shoe)
        if way < 0:
            hand = (step * 1.05, 0.47)
            elbow = (-0.03 + step * 0.3, 0.62)
            limb((-0.02, 0.79), elbow, (0.036 * b, 0.03), tint(person.top, 0.65))
            limb(elbow, hand, (0.03, 0.024), tint(person.top, 0.6))
            limb((0.0, 0.5), (0.0, 0.77), (0.082 * b, 0.088 * b), person.top)
            limb((-0.045 * b, 0.785), (0.045 * b, 0.785), (0.042, 0.042), person.top)
    if person.striped:
        stripes = (np.mod(y, np.float32(0.05)) < 0.022) & (y > 0.5) & (y < 0.8)
        cloth = stripes & (np.abs(x) < 0.1) & inside
        colour[cloth] = colour[cloth] * np.float32(0.25) + np.float32(0.35)
    if person.bag is not None:
        limb((-0.1 * b, 0.62), (-0.1 * b, 0.74), (0.05, 0.045), person.bag)
    hand = (-step * 1.05 + 0.02, 0.48)
    elbow = (0.0 - step * 0.35, 0.62)
    limb((0.0, 0.78), elbow, (0.038 * b, 0.032), tint(person.top, 0.82))
    limb(elbow, hand, (0.031, 0.025), tint(person.top, 0.8))
    limb(hand, (hand[0] + 0.008, 0.455), (0.02, 0.02), person.skin)
    limb((0.0, 0.83), (0.004, 0.86), (0.03, 0.03), tint(person.skin, 0.8))
    limb((0.01, 0.9), (0.014, 0.945), (0.044, 0.05), person.skin)
    hair = _capsule(x, y, (-0.012, 0.925), (0.004, 0.962), (0.045, 0.046), thin)
    hair &= (y > 0.93) | (x < -0.012)
    inside |= hair
    colour[hair] = person.hair
    fold = smooth(fbm(*STAINS), patch.x * 120 + person.z * 31, patch.y * 70)
    round_ = np.float32(np.sign(scene.light.sun[0]) * person.turn * 1.6) * x
    value = np.maximum(1 + np.float32(0.22) * fold + round_, np.float32(0.3))
    light = shade.round(shade.at(person.x, person.z, 1.0)) * np.float32(1.1)
    frame.put(patch, inside, colour * value[:, :, None] * light, labels.PEDESTRIAN)


def _capsule(
    x: Array,
    y: Array,
    start: tuple[float, float],
    end: tuple[float, float],
    radii: tuple[float, float],
    thin: np.float32,
) -> Flags:
    """Points within a limb from ``start`` to ``end``, its radius going from one to the other."""
    dx, dy = np.float32(end[0] - start[0]), np.float32(end[1] - start[1])
    px, py = x - np.float32(start[0]), y - np.float32(start[1])
    t = np.clip((px * dx + py * dy) / (dx * dx + dy * dy + np.float32(1e-9)), 0, 1)
    radius = np.maximum(np.float32(radii[0]) + t * np.float32(radii[1] - radii[0]), thin)
    away = (px - t * dx) ** 2 + (py - t * dy) ** 2
    within: Flags = away < radius * radius
    return within
