"""Sets of test images in tables and drawings: their names, their order and their styles."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any

from ratewise.report.html import element, line_key, wrap
from ratewise.report.palette import INK, Style
from ratewise.report.text import number

if TYPE_CHECKING:
    import pandas as pd

ORIGINALS = "originals"
COMPRESSED = "compressed"

_ADVERSARIAL = (("#D55E00", "P"), ("#CC79A7", "p"), ("#9040E0", "X"), ("#C8003C", "*"))
_OTHERS = (("#009E73", "^"), ("#E69F00", "v"), ("#8C8C8C", "h"), ("#A6761D", ">"))


def set_name(row: Mapping[Hashable, Any]) -> str:
    """``restored by rdn``; with ``(auxiliary)`` or the share of originals where that is not all."""
    channel = str(row["channel"])
    if channel == "O":
        return ORIGINALS
    if channel == "C":
        return COMPRESSED
    notes = {"R": "", "A": " (auxiliary)"}
    note = notes.get(channel, f" ({channel.partition('@')[2]} of the originals)")
    return f"restored by {row['restorer']}{note}"


def named(table: pd.DataFrame) -> pd.DataFrame:
    """The table with a column ``set``."""
    return table.assign(set=[set_name(row) for row in table.to_dict("records")])


def point_name(row: Mapping[Hashable, Any]) -> str:
    """A codec and the rate of its test images: ``bpg:qp=46, 0.12 bpp``."""
    return f"{row['codec']}, {number(float(row['bpp']), 2)} bpp"


def set_styles(table: pd.DataFrame) -> dict[str, Style]:
    """The style of each set of a named table, adversarial restorers apart from the others."""
    styles: dict[str, Style] = {}
    counts = {True: 0, False: 0}
    for row in table.drop_duplicates("set").to_dict("records"):
        name, adversarial = str(row["set"]), bool(row["adversarial"])
        if name == ORIGINALS:
            styles[name] = Style(INK, "D")
        elif name == COMPRESSED:
            styles[name] = Style("#1F83C9", "s")
        else:
            spare = _ADVERSARIAL if adversarial else _OTHERS
            colour, marker = spare[counts[adversarial] % len(spare)]
            styles[name] = Style(colour, marker)
            counts[adversarial] += 1
    return styles


def codecs_by_rate(table: pd.DataFrame) -> list[str]:
    """The codecs of a table, family by family as they come, the lowest rate first."""
    found = table[table["channel"] != "O"].drop_duplicates("codec")
    family = [str(codec).partition(":")[0] for codec in found["codec"]]
    order = {name: place for place, name in enumerate(dict.fromkeys(family))}
    found = found.assign(order=[order[name] for name in family]).sort_values(["order", "bpp"])
    return [str(codec) for codec in found["codec"]]


def telling_codec(table: pd.DataFrame) -> str | None:
    """The codec to speak of: at the lowest rate, if possible one whose images are restored."""
    found = table[~table["channel"].isin(["O", "C"])]
    found = found if len(found) else table[table["channel"] == "C"]
    return str(found.sort_values("bpp").iloc[0]["codec"]) if len(found) else None


def legend(styles: Mapping[str, Style]) -> str:
    """The names of sets with their marks."""
    keys = [wrap("span", [line_key(s), element("span", name)]) for name, s in styles.items()]
    return wrap("div", keys, class_="legend")


def figures(panels: list[tuple[str, str]]) -> str:
    """Drawings with their titles, side by side."""
    parts = [wrap("figure", [element("figcaption", title), svg]) for title, svg in panels]
    return wrap("div", parts, class_="plots") if parts else ""
