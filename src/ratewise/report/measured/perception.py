"""Perceptual indices of the test images (Table IV), their spread (Fig. 10), and what restoration
trades for them (Fig. 5)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ratewise.report.analysis.table import Table
from ratewise.report.html import element, grouped_table, section
from ratewise.report.measured.plots import density_panels, plane_panels
from ratewise.report.measured.sets import (
    COMPRESSED,
    ORIGINALS,
    codecs_by_rate,
    figures,
    legend,
    named,
    point_name,
    set_styles,
    telling_codec,
)
from ratewise.report.text import MISSING, number

if TYPE_CHECKING:
    import pandas as pd

_MEASURES = {
    "hosa": "HOSA",
    "niqe": "NIQE",
    "kid": "patch KID",
    "success_rate": "success rate of an observer",
}
_SINGLE = ("hosa", "niqe")
_READABLE = {"hosa": 3.0, "niqe": 0.3}
"""Gaps of means below these are not read: an image's score is uncertain by several points."""

_HIGHEST_MS_SSIM = 99.0


def perception(table: pd.DataFrame, images: pd.DataFrame, notes: Sequence[str] = ()) -> str:
    """The section, from the tables of :class:`ratewise.study.analysis.findings.Findings`."""
    if table.empty:
        return ""
    table, images = named(table), named(images)
    styles, used = set_styles(table), _used(table)
    drawn = next((column for column in _SINGLE if column in used), None)
    shown = perception_table(table)
    parts = [
        element("p", sentence(table)),
        grouped_table(shown.titles, shown.rows, shown.words),
        element("p", _note(used), class_="quiet"),
    ]
    if notes:
        parts.append(element("p", " ".join(notes), class_="quiet"))
    spread = density_panels(images, drawn, used[drawn], styles) if drawn else []
    if spread:
        text = (
            f"How {used[drawn or '']} spreads over the test images. A mark is the mean. A restorer "
            "that gives back what images look like moves the whole curve onto that of the "
            "originals, not its mean alone."
        )
        parts += [element("h3", "How the index spreads"), element("p", text), legend(styles)]
        parts.append(figures(spread))
    plane = plane_panels(table, used, styles)
    if plane:
        parts += [element("h3", "Perception and distortion"), element("p", plane_sentence(table))]
        parts += [legend(styles), figures(plane)]
    return section("What the images look like", *parts)


def sentence(table: pd.DataFrame) -> str:
    """The finding on the index at hand, at the lowest rate that was restored, and its caveat."""
    codec = telling_codec(table)
    column = next((name for name in _MEASURES if _known(table, name)), None)
    if column is None or codec is None:
        return (
            "No perceptual index could be computed, so that only distortion (PSNR and MS-SSIM) is "
            "told."
        )
    own = table[table["codec"] == codec]
    where = point_name(own.iloc[0].to_dict())
    values = {str(row["set"]): float(row[column]) for row in own.to_dict("records")}
    compressed = values.pop(COMPRESSED, math.nan)
    restored = ", ".join(f"{number(v, 2)} {name}" for name, v in values.items() if v == v)
    title = _MEASURES[column]
    if column not in _SINGLE:
        tail = f", {restored}" if restored else ""
        return (
            f"By {title} the images of {where} are {number(compressed, 2)} from the originals "
            f"compressed{tail}. {_CAVEATS[column]}"
        )
    original = float(table.loc[table["set"] == ORIGINALS, column].iloc[0])
    gap = compressed - original
    text = (
        f"{title} of the test images is {number(original, 2)} for the originals and "
        f"{number(compressed, 2)} for {where}"
    )
    text += f"; {restored}. " if restored else ". "
    if abs(gap) < _READABLE[column]:
        text += "The gap between originals and compressed images is too small to be read. "
    elif values:
        text += _recovered(table, codec, column, original, compressed)
    return text + _CAVEATS[column]


_CAVEATS = {
    "hosa": "Lower is better. Means at one image size are compared here; gaps of a few points say "
    "nothing, and scores at other sizes are others.",
    "niqe": "Lower is better. Means at one image size are compared here; small gaps say nothing.",
    "kid": "It compares with itself alone, and its size depends on the features.",
    "success_rate": "0.5 means that this small observer sees no difference, not that there is "
    "none.",
}


