"""Random patches of images, for what compares two sets of images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ratewise.errors import ImageError, InputError
from ratewise.images import Image, check_image


def check_set(images: Sequence[Image], side: int, name: str, *, least: int = 1) -> None:
    """Raise InputError if there are fewer than ``least`` images, ImageError if one is too small."""
    if len(images) < least:
        raise InputError(f"{name}: {len(images)} images, at least {least} are needed")
    for index, image in enumerate(images):
        height, width = check_image(image).shape[:2]
        if min(height, width) < side:
            raise ImageError(
                f"{name}: image {index} is {height}x{width}, patches are {side}x{side}"
            )


def random_patches(
    images: Sequence[Image], count: int, side: int, rng: np.random.Generator
) -> Image:
    """``count`` patches, ``uint8 (count, side, side, 3)``; the i-th is of image ``i % images``.

    So every image gives as many, but for one. Their places are uniform and drawn from ``rng``.
    """
    patches = np.empty((count, side, side, 3), np.uint8)
    for i in range(count):
        image = images[i % len(images)]
        top, left = (int(rng.integers(length - side + 1)) for length in image.shape[:2])
        patches[i] = image[top : top + side, left : left + side]
    return patches
