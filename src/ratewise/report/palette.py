"""One colour and marker per configuration and codec family, the same in every plot.

The colours are those of Okabe and Ito (told apart by colour-blind readers), the blue lightened a
little to be read on dark pages too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from ratewise.report.naming import channels_of

INK = "#010203"
"""Stands for the page's text colour in an SVG that goes into a page."""

RULE = "#040506"
"""Stands for the page's colour of thin lines."""

RISE, FALL = "#1F83C9", "#D55E00"
"""What is better and what is worse than what it is compared with; RISE alone is for scores."""

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
    "OR": ("#9040E0", "v"),
    "AO": ("#56B4E9", "p"),
    "OA": ("#C8003C", "h"),
    "AA": ("#A6761D", ">"),
    "oO": ("#8C8C8C", "*"),
    "rO": ("#CC79A7", "<"),
    "o+cO": ("#1F83C9", "p"),
    "o+rO": ("#C8003C", "X"),
}
_SHARES = (("#E69F00", "o"), ("#009E73", "^"), ("#9040E0", "v"), ("#D55E00", "D"))
_OTHERS = (("#A6761D", "*"), ("#8C8C8C", "h"), ("#BBAA00", "<"), ("#AA4455", ">"))
_FAMILIES = ("#1F83C9", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#9040E0", "#56B4E9")
_KNOWN_FAMILIES = ("jpeg", "jpeg2000", "webp", "avif", "bpg", "msh", "png")
_LINES = ("--", ":", "-.")


def configuration_style(configuration: str) -> Style:
    """The style of ``CO``; shares, mixtures and recipes of it keep its colour with another line."""
    channels = channels_of(configuration)
    colour, marker = (
        _CONFIGURATIONS.get(channels)
        or _CONFIGURATIONS.get(configuration[:2].upper())
        or _OTHERS[sum(map(ord, configuration[:2])) % len(_OTHERS)]
    )
    rest = configuration[len(channels) :] if channels in _CONFIGURATIONS else configuration[2:]
    return Style(colour, marker, _LINES[sum(map(ord, rest)) % len(_LINES)] if rest else "-")


def configuration_styles(names: Collection[str]) -> dict[str, Style]:
    """The styles of configurations that are drawn together. The name of a restorer changes the line
    only where they have several; recipes and the like (``CC · expert``) are told apart."""
    bare = [name.partition("(")[0] for name in names]
    styles: dict[str, Style] = {}
    for name, short in zip(names, bare, strict=True):
        style = configuration_style(short if bare.count(short) == 1 else name)
        if " · " in name:
            style = _another(style, styles.values())
        styles[name] = style
    return styles


def _another(style: Style, used: Collection[Style]) -> Style:
    """The style, or where it is used already one of its colour with another line, or of another
    colour."""
    lines = dict.fromkeys([style.line, "-", *_LINES])
    looks = [(style.colour, style.marker), *_OTHERS, *_CONFIGURATIONS.values()]
    free = (Style(*look, line) for look in looks for line in lines)
    taken = {(other.colour, other.line) for other in used}
    return next((s for s in free if (s.colour, s.line) not in taken), style)


def share_style(index: int, *, alone: bool) -> Style:
    """The style of the privileged share of this index: of originals ``alone`` (oO) or restored."""
    colour, marker = _SHARES[index % len(_SHARES)]
    return Style(colour, marker, "--" if alone else "-")


def restorer_style(family: str, index: int) -> Style:
    """The style of a codec family's images after the restorer of this index."""
    before = family_style(family)
    return Style(before.colour, "D^v<>ph*"[index % 8], _LINES[index % len(_LINES)])


def family_style(family: str) -> Style:
    """The style of a codec family (``jpeg``)."""
    known = family in _KNOWN_FAMILIES
    index = _KNOWN_FAMILIES.index(family) if known else sum(map(ord, family))
    return Style(_FAMILIES[index % len(_FAMILIES)], "osD^vPX"[index % 7])


def distinct_styles(configurations: Iterable[str]) -> dict[str, Style]:
    """The style of each configuration of a plot without lines, where a share or a mixture needs a
    colour of its own: the usual one where it is free."""
    spare = [*_OTHERS, *_CONFIGURATIONS.values()]
    styles: dict[str, Style] = {}
    for name in sorted(configurations, key=lambda name: (len(name), name)):
        usual = configuration_style(name)
        used = {style.colour for style in styles.values()}
        free = [(usual.colour, usual.marker), *spare]
        colour, marker = next((s for s in free if s[0] not in used), free[0])
        styles[name] = Style(colour, marker)
    return styles