def _recovered(
    table: pd.DataFrame, codec: str, column: str, original: float, compressed: float
) -> str:
    """Which restored set comes nearest to the originals, and how much of the gap it closes."""
    own = table[(table["codec"] == codec) & ~table["set"].isin([ORIGINALS, COMPRESSED])]
    rows: list[dict[Any, Any]] = own[own[column].notna()].to_dict("records")
    if not rows:
        return ""
    best = min(rows, key=lambda row: abs(float(row[column]) - original))
    closed = 1 - abs(float(best[column]) - original) / abs(compressed - original)
    if closed <= 0.05:
        return "No restorer brings the images nearer to the originals by it. "
    kind = " (not adversarial)" if not best["adversarial"] else ""
    return (
        f"Nearest to the originals are those {best['set']}{kind}: "
        f"{100 * closed:.0f} % of the gap is closed. "
    )


def plane_sentence(table: pd.DataFrame) -> str:
    """What restoration does to distortion, by kind of restorer."""
    before = table[table["set"] == COMPRESSED].set_index("codec")["rmse"]
    found = []
    for adversarial, words in ((True, "Adversarial"), (False, "Non-adversarial")):
        rows = table[(table["adversarial"] == adversarial) & ~table["channel"].isin(["O", "C"])]
        changes = [
            float(row["rmse"]) - float(before[row["codec"]])
            for row in rows.to_dict("records")
            if row["codec"] in before
        ]
        if changes:
            mean = sum(changes) / len(changes)
            verb = "raises" if mean > 0 else "lowers"
            found.append(
                f"{words} restoration {verb} the distortion by {number(abs(mean), 2)} levels (mean "
                f"over {len(changes)} set{'s' if len(changes) > 1 else ''})."
            )
    text = " ".join(found) or "No restored images were looked at."
    return (
        f"{text} Near the best trade-off an index can only fall where distortion rises (Blau and "
        "Michaeli 2018); left and low is better, and the originals are at distortion 0."
    )


def perception_table(table: pd.DataFrame) -> Table:
    """Table IV: the indices that are known of each set of images, ``table`` being named."""
    used = _used(table)
    titles = [
        "",
        "images",
        *(_MEASURES[c] for c in used),
        "PSNR (dB)",
        "MS-SSIM (dB)",
        "test images",
    ]
    names = [ORIGINALS, *codecs_by_rate(table)]
    rows = []
    for name in names:
        own = table[table["set"] == name] if name == ORIGINALS else table[table["codec"] == name]
        own = own if name == ORIGINALS else own[own["set"] != ORIGINALS]
        for row in own.to_dict("records"):
            head = "originals, no codec" if name == ORIGINALS else point_name(row)
            cells = [_cell(row, column) for column in used]
            similar = float(row["ms_ssim_db"])
            rows.append(
                [
                    head,
                    str(row["set"]),
                    *cells,
                    number(float(row["psnr"]), 2),
                    number(similar if similar < _HIGHEST_MS_SSIM else math.nan, 2),
                    str(row["images"]),
                ]
            )
    return Table(titles, rows)


def _used(table: pd.DataFrame) -> dict[str, str]:
    return {column: title for column, title in _MEASURES.items() if _known(table, column)}


def _cell(row: dict[Any, Any], column: str) -> str:
    value = float(row[column])
    if column == "kid":
        return number(value, 4)
    if column == "success_rate" and value == value:
        return f"{value:.2f} ({row['success_low']:.2f} to {row['success_high']:.2f})"
    return number(value, 2) if value == value else MISSING


def _note(used: dict[str, str]) -> str:
    said = {
        **dict.fromkeys(_SINGLE, "Indices of single images are means over them, lower is better."),
        "kid": "Patch KID is the distance of random patches from those of the originals.",
        "success_rate": "The success rate is that of a small network that tells patches from the "
        "originals', with its 95 % interval over images: 0.5 is a guess, 1 always right.",
    }
    return " ".join(dict.fromkeys(said[column] for column in used))


def _known(table: pd.DataFrame, column: str) -> bool:
    return bool(table.loc[table["set"] != ORIGINALS, column].notna().any())
