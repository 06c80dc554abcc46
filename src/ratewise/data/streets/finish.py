"""From linear light to the picture a camera stores: haze, lens, sensor, eight bits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ratewise.data.streets.frame import FAR, Frame, vector
from ratewise.data.streets.layout import Light
from ratewise.data.streets.noise import Array


def hazed(frame: Frame, light: Light) -> Array:
    """The frame's colour, air's light mixed in: half of it at ``light.haze`` metres."""
    depth = frame.depth
    share = depth / (depth + np.float32(light.haze))
    share *= share * np.float32(0.9) + np.float32(0.1)
    share *= depth < FAR
    air = vector(light.horizon) * np.float32(0.95)
    colour = frame.colour
    for part in range(3):
        colour[:, :, part] += (air[part] - colour[:, :, part]) * share
    return colour


def halved(colour: Array) -> Array:
    """Means of 2x2 pixels."""
    rows = colour[0::2] + colour[1::2]
    mean: Array = (rows[:, 0::2] + rows[:, 1::2]) * np.float32(0.25)
    return mean


def halved_labels(label: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The commonest of each 2x2 labels; of two pairs, the one that holds the upper left."""
    a, b, c, d = label[0::2, 0::2], label[0::2, 1::2], label[1::2, 0::2], label[1::2, 1::2]
    first = (a == b) | (a == c) | (a == d)
    second = (b == c) | (b == d)
    rest = np.where(c == d, c, a)
    return np.where(first, a, np.where(second, b, rest))


def developed(
    colour: Array, light: Light, exposure: float, generator: np.random.Generator
) -> NDArray[np.uint8]:
    """Exposure, colour temperature, vignette, blur, sensor noise: ``uint8 (H, W, 3)``."""
    height, width = colour.shape[:2]
    rows = (np.arange(height, dtype=np.float32) + np.float32(0.5)) / height * 2 - 1
    columns = (np.arange(width, dtype=np.float32) + np.float32(0.5)) / width * 2 - 1
    vignette = 1 - np.float32(0.14) * (rows[:, None] ** 2 + columns[None, :] ** 2) / 2
    gain = vector((1 + light.warmth, 1.0, 1 - light.warmth)) * np.float32(exposure)
    level = np.sqrt(np.maximum(colour, 0) * vignette[:, :, None] * gain)
    # A soft shoulder instead of clipped whites.
    over = np.maximum(level - np.float32(0.75), 0)
    level = np.minimum(level, np.float32(0.75)) + over / (1 + over * 4)
    if light.blur > 0.05:
        level = _blurred(level, np.float32(light.blur * 0.5))
    # The sum of two bytes is a triangular draw, the same on every machine.
    draws = generator.integers(0, 256, size=(2, height, width, 3), dtype=np.uint8)
    noise = draws[0].astype(np.float32) + draws[1] - np.float32(255)
    spread = np.float32(light.noise / 104.5) * (np.float32(1.25) - np.float32(0.5) * level)
    pixels = level * np.float32(255) + noise * spread + np.float32(0.5)
    stored: NDArray[np.uint8] = np.clip(pixels, 0, 255).astype(np.uint8)
    return stored


def _blurred(level: Array, share: np.float32) -> Array:
    """A 3-tap blur along rows and columns; ``share`` / 2 of each neighbour."""
    for axis in (0, 1):
        if level.shape[axis] < 2:
            continue
        side = share * np.float32(0.5)
        wide = np.concatenate([level.take([0], axis), level, level.take([-1], axis)], axis=axis)
        size = level.shape[axis]
        before = wide[:size] if axis == 0 else wide[:, :size]
        after = wide[2:] if axis == 0 else wide[:, 2:]
        level = level * (1 - share) + (before + after) * side
    return level
