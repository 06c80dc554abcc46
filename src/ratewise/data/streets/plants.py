"""Trees and bushes: blobs of leaves with ragged outlines, lit from the sun's side."""

from __future__ import annotations

import numpy as np

from ratewise.data.streets import labels
from ratewise.data.streets.frame import Frame, vector
from ratewise.data.streets.layout import Scene, Tree
from ratewise.data.streets.noise import LEAVES, fbm, smooth
from ratewise.data.streets.shade import Shade

_BARK = (0.075, 0.058, 0.042)


def draw_tree(frame: Frame, tree: Tree, scene: Scene, shade: Shade) -> None:
    """Trunk and crown; trunks count as vegetation."""
    lit = shade.at(tree.x, tree.z, tree.trunk + 1.0)
    if tree.trunk:
        wide = 0.06 * tree.radius + 0.05
        patch = frame.patch(tree.z + 0.05, tree.x, -wide * 1.8, wide * 1.8, 0.0, tree.trunk + 1.2)
        if patch is not None:
            flare = np.float32(wide) * (1 + 0.5 / (1 + patch.y * 6))
            inside = (np.abs(patch.x) < np.maximum(flare, patch.pixel * 0.6)) & (patch.y > 0)
            bark = smooth(fbm(16, 128, 0.9), patch.x * 90 + tree.salt, patch.y * 14)
            turn = patch.x / np.float32(wide) * np.float32(np.sign(scene.light.sun[0]) * 0.3)
            colour = (1 + np.float32(0.5) * bark + turn)[:, :, None] * (
                vector(_BARK) * shade.round(lit)
            )
            frame.put(patch, inside, np.maximum(colour, 0), labels.VEGETATION)
    radius = np.float32(tree.radius)
    base = tree.trunk + tree.radius * 0.85 if tree.trunk else tree.radius * 0.55
    reach = tree.radius * 1.35
    patch = frame.patch(tree.z, tree.x, -reach, reach, max(base - reach, 0.0), base + reach)
    if patch is None:
        return
    x, y = patch.x / radius, (patch.y - np.float32(base)) / radius
    leaf = smooth(fbm(*LEAVES), patch.x * 42 + tree.salt, patch.y * 42)
    clump = smooth(fbm(16, 64, 0.8), patch.x * 13 + tree.salt, patch.y * 13)
    best = np.full((y.size, x.size), 9.0, np.float32)
    right, high = np.zeros_like(best), np.zeros_like(best)
    for bx, by, br in tree.blobs:
        dx, dy = (x - np.float32(bx)) / np.float32(br), (y - np.float32(by)) / np.float32(br)
        distance = dx * dx + dy * dy
        nearer = distance < best
        np.copyto(best, distance, where=nearer)
        np.copyto(right, np.broadcast_to(dx, best.shape), where=nearer)
        np.copyto(high, np.broadcast_to(dy, best.shape), where=nearer)
    sharp = np.float32(0.22) / (np.float32(0.22) + patch.pixel)
    inside = (best + np.float32(0.45) * clump + np.float32(0.35) * leaf < 1) & (patch.y > 0)
    sun = scene.light.sun
    depth = np.sqrt(np.maximum(1 - best, 0))
    facing = right * np.float32(sun[0]) + high * np.float32(sun[1]) - depth * np.float32(sun[2])
    tone = np.float32(0.55) + np.float32(0.25) * high + np.float32(0.25) * clump
    direct = np.clip(np.float32(0.3) + np.float32(0.6) * facing, 0, 1) * np.float32(lit)
    grain = np.maximum(1 + np.float32(0.85) * sharp * leaf, np.float32(0.08))
    value = (grain * np.maximum(tone, 0.15))[:, :, None]
    colour = (
        value
        * vector(tree.colour)
        * (shade.ambient + direct[:, :, None] * (shade.direct * np.float32(1.4)))
    )
    frame.put(patch, inside, colour, labels.VEGETATION)
