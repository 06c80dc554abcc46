"""A sheet of crops: what became of one part of a picture, side by side, each with its numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from ratewise.images import Image
from ratewise.report.pictures import beside, scale

_LETTERS = 13
"""The height of a line of text, in pixels."""

_INK, _EMPTY = (20, 20, 20), (225, 225, 225)


@dataclass(frozen=True)
class TitledCrop:
    """A part of a picture, ``(H, W, 3)``; None where there is none, which ``note`` explains."""

    title: str
    note: str
    pixels: Image | None


def crop_sheet(crops: Sequence[TitledCrop], *, columns: int = 4, enlarged: int = 2) -> Image:
    """The crops in rows of ``columns``, titles and notes above them, ``uint8 (H, W, 3)``.

    All have one size (one at least has pixels); ``enlarged`` is a whole factor, so that each pixel
    is seen as it is. Titles that are wider than their crop go on in further lines.
    """
    shape = next(one.pixels.shape for one in crops if one.pixels is not None)
    width = shape[1] * enlarged
    rows = []
    for first in range(0, len(crops), columns):
        some = crops[first : first + columns]
        above = [_lines(one.title, width) + _lines(one.note, width) for one in some]
        height = max(map(len, above))
        drawn = [
            np.concatenate([_text(lines, height, width), _picture(one.pixels, shape, width)])
            for lines, one in zip(above, some, strict=True)
        ]
        empty = np.full((*drawn[0].shape[:2], 3), 255, np.uint8)
        missing = 0 if len(crops) <= columns else columns - len(some)
        rows.append(beside([*drawn, *[empty] * missing]))
    return np.concatenate(rows)


def _picture(pixels: Image | None, shape: tuple[int, ...], width: int) -> Image:
    if pixels is None:
        pixels = np.full(shape, _EMPTY, np.uint8)
    return scale(pixels, width, smooth=False)


def _lines(text: str, width: int) -> list[str]:
    """``text`` in lines that fit, broken anywhere: a spec may have no spaces."""
    font, lines = ImageFont.load_default(size=_LETTERS), [""]
    for letter in text:
        if lines[-1] and font.getlength(lines[-1] + letter) > width:
            lines.append("")
        lines[-1] += letter
    return lines if text else []


def _text(lines: Sequence[str], height: int, width: int) -> Image:
    """``lines`` on white, at the bottom of as much room as ``height`` lines take."""
    line = _LETTERS + 4
    picture = PillowImage.new("RGB", (width, height * line + 6), "white")
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(size=_LETTERS)
    for number, text in enumerate(lines, height - len(lines)):
        draw.text((0, 3 + number * line), text, fill=_INK, font=font)
    return np.array(picture)
