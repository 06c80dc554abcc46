"""``prepare``: resize, crop and tile, once and losslessly, before any channel."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from pydantic import Field, field_validator, model_validator

from ratewise.errors import ImageError
from ratewise.images import IGNORE, MAX_PIXELS, Image, Mask
from ratewise.validation import Settings

_Pixels = Annotated[int, Field(ge=1, le=65536)]
_Size = tuple[_Pixels, _Pixels]
_Tiles = Annotated[int, Field(ge=1, le=4096)]


class PrepareSettings(Settings):
    """What happens to image and mask together, in this order; sizes are in pixels.

    - ``resize`` to [width, height], or ``short_side`` to a number with the aspect ratio kept (the
      long side is rounded down, as torchvision does): bicubic with antialiasing for the image,
      nearest for the mask.
    - ``crop``: the centre, [width, height].
    - ``tile``: a grid of tiles of [width, height]. Every tile has that size: the last column and
      row are moved inwards where they would hang over, and pixels that an earlier tile holds
      are 255 (ignored) in their masks, so that each pixel is scored once.
    - ``grid``: [columns, rows] of tiles, spread evenly from edge to edge and overlapping as
      much as that takes. Masks are as above. 3000x2000 in tiles of 1200x800 on a grid of 4x3 gives
      12, 600 pixels from one to the next.

    An image smaller than the crop or the tile is an error, not padded.
    """

    resize: _Size | None = None
    short_side: _Pixels | None = None
    crop: _Size | None = None
    tile: _Size | None = None
    grid: tuple[_Tiles, _Tiles] | None = None

    @model_validator(mode="after")
    def _one_way_to_resize(self) -> PrepareSettings:
        if self.resize and self.short_side:
            raise ValueError("'resize' and 'short_side' exclude each other")
        return self

    @model_validator(mode="after")
    def _a_grid_of_tiles(self) -> PrepareSettings:
        if self.grid and not self.tile:
            raise ValueError("'grid' needs 'tile', the size of its tiles")
        size = self.crop or self.resize
        if self.grid and self.tile and size:
            for side, tile, count in zip(size, self.tile, self.grid, strict=True):
                try:
                    _starts(side, tile, count)
                except ImageError as error:
                    raise ValueError(str(error)) from None
        return self

    @field_validator("resize")
    @classmethod
    def _not_too_large(cls, size: _Size | None) -> _Size | None:
        if size and size[0] * size[1] > MAX_PIXELS:
            raise ValueError(f"{size[0]}x{size[1]} is more than {MAX_PIXELS} pixels")
        return size

    @property
    def label(self) -> str:
        """A short name for tables: ``resize 240x180, crop 224x224``; ``none``."""
        parts = []
        for key in ("resize", "short_side", "crop", "tile", "grid"):
            value = getattr(self, key)
            if value:
                size = f"{value[0]}x{value[1]}" if isinstance(value, tuple) else str(value)
                parts.append(f"{key.replace('_', ' ')} {size}")
        return ", ".join(parts) or "none"


def prepare(
    image: Image, mask: Mask | None, settings: PrepareSettings
) -> list[tuple[str, Image, Mask | None]]:
    """The images that ``image`` becomes, each as (name suffix, image, mask).

    The suffix is empty, or ``_rROW_cCOLUMN`` (from 0) for a tile. Raises :class:`ImageError` if
    the image is smaller than the crop or the tile, or too large for the grid.
    """
    height, width = image.shape[:2]
    target = settings.resize
    if settings.short_side:
        target = _keep_aspect(width, height, settings.short_side)
    if target and target != (width, height):
        image = _resize(image, target, PillowImage.Resampling.BICUBIC)
        mask = None if mask is None else _resize(mask, target, PillowImage.Resampling.NEAREST)
    if settings.crop:
        left, top = _centre(image, settings.crop)
        image, mask = _cut(image, mask, left, top, settings.crop)
    if settings.tile:
        return _tiles(image, mask, settings.tile, settings.grid or (None, None))
    return [("", image, mask)]


def _keep_aspect(width: int, height: int, short_side: int) -> _Size:
    """``(width, height)`` with the shorter one at ``short_side``."""
    if width <= height:
        target = (short_side, max(1, short_side * height // width))
    else:
        target = (max(1, short_side * width // height), short_side)
    if target[0] * target[1] > MAX_PIXELS:
        raise ImageError(f"resized to {target[0]}x{target[1]} it is more than {MAX_PIXELS} pixels")
    return target


def _resize(
    pixels: NDArray[np.uint8], size: _Size, how: PillowImage.Resampling
) -> NDArray[np.uint8]:
    return np.array(PillowImage.fromarray(pixels).resize(size, how), np.uint8)


def _centre(image: Image, size: _Size) -> tuple[int, int]:
    """Left and top of the centre crop; torchvision's rounding (half to even)."""
    height, width = image.shape[:2]
    if width < size[0] or height < size[1]:
        raise ImageError(f"{width}x{height} is smaller than the crop {size[0]}x{size[1]}")
    return round((width - size[0]) / 2), round((height - size[1]) / 2)


def _cut(
    image: Image, mask: Mask | None, left: int, top: int, size: _Size
) -> tuple[Image, Mask | None]:
    window = (slice(top, top + size[1]), slice(left, left + size[0]))
    # Copies: a view would keep the large image alive.
    return image[window].copy(), None if mask is None else mask[window].copy()


def _tiles(
    image: Image, mask: Mask | None, size: _Size, grid: tuple[int | None, int | None]
) -> list[tuple[str, Image, Mask | None]]:
    height, width = image.shape[:2]
    if width < size[0] or height < size[1]:
        raise ImageError(f"{width}x{height} is smaller than the tile {size[0]}x{size[1]}")
    tiles = []
    below = 0  # the first row that no row of tiles above holds
    for row, top in enumerate(_starts(height, size[1], grid[1])):
        right = 0
        for column, left in enumerate(_starts(width, size[0], grid[0])):
            part, ids = _cut(image, mask, left, top, size)
            if ids is not None:
                ids[: below - top] = IGNORE
                ids[:, : right - left] = IGNORE
            tiles.append((f"_r{row}_c{column}", part, ids))
            right = left + size[0]
        below = top + size[1]
    return tiles


def _starts(side: int, tile: int, count: int | None) -> list[int]:
    """Where tiles begin along a side: next to each other, or ``count`` of them evenly spread.

    Raises :class:`ImageError` where ``count`` tiles do not reach across the side, or two of them
    would be the same.
    """
    room = side - tile
    if count is None:
        return [min(start, room) for start in range(0, side, tile)]
    if count * tile < side:
        raise ImageError(f"{count} tiles of {tile} pixels do not cover {side} pixels")
    if count - 1 > max(room, 0):
        raise ImageError(f"{count} tiles of {tile} pixels cannot all differ in {side} pixels")
    return [room * place // max(1, count - 1) for place in range(count)]


def prepare_fingerprint(settings: PrepareSettings) -> dict[str, Any]:
    """What decides the pixels: the settings, and the version of what is done with them."""
    return {"version": 1, **settings.model_dump(mode="json", exclude_none=True)}
