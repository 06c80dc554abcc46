"""Random resized crop and flip of aligned images, in NumPy and Pillow.

Pillow computes in the calling thread and outside the interpreter's lock, so samples are made beside
training without taking part in torch's thread pool.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image as PillowImage

from ratewise.errors import InputError
from ratewise.images import Image
from ratewise.tasks.classification_settings import ClassificationAugmentation

_ATTEMPTS = 10
"""Parts that are tried before the largest one in the middle is taken, as in torchvision."""

Box = tuple[int, int, int, int]


def augment_images(
    images: Sequence[Image], settings: ClassificationAugmentation, rng: np.random.Generator
) -> tuple[Image, ...]:
    """The same random part of every image, scaled to one size, and mirrored half of the time.

    ``images`` are ``uint8 (H, W, 3)`` of one size. What comes out has the size of
    ``settings.size``, or of the input without one; it is scaled bilinearly, with antialiasing where
    it shrinks. Every choice comes from ``rng``, which is drawn from equally often for any settings
    and sizes. Raises :class:`InputError` if there is no image or their sizes differ.
    """
    shapes = {image.shape for image in images}
    if len(shapes) != 1:
        raise InputError(f"the channels of a sample differ in shape or are none: {sorted(shapes)}")
    height, width = images[0].shape[:2]
    box = _part(height, width, settings, rng)
    mirrored = bool(rng.random() < 0.5) and settings.flip
    size = settings.size or (width, height)
    return tuple(_take(image, box, size, mirrored) for image in images)


def _part(
    height: int, width: int, settings: ClassificationAugmentation, rng: np.random.Generator
) -> Box:
    """Left, top, right and bottom of the part: the first attempt that fits into the image."""
    chances = rng.random((_ATTEMPTS, 2))
    across, down = rng.random(2)
    low, high = settings.crop_scale
    flat, wide = (math.log(ratio) for ratio in settings.ratio)
    for share, shape in chances:
        area = height * width * (low + share * (high - low))
        ratio = math.exp(flat + shape * (wide - flat))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            left, top = int(across * (width - w + 1)), int(down * (height - h + 1))
            return left, top, left + w, top + h
    return _middle(height, width, settings.ratio)


def _middle(height: int, width: int, ratios: tuple[float, float]) -> Box:
    """The largest part in the middle whose aspect ratio is allowed."""
    ratio = min(max(width / height, ratios[0]), ratios[1])
    w = min(width, max(1, round(height * ratio)))
    h = min(height, max(1, round(width / ratio)))
    left, top = (width - w) // 2, (height - h) // 2
    return left, top, left + w, top + h


def _take(image: Image, box: Box, size: tuple[int, int], mirrored: bool) -> Image:
    taken = PillowImage.fromarray(image).resize(size, PillowImage.Resampling.BILINEAR, box=box)
    if mirrored:  # here, for NumPy takes five times as long to copy pixels backwards
        taken = taken.transpose(PillowImage.Transpose.FLIP_LEFT_RIGHT)
    return np.asarray(taken)
