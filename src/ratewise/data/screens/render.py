"""Draws a screen: a background, windows on it, and text in the windows."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ratewise.data.screens.words import Kind, Line, Writer
from ratewise.errors import InputError
from ratewise.images import Image

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont


LIMITS = (32, 8192)
"""Smallest and largest side of a screen in pixels."""

Colour = tuple[int, int, int]
Box = tuple[int, int, int, int]
"""Left, top, right, bottom; right and bottom lie outside."""


@dataclass(frozen=True)
class Theme:
    """The colours of a window."""

    paper: Colour
    bar: Colour
    edge: Colour
    ink: dict[Kind, Colour]


def _theme(paper: Colour, bar: Colour, edge: Colour, *ink: Colour) -> Theme:
    kinds: tuple[Kind, ...] = ("plain", "keyword", "name", "text", "number", "quiet")
    return Theme(paper, bar, edge, dict(zip(kinds, ink, strict=True)))


_LIGHT = (
    _theme(
        (255, 255, 255), (232, 232, 236), (190, 190, 196),
        (30, 30, 30), (0, 0, 200), (120, 60, 20), (160, 20, 20), (10, 130, 90), (120, 130, 120),
    ),
    _theme(
        (253, 246, 227), (238, 232, 213), (200, 190, 160),
        (90, 110, 117), (133, 153, 0), (38, 139, 210), (42, 161, 152), (211, 54, 130),
        (147, 161, 161),
    ),
    _theme(
        (246, 248, 250), (255, 255, 255), (208, 215, 222),
        (36, 41, 47), (207, 34, 46), (130, 80, 223), (10, 48, 105), (5, 80, 174), (110, 119, 129),
    ),
)  # fmt: skip
_DARK = (
    _theme(
        (30, 30, 30), (60, 60, 60), (80, 80, 80),
        (212, 212, 212), (86, 156, 214), (220, 220, 170), (206, 145, 120), (181, 206, 168),
        (106, 153, 85),
    ),
    _theme(
        (40, 42, 54), (33, 34, 44), (68, 71, 90),
        (248, 248, 242), (255, 121, 198), (80, 250, 123), (241, 250, 140), (189, 147, 249),
        (98, 114, 164),
    ),
    _theme(
        (0, 0, 0), (45, 45, 48), (70, 70, 70),
        (220, 220, 220), (80, 220, 80), (90, 160, 255), (240, 200, 80), (80, 220, 220),
        (130, 130, 130),
    ),
)  # fmt: skip
_BACKGROUNDS: tuple[Colour, ...] = (
    (0, 90, 140), (40, 50, 70), (90, 120, 110), (205, 210, 220), (70, 40, 90), (24, 24, 24),
)  # fmt: skip
_BUTTONS = ((237, 106, 94), (245, 191, 79), (98, 197, 84))


def render_screen(seed: int, index: int, width: int, height: int) -> Image:
    """Screen number ``index`` of the collection ``seed``, ``uint8 (height, width, 3)``.

    The same arguments give the same bytes with the same Pillow, which brings the font. Text keeps
    its size in pixels: a larger picture shows more of it. Raises :class:`InputError` if ``seed`` or
    ``index`` is negative, or a side is not a whole number within :data:`LIMITS`.
    """
    from PIL import Image as PillowImage
    from PIL import ImageDraw

    for name, value in (("seed", seed), ("index", index)):
        if not _whole(value) or value < 0:
            raise InputError(f"screens: {name} must be a whole number from 0, not {value!r}")
    for name, value in (("width", width), ("height", height)):
        if not _whole(value) or not LIMITS[0] <= value <= LIMITS[1]:
            raise InputError(
                f"screens: {name} must be a whole number from {LIMITS[0]} to {LIMITS[1]}, "
                f"not {value!r}"
            )
    sequence = np.random.SeedSequence([int(seed), int(index)])
    writer = Writer(np.random.Generator(np.random.PCG64(sequence)))
    picture = PillowImage.new("RGB", (int(width), int(height)), writer.one(_BACKGROUNDS))
    themes = _DARK if writer.between(0, 1) else _LIGHT
    for box in _windows(writer, int(width), int(height)):
        size = (box[2] - box[0], box[3] - box[1])
        window = PillowImage.new("RGB", size)
        _draw_window(ImageDraw.Draw(window), writer, size, writer.one(themes))
        picture.paste(window, box[:2])
    return np.array(picture, np.uint8)


def _windows(writer: Writer, width: int, height: int) -> list[Box]:
    """One window over the whole screen, two side by side, or three that overlap."""
    form = writer.between(0, 3)
    if form == 0:
        return [(0, 0, width, height)]
    if form == 1:
        at = width * writer.between(30, 70) // 100
        return [(0, 0, at, height), (at, 0, width, height)]
    boxes = []
    for _ in range(writer.between(2, 3)):
        wide, high = (side * writer.between(50, 85) // 100 for side in (width, height))
        left, top = writer.between(0, width - wide), writer.between(0, height - high)
        boxes.append((left, top, left + wide, top + high))
    return boxes


def _draw_window(draw: ImageDraw, writer: Writer, size: tuple[int, int], theme: Theme) -> None:
    width, height = size
    letters = writer.one((11, 12, 13, 14, 16, 18, 22))
    bar = 22
    draw.rectangle((0, 0, width, height), theme.paper)
    content = (10, bar + 8, width - 8, height - 6)
    writer.one((_program, _terminal, _prose, _table))(draw, writer, content, theme, letters)
    draw.rectangle((0, 0, width, bar), theme.bar)
    draw.line((0, bar, width, bar), theme.edge)
    for number, colour in enumerate(_BUTTONS):
        draw.ellipse((8 + 16 * number, 6, 18 + 16 * number, 16), colour)
    ink = theme.ink["plain"]
    draw.text((64, 4), f"{writer.file()} - {writer.title(3)}", ink, font=_font(12))
    draw.rectangle((0, 0, width - 1, height - 1), outline=theme.edge)


def _program(draw: ImageDraw, writer: Writer, box: Box, theme: Theme, letters: int) -> None:
    """Lines with their numbers in a margin."""
    left, top, _, bottom = box
    step = letters + writer.between(3, 6)
    first, margin = writer.between(1, 900), 3 * letters
    font = _font(letters)
    for number, line in enumerate(writer.program((bottom - top) // step + 1)):
        y = top + number * step
        draw.text((left, y), str(first + number), theme.ink["quiet"], font=font)
        _draw_line(draw, line, (left + margin, y), theme, letters)


def _terminal(draw: ImageDraw, writer: Writer, box: Box, theme: Theme, letters: int) -> None:
    left, top, _, bottom = box
    step = letters + 3
    for number, line in enumerate(writer.terminal((bottom - top) // step + 1)):
        _draw_line(draw, line, (left, top + number * step), theme, letters)


def _prose(draw: ImageDraw, writer: Writer, box: Box, theme: Theme, letters: int) -> None:
    """Headings and paragraphs, broken where the window ends."""
    left, top, right, bottom = box
    font, ink = _font(letters), theme.ink["plain"]
    space, y = font.getlength(" "), float(top)
    while y < bottom:
        if writer.between(0, 2) == 0:
            draw.text((left, y), writer.title(), theme.ink["name"], font=_font(letters * 3 // 2))
            y += letters * 2
        x = float(left)
        for word in " ".join(writer.sentence() for _ in range(writer.between(2, 6))).split():
            length = font.getlength(word)
            if x + length > right and x > left:
                x, y = float(left), y + letters * 1.4
            draw.text((x, y), word, ink, font=font)
            x += length + space
        y += letters * 2.2


def _table(draw: ImageDraw, writer: Writer, box: Box, theme: Theme, letters: int) -> None:
    """Names and numbers between thin lines."""
    left, top, right, bottom = box
    font, row, column = _font(letters), letters + 8, 8 * letters
    for y in range(top, bottom, row):
        draw.line((left, y, right, y), theme.edge)
        draw.text((left + 4, y + 3), writer.name(), theme.ink["name"], font=font)
        for x in range(left + 2 * column, right + column, column):
            text = writer.number()
            place = (x - 6 - font.getlength(text), y + 3)
            draw.text(place, text, theme.ink["plain"], font=font)
    for x in range(left + column, right, column):
        draw.line((x, top, x, bottom), theme.edge)


def _draw_line(
    draw: ImageDraw, line: Line, at: tuple[float, float], theme: Theme, letters: int
) -> None:
    font = _font(letters)
    x = at[0] + line.indent * font.getlength("n")
    for kind, text in line.pieces:
        draw.text((x, at[1]), text, theme.ink[kind], font=font)
        x += font.getlength(text)


@functools.lru_cache(maxsize=32)
def _font(size: int) -> FreeTypeFont:
    """The font that comes with Pillow."""
    from PIL import ImageFont

    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise InputError("screens: this Pillow was built without FreeType, which draws the text")
    return font


def _whole(value: object) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)
