"""Small pieces of HTML. Text that comes from outside passes through :func:`html.escape` here."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from ratewise.images import Image, encode_png
from ratewise.report.palette import INK, Style

_PLUS = '<path d="M14 1h4v4h4v4h-4v4h-4v-4h-4v-4h4z"{}/>'
_MARKERS = {
    "o": '<circle cx="16" cy="7" r="4"/>',
    "s": '<rect x="12" y="3" width="8" height="8"/>',
    "^": '<path d="M16 2l5 9h-10z"/>',
    "v": '<path d="M16 12l5-9h-10z"/>',
    "P": _PLUS.format(""),
    "X": _PLUS.format(' transform="rotate(45 16 7)"'),
    "D": '<path d="M16 2l5 5-5 5-5-5z"/>',
}
_DASHES = {"--": "5 3", ":": "2 3", "-.": "6 3 2 3"}


def element(tag: str, text: object, **attributes: str) -> str:
    """``<tag>`` around escaped text; ``class_`` is written as ``class``."""
    return f"<{tag}{_attributes(attributes)}>{escape(str(text))}</{tag}>"


def wrap(tag: str, parts: Iterable[str], **attributes: str) -> str:
    """``<tag>`` around parts that are HTML already."""
    return f"<{tag}{_attributes(attributes)}>{''.join(parts)}</{tag}>\n"


def facts(values: Mapping[str, str]) -> str:
    """A table of two columns: what, and its value."""
    rows = (
        f"<tr>{element('th', key, class_='text')}{element('td', value)}</tr>"
        for key, value in values.items()
        if value
    )
    return wrap("table", rows, class_="facts")


def table_of(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose first column is text and the others are numbers."""

    def line(tag: str, cells: Sequence[str]) -> str:
        first = element(tag, cells[0], class_="text")
        return wrap("tr", [first, *(element(tag, cell) for cell in cells[1:])])

    body = wrap("tbody", [line("td", row) for row in rows])
    table = wrap("table", [wrap("thead", [line("th", titles)]), body])
    return wrap("div", [table], class_="scroll")


def picture(pixels: Image, alt: str, *, pixelated: bool = False) -> str:
    """An ``<img>`` with the picture ``(H, W, 3)`` inside, as PNG."""
    data = base64.b64encode(encode_png(pixels, compress_level=9)).decode()
    kind = ' class="pixels"' if pixelated else ""
    height, width = pixels.shape[:2]
    size = f'width="{width}" height="{height}"'
    return f'<img{kind} {size} alt="{escape(alt)}" src="data:image/png;base64,{data}">'


def line_key(style: Style) -> str:
    """The line and marker of ``style`` as a small SVG for a legend."""
    colour = "currentColor" if style.colour == INK else style.colour
    solid = style.line == "-"
    dash = "" if solid else f' stroke-dasharray="{_DASHES.get(style.line, "4 3")}"'
    marker = _MARKERS.get(style.marker, _MARKERS["o"])
    fill = colour if solid else "none"
    return (
        f'<svg width="32" height="14" stroke="{colour}" fill="{fill}" stroke-width="1.8">'
        f'<path d="M0 7h32"{dash}/>{marker}</svg>'
    )


def _attributes(values: Mapping[str, str]) -> str:
    return "".join(f' {key.rstrip("_")}="{escape(value)}"' for key, value in values.items())
