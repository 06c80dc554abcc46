"""Random scale, crop and flip of aligned images and their mask, in NumPy and Pillow.

Pillow computes in the calling thread and outside the interpreter's lock, so samples are made beside
training without taking part in torch's thread pool.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from ratewise.errors import InputError
from ratewise.images import IGNORE, Image, Mask
from ratewise.tasks.segmentation_settings import AugmentationSettings

FILL = 128
"""What an image is padded with: mid-grey, which is near zero once normalised."""


@dataclass(frozen=True)
class _Span:
    """One axis of a random crop: which part of the source becomes which part of the crop."""

    start: float
    """Of the part of the source, in source pixels."""
    stop: float
    size: int
    """Of that part in the crop, in pixels."""
    before: int
    """Pixels of padding in front of it."""
    total: int
    """Of the crop."""


def augment(
    images: Sequence[Image],
    mask: Mask,
    settings: AugmentationSettings,
    rng: np.random.Generator,
) -> tuple[tuple[Image, ...], Mask]:
    """The same random part of every image and of the mask.

    ``images`` are ``uint8 (H, W, 3)`` and ``mask`` is ``uint8 (H, W)``; what comes out has the
    height and width of ``settings.crop``, or of the input without one. Images are scaled bilinearly
    (with antialiasing where they shrink), masks by the nearest pixel. Where the scaled image is
    smaller than the crop it lies at a random place in it, the image padded with :data:`FILL` and
    the mask with 255. Every choice comes from ``rng``, which is drawn from equally often for any
    settings. Raises :class:`InputError` if the sizes differ.
    """
    height, width = mask.shape
    for image in images:
        if image.shape != (height, width, 3):
            raise InputError(f"an image of shape {image.shape} does not fit its mask {mask.shape}")
    low, high = settings.scale
    scale = math.exp(math.log(low) + rng.random() * (math.log(high) - math.log(low)))
    across, down, mirror = rng.random(), rng.random(), rng.random()
    crop_width, crop_height = settings.crop or (width, height)
    columns = _span(width, crop_width, scale, across)
    rows = _span(height, crop_height, scale, down)
    step = -1 if settings.flip and mirror < 0.5 else 1
    parts = [_take(image, rows, columns, FILL)[:, ::step] for image in images]
    return tuple(parts), _take(mask, rows, columns, IGNORE)[:, ::step]


def _span(source: int, crop: int, scale: float, place: float) -> _Span:
    """``place`` in [0, 1) says where the crop lies, or the image where it is the smaller one."""
    scaled = max(1, round(source * scale))
    if scaled <= crop:
        before = int(place * (crop - scaled + 1))
        return _Span(0.0, float(source), scaled, before, crop)
    first = int(place * (scaled - crop + 1))
    unit = source / scaled
    return _Span(first * unit, (first + crop) * unit, crop, 0, crop)


def _take(pixels: NDArray[np.uint8], rows: _Span, columns: _Span, fill: int) -> NDArray[np.uint8]:
    method = PillowImage.Resampling.NEAREST if pixels.ndim == 2 else PillowImage.Resampling.BILINEAR
    height, width = pixels.shape[:2]
    # Rounding must not carry the box over the edge, which Pillow refuses.
    box = (columns.start, rows.start, min(columns.stop, width), min(rows.stop, height))
    part = np.asarray(
        PillowImage.fromarray(pixels).resize((columns.size, rows.size), method, box=box)
    )
    if (rows.size, columns.size) == (rows.total, columns.total):
        return part
    padded = np.full((rows.total, columns.total, *pixels.shape[2:]), fill, np.uint8)
    inside = (
        slice(rows.before, rows.before + rows.size),
        slice(columns.before, columns.before + columns.size),
    )
    padded[inside] = part
    return padded
