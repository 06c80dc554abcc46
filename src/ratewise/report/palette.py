"""One colour and marker per configuration and codec family, the same in every plot.

The colours are those of Okabe and Ito (told apart by colour-blind readers), the blue lightened a
little to be read on dark pages too.
"""

from __future__ import annotations

from dataclasses import dataclass

INK = "#010203"
"""Stands for the page's text colour in an SVG that goes into a page."""

RULE = "#040506"
"""Stands for the page's colour of thin lines."""

PUBLISHED_COLOURS = ("#404040", "#8C8C8C", "#A6761D")
"""Of curves that others published: none of them a codec's."""


@dataclass(frozen=True)
class Style:
    """How a line is drawn: a hex colour, matplotlib's marker and line style."""

    colour: str
    marker: str
    line: str = "-"


_CONFIGURATIONS = {
    "OO": (INK, "D"),
    "CO": ("#1F83C9", "s"),
    "OC": ("#D55E00", "o"),
    "CC": ("#009E73", "^"),
    "RO": ("#CC79A7", "P"),
    "RR": ("#E69F00", "X"),
    "OR": ("#8A63C9", "v"),
    "AO": ("#56B4E9", "p"),
}
_OTHERS = (("#A6761D", "*"), ("#8C8C8C", "h"), ("#BBAA00", "<"), ("#AA4455", ">"))
_FAMILIES = ("#1F83C9", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#8A63C9", "#56B4E9")
_KNOWN_FAMILIES = ("jpeg", "jpeg2000", "webp", "avif", "bpg", "msh", "png")
_LINES = ("--", ":", "-.")


def configuration_style(configuration: str) -> Style:
    """The style of ``CO``; shares, mixtures and recipes of it keep its colour with another line."""
    colour, marker = (
        _CONFIGURATIONS.get(configuration[:2].upper())
        or _OTHERS[sum(map(ord, configuration[:2])) % len(_OTHERS)]
    )
    rest = configuration[2:]
    return Style(colour, marker, _LINES[sum(map(ord, rest)) % len(_LINES)] if rest else "-")


def family_style(family: str) -> Style:
    """The style of a codec family (``jpeg``)."""
    known = family in _KNOWN_FAMILIES
    index = _KNOWN_FAMILIES.index(family) if known else sum(map(ord, family))
    return Style(_FAMILIES[index % len(_FAMILIES)], "osD^vPX"[index % 7])
