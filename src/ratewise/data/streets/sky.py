"""The sky, and the skyline of far trees and houses in front of it."""

from __future__ import annotations

import numpy as np

from ratewise.data.streets import labels
from ratewise.data.streets.frame import Frame, vector
from ratewise.data.streets.layout import Scene
from ratewise.data.streets.noise import LEAVES, STAINS, Array, cell, fbm, smooth
from ratewise.data.streets.shade import Shade

_DISTANCE = 300.0


def draw_sky(frame: Frame, scene: Scene) -> None:
    """Gradient, clouds in perspective and the sun's glow, where nothing else is."""
    camera, light = frame.camera, scene.light
    last = min(int(camera.horizon) + 2, camera.height)
    r, c = np.nonzero(frame.depth[:last] > _DISTANCE * 2)
    if not r.size:
        return
    rise: Array = np.maximum(-camera.drops(0, last), np.float32(0))[r]
    slope = camera.slopes(0, camera.width)[c]
    level = np.sqrt(rise / (rise + np.float32(0.35)))
    colour = vector(light.horizon) + (vector(light.zenith) - vector(light.horizon)) * level[:, None]
    far: Array = (1 / (rise + np.float32(0.12))).astype(np.float32, copy=False)
    cloud = smooth(fbm(*STAINS), slope * far * 40 + 7 * light.clouds, far * 60)
    cover = np.clip((cloud + np.float32(light.clouds * 1.4 - 1)) * 1.2, 0, 1)
    bright = np.float32(max(light.horizon) * 0.98)
    thick = bright * (1 - np.float32(0.28) * cover * cover)
    colour += (thick[:, None] - colour) * (np.float32(0.85) * cover)[:, None]
    across, up, along = light.sun
    if along > 0.1:
        near = (slope - np.float32(across / along)) ** 2 + (rise - np.float32(up / along)) ** 2
        colour += (np.float32(0.35) / (1 + near * 12))[:, None] * vector(light.direct)
    depth = np.full(r.shape, 1e6, np.float32)
    frame.scatter(r, c, colour.astype(np.float32), depth, labels.SKY)


def draw_skyline(frame: Frame, scene: Scene, shade: Shade) -> None:
    """A row of far trees, houses, or both, up to 300 m away."""
    camera = frame.camera
    patch = frame.patch(_DISTANCE, 0.0, -2000.0, 2000.0, -3.0, 46.0)
    if patch is None:
        return
    light = shade.round(1.0)
    if scene.skyline > 0:
        block = np.floor(patch.x / np.float32(17))
        top = 12 + np.float32(11) * cell(block, block + 3, 5)
        window = (np.mod(patch.x, 4) < 2) & (np.mod(patch.y, 3.4) < 1.7)
        grey = (0.2 + 0.07 * cell(block, block, 9)) * (1 - np.float32(0.4) * window)
        colour = grey[:, :, None] * light * np.array([1.06, 1, 0.94], np.float32)
        frame.put(patch, patch.y < top, colour.astype(np.float32), labels.BUILDING)
    if scene.skyline != 1:
        across = camera.slopes(0, camera.width)[patch.box[1]][None, :]
        leaf = smooth(fbm(*LEAVES), patch.x * 3.0, patch.y * 4.0)
        wave = smooth(fbm(*STAINS), across * 120, np.zeros_like(across))
        crown = patch.y < 9 + np.float32(5) * wave + np.float32(1.5) * leaf
        colour = (1 + np.float32(0.35) * leaf)[:, :, None] * (
            vector(scene.road.grass) * light * np.float32(0.75)
        )
        near = type(patch)(patch.box, patch.x, patch.y, _DISTANCE - 20, patch.pixel)
        frame.put(near, crown, colour, labels.VEGETATION)
