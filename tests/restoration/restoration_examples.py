"""Pictures that the tests of restoration share."""

from __future__ import annotations

import numpy as np

from ratewise.images import Image


def texture(seed: int, height: int, width: int) -> Image:
    """Waves of several directions, so that compression has something to take away."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    total = np.zeros((height, width, 3))
    for scale in (3, 7, 19):
        a, b = rng.normal(size=(2, 3)) / scale
        total += np.sin(a * x[..., None] + b * y[..., None] + rng.uniform(0, 6, 3))
    return (127.5 + 40 * total).clip(0, 255).astype(np.uint8)
