"""Poles and what hangs on them: lamps, traffic signs, traffic lights; and bollards."""

from __future__ import annotations

import numpy as np

from ratewise.data.streets import labels
from ratewise.data.streets.frame import Frame, Patch, vector
from ratewise.data.streets.layout import Post, Scene
from ratewise.data.streets.noise import Array, Flags
from ratewise.data.streets.shade import Shade

_RED = (0.55, 0.02, 0.025)
_WHITE = (0.72, 0.72, 0.7)
_BLUE = (0.02, 0.1, 0.42)
_YELLOW = (0.68, 0.45, 0.03)
_GREEN = (0.02, 0.22, 0.1)
_BLACK = (0.012, 0.012, 0.014)


def draw_post(frame: Frame, post: Post, scene: Scene, shade: Shade) -> None:
    """The pole, then what it carries a little nearer to the camera."""
    lit = shade.at(post.x, post.z, 1.5)
    light = shade.round(lit)
    reach = abs(post.reach) + 0.6
    patch = frame.patch(post.z, post.x, -reach, reach, 0.0, post.height + 0.4)
    if patch is None:
        return
    # A pole is never thinner than about a pixel of the finished picture.
    thick = np.float32(max(post.radius, patch.pixel * 1.1))
    widen = np.where(patch.y < 0.9, 1.35, 1.0) if post.carries == "lamp" else 1.0
    inside = (np.abs(patch.x) < thick * widen) & (patch.y > 0) & (patch.y < post.height)
    round_ = patch.x / thick * np.float32(0.45 * np.sign(scene.light.sun[0]))
    value = np.broadcast_to(np.maximum(1 - round_ * -1, 0.3), inside.shape)
    colour = value[:, :, None].astype(np.float32) * vector(post.colour)
    if post.carries == "lamp":
        along = patch.x * np.float32(1 if post.reach > 0 else -1)
        rise = post.height - 0.05 + 0.05 * along
        arm = (along > 0) & (along < abs(post.reach)) & (np.abs(patch.y - rise) < thick * 0.6)
        head = (np.abs(along - abs(post.reach)) < 0.36) & (
            np.abs(patch.y - rise) < max(0.09, patch.pixel)
        )
        inside = inside | arm | head
        colour = np.broadcast_to(colour, (*inside.shape, 3))
    elif post.carries == "bollard":
        band = (patch.y > 0.68) & (patch.y < 0.8)
        colour = np.where(band[:, :, None], vector(_WHITE), colour)
    frame.put(patch, inside, colour * light, labels.POLE)
    if post.carries == "sign":
        _draw_plate(frame, post, light)
    elif post.carries == "light":
        _draw_lights(frame, post, light)


def _draw_plate(frame: Frame, post: Post, light: Array) -> None:
    half = post.plate_size / 2
    y0 = post.height - half
    patch = frame.patch(post.z - 0.06, post.x, -half * 1.3, half * 1.3, y0 - half, y0 + half)
    if patch is None:
        return
    x, y = patch.x / np.float32(half), (patch.y - np.float32(y0)) / np.float32(half)
    shape, colour = _plate(post.plate, x, y)
    frame.put(patch, shape, colour * (light * np.float32(1.15)), labels.SIGN)


def _plate(kind: int, x: Array, y: Array) -> tuple[Flags, Array]:
    """Outline and albedo of a traffic sign over [-1, 1] squared."""
    away = x * x + y * y
    full = np.zeros((y.size, x.size, 3), np.float32)
    if kind in (0, 1):  # a limit, no entry
        shape = away < 1
        full[:] = _RED
        if kind == 0:
            full[away < 0.55] = _WHITE
            digits = (np.abs(np.abs(x) - 0.27) < 0.17) & (np.abs(y) < 0.36)
            hole = (np.abs(np.abs(x) - 0.27) < 0.06) & (np.abs(np.abs(y) - 0.15) < 0.1)
            full[digits & ~hole] = _BLACK
        else:
            full[(np.abs(x) < 0.68) & (np.abs(y) < 0.17)] = _WHITE
        full[(away > 0.92)] = _WHITE
        return shape, full
    if kind == 2:  # a warning
        edge = np.maximum(np.abs(x) * np.float32(0.9) + y * np.float32(0.5) - 0.4, -y - 0.75)
        full[:] = _RED
        full[edge < -0.17] = _WHITE
        full[(np.abs(x) < 0.07) & (y > -0.45) & (y < 0.25)] = _BLACK
        return edge < 0.05, full
    if kind == 3:  # stop
        shape = (
            np.maximum(np.maximum(np.abs(x), np.abs(y)), (np.abs(x) + np.abs(y)) * 0.7071) < 0.95
        )
        full[:] = _RED
        letters = (np.abs(y) < 0.22) & (np.abs(x) < 0.72) & (np.mod(x + 0.72, 0.36) < 0.24)
        full[letters] = _WHITE
        return shape, full
    if kind == 4:  # mandatory
        full[:] = _BLUE
        arrow = ((np.abs(x) < 0.11) & (y > -0.6) & (y < 0.3)) | (
            (np.abs(x) < 0.62 - y) & (y > 0.15) & (y < 0.62) & (np.abs(x) < 0.42)
        )
        full[arrow] = _WHITE
        return away < 1, full
    if kind == 5:  # priority, a diamond
        edge = np.abs(x) + np.abs(y)
        full[:] = _WHITE
        full[edge < 0.72] = _YELLOW
        return edge < 1, full
    # a direction board
    shape = (np.abs(x) < 1.25) & (np.abs(y) < 0.62)
    full[:] = _GREEN
    lines = (np.abs(np.abs(y) - 0.24) < 0.1) & (np.abs(x + 0.1) < 0.85) & (np.mod(x, 0.22) < 0.15)
    full[lines] = _WHITE
    full[(np.abs(x) > 1.15) & shape | (np.abs(y) > 0.54) & shape] = _WHITE
    return shape, full


def _draw_lights(frame: Frame, post: Post, light: Array) -> None:
    y0 = post.height - 0.5
    patch = frame.patch(post.z - 0.06, post.x, -0.2, 0.2, y0 - 0.52, y0 + 0.52)
    if patch is None:
        return
    half = max(0.18, patch.pixel * 0.9)
    inside = (np.abs(patch.x) < half) & (np.abs(patch.y - y0) < 0.5)
    colour = np.empty((*inside.shape, 3), np.float32)
    colour[:] = vector(_BLACK) * light
    _lamps(patch, y0, post.plate % 3, colour)
    frame.put(patch, inside, colour, labels.SIGN)


def _lamps(patch: Patch, y0: float, on: int, colour: Array) -> None:
    glows = ((1.2, 0.06, 0.04), (1.2, 0.6, 0.05), (0.08, 1.0, 0.35))
    for number, glow in enumerate(glows):
        up = patch.y - np.float32(y0 + 0.31 - 0.31 * number)
        disc = patch.x * patch.x + up * up < np.float32(0.115**2)
        share = 1.0 if number == on else 0.05
        colour[disc] = (glow[0] * share, glow[1] * share, glow[2] * share)
