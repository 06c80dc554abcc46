"""Pictures of predictions: class colours, a box around a small object, strips as one picture."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from ratewise.data.classes import Classes
from ratewise.images import IGNORE, Image, Mask
from ratewise.report.model import Strip

_TARGET_SHARE = 0.006  # of the image's pixels: large enough to be seen, small enough to get lost
_LEAST_PIXELS = 12
_GAP = 6


def colourise(mask: Mask, classes: Classes) -> Image:
    """The mask ``(H, W)`` in the colours of its classes, ``uint8 (H, W, 3)``.

    Ignored pixels, and ids that ``classes`` does not know, are black.
    """
    table = np.zeros((256, 3), np.uint8)
    table[: len(classes.colours)] = np.array(classes.colours, np.uint8).reshape(-1, 3)
    table[IGNORE] = 0
    coloured: Image = table[mask]
    return coloured


def choose_zoom(mask: Mask, classes: Classes) -> tuple[int, int, int, int]:
    """A square box ``(x, y, width, height)`` around one small object, inside the mask ``(H, W)``.

    Small objects are the classes of the group named so, else of the smallest named group, else
    the class with the fewest pixels in ``mask``. Of their connected areas the one whose size is
    nearest to 0.6 % of the picture is taken (the first from the top where two tie).
    """
    height, width = mask.shape
    areas = _areas(np.isin(mask, _small_ids(mask, classes)))
    if not areas:
        top, left, bottom, right = 0, 0, height, width
    else:
        target = max(_TARGET_SHARE * height * width, _LEAST_PIXELS)
        best = min(areas, key=lambda area: (abs(math.log(area[0] / target)), area[1:]))
        _, top, left, bottom, right = best
    shorter = min(height, width)
    side = round(min(max(1.6 * max(bottom - top, right - left), shorter / 5), shorter / 2))
    side = max(side, 1)
    x = min(max((left + right - side) // 2, 0), width - side)
    y = min(max((top + bottom - side) // 2, 0), height - side)
    return x, y, side, side


def crop(pixels: Image, zoom: tuple[int, int, int, int]) -> Image:
    """The box ``(x, y, width, height)`` of ``pixels (H, W, 3)``."""
    x, y, width, height = zoom
    return pixels[y : y + height, x : x + width]


def scale(pixels: Image, width: int, *, smooth: bool = True) -> Image:
    """``pixels (H, W, 3)`` at another width in proportion; without ``smooth``, nearest pixels."""
    height = max(round(pixels.shape[0] * width / pixels.shape[1]), 1)
    method = PillowImage.Resampling.LANCZOS if smooth else PillowImage.Resampling.NEAREST
    return np.array(PillowImage.fromarray(pixels).resize((width, height), method))


def strip_png(strip: Strip, classes: Classes, *, width: int = 240) -> Image:
    """The strip as one picture ``uint8 (H, W, 3)`` on white, each of its columns ``width`` wide.

    Rows: what the model was shown, its prediction, and both enlarged in the strip's zoom box. The
    first column is the original and the truth.
    """
    columns = [("original, truth", strip.original, strip.mask)]
    for column in strip.columns:
        rate = "" if column.bpp is None or column.bpp != column.bpp else f", {column.bpp:.2f} bpp"
        columns.append((f"{column.title}{rate}", column.image, column.prediction))
    drawn = [_column(title, i, m, classes, strip.zoom, width) for title, i, m in columns]
    return beside(drawn)


def _column(
    title: str,
    image: Image,
    mask: Mask,
    classes: Classes,
    zoom: tuple[int, int, int, int],
    width: int,
) -> Image:
    coloured = colourise(mask, classes)
    half = (width - _GAP) // 2
    pair = [scale(crop(p, zoom), half, smooth=False) for p in (image, coloured)]
    rows = [
        caption(title, width),
        _boxed(scale(image, width), zoom, width / image.shape[1]),
        _boxed(scale(coloured, width, smooth=False), zoom, width / image.shape[1]),
        _fit(beside(pair), width),
    ]
    gap = np.full((_GAP, width, 3), 255, np.uint8)
    return np.concatenate([part for row in rows for part in (row, gap)])


def caption(title: str, width: int) -> Image:
    """``title`` on white, ``width`` pixels wide."""
    font = ImageFont.load_default(size=max(width // 18, 9))
    picture = PillowImage.new("RGB", (width, max(width // 10, 14)), "white")
    ImageDraw.Draw(picture).text((0, 2), title, fill=(20, 20, 20), font=font)
    return np.array(picture)


def _boxed(pixels: Image, zoom: tuple[int, int, int, int], factor: float) -> Image:
    """The picture with a white frame in a dark one around the zoom box."""
    picture = PillowImage.fromarray(pixels)
    draw = ImageDraw.Draw(picture)
    x, y, width, height = (value * factor for value in zoom)
    draw.rectangle((x - 1, y - 1, x + width, y + height), outline=(20, 20, 20))
    draw.rectangle((x, y, x + width - 1, y + height - 1), outline=(255, 255, 255))
    return np.array(picture)


def _fit(pixels: Image, width: int) -> Image:
    missing = width - pixels.shape[1]
    return np.pad(pixels, ((0, 0), (0, missing), (0, 0)), constant_values=255)


def beside(pictures: Sequence[Image]) -> Image:
    """Pictures side by side on white, a gap between them."""
    height = max(p.shape[0] for p in pictures)
    parts: list[Image] = []
    for picture in pictures:
        below = ((0, height - picture.shape[0]), (0, 0), (0, 0))
        parts += [np.pad(picture, below, constant_values=255)]
        parts += [np.full((height, _GAP, 3), 255, np.uint8)]
    return np.concatenate(parts[:-1], axis=1)


def _small_ids(mask: Mask, classes: Classes) -> list[int]:
    ids = {name: index for index, name in enumerate(classes.names)}
    named = [group for group in classes.groups if "small" in group.lower()]
    by_size = sorted(classes.groups, key=lambda group: len(classes.groups[group]))
    present = np.bincount(mask[mask != IGNORE].ravel(), minlength=256)
    for group in [*named, *(group for group in by_size if group not in named)]:
        chosen = [ids[name] for name in classes.groups[group] if name in ids]
        if present[chosen].any():
            return chosen
    shown = np.flatnonzero(present)
    return [int(shown[np.argmin(present[shown])])] if len(shown) else []


def _areas(inside: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> list[tuple[int, ...]]:
    """``(pixels, top, left, bottom, right)`` of each 4-connected area, ends exclusive.

    Horizontal runs are joined with the runs above that they touch (union-find).
    """
    parent: list[int] = []
    runs: list[tuple[int, int, int]] = []

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    above: list[int] = []
    for y, row in enumerate(inside):
        edges = np.flatnonzero(np.diff(np.concatenate([[0], row.astype(np.int8), [0]])))
        current = []
        for start, end in edges.reshape(-1, 2).tolist():
            index = len(runs)
            runs.append((y, start, end))
            parent.append(index)
            for other in above:
                if runs[other][1] < end and start < runs[other][2]:
                    parent[root(index)] = root(other)
            current.append(index)
        above = current
    boxes: dict[int, list[int]] = {}
    for index, (y, start, end) in enumerate(runs):
        box = boxes.setdefault(root(index), [0, y, start, y + 1, end])
        box[0] += end - start
        box[2:] = [min(box[2], start), max(box[3], y + 1), max(box[4], end)]
    return [tuple(box) for box in boxes.values()]
