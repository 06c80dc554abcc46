"""Small pieces of HTML. Text that comes from outside passes through :func:`html.escape` here."""

from __future__ import annotations

import base64
from collections.abc import Collection, Iterable, Mapping, Sequence
from html import escape
from itertools import groupby

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
    "<": '<path d="M11 7l9-5v10z"/>',
    ">": '<path d="M21 7l-9-5v10z"/>',
    "p": '<path d="M16 2l5 3.6-1.9 5.9h-6.2l-1.9-5.9z"/>',
    "h": '<path d="M16 2l4.3 2.5v5l-4.3 2.5-4.3-2.5v-5z"/>',
    "*": '<path d="M16 1l1.5 4h4.2l-3.4 2.6 1.3 4.2-3.6-2.6-3.6 2.6 1.3-4.2-3.4-2.6h4.2z"/>',
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


def table_of(
    titles: Sequence[str], rows: Sequence[Sequence[str]], words: Collection[int] = (0,)
) -> str:
    """A table. The columns ``words`` are text, the others numbers."""

    def line(tag: str, cells: Sequence[str]) -> str:
        kinds = ["text" if index in words else "" for index in range(len(cells))]
        drawn = zip(cells, kinds, strict=True)
        return wrap("tr", [element(tag, cell, class_=kind) for cell, kind in drawn])

    body = wrap("tbody", [line("td", row) for row in rows])
    table = wrap("table", [wrap("thead", [line("th", titles)]), body])
    return wrap("div", [table], class_="scroll")


def grouped_table(
    titles: Sequence[str], rows: Sequence[Sequence[str]], words: Collection[int]
) -> str:
    """A table in parts, each under a line with what its first column has in common.

    The columns ``words`` are text, the others numbers.
    """
    kinds = ["text" if index in words else "" for index in range(len(titles))]

    def cells(tag: str, texts: Sequence[str], start: int) -> list[str]:
        return [
            element(tag, text, **({"class_": kind} if kind else {}))
            for text, kind in zip(texts[start:], kinds[start:], strict=True)
        ]

    parts = [wrap("thead", [wrap("tr", cells("th", titles, 1))])]
    for name, group in groupby(rows, key=lambda row: row[0]):
        head = wrap("span", [escape(name)]).strip()
        lines = [wrap("tr", [f'<th class="text" colspan="{len(titles) - 1}">{head}</th>'])]
        for row in group:
            first = element("th", row[1], class_="text")
            lines.append(wrap("tr", [first, *cells("td", row, 2)]))
        parts.append(wrap("tbody", lines))
    return wrap("div", [wrap("table", parts, class_="points grouped")], class_="scroll")


def section(title: str, *parts: str) -> str:
    """A section of a page under its title."""
    return wrap("section", [element("h2", title), *parts])


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
