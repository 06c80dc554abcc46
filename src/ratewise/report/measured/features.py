"""How the features of a shallow layer move under compression and restoration (Fig. 11)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ratewise.report.analysis.table import Table
from ratewise.report.html import element, grouped_table, section
from ratewise.report.measured.plots import feature_panels
from ratewise.report.measured.sets import (
    codecs_by_rate,
    figures,
    legend,
    named,
    point_name,
    set_styles,
    telling_codec,
)
from ratewise.report.text import number

if TYPE_CHECKING:
    import pandas as pd


def features(table: pd.DataFrame, channels: pd.DataFrame) -> str:
    """The section, from the tables of :class:`ratewise.study.analysis.findings.Findings`."""
    if table.empty:
        return ""
    table, channels = named(table), named(channels)
    styles = set_styles(table)
    shown = features_table(table)
    note = (
        "A point is a channel: its average activation over all places of all test images, against "
        "that on the originals. Concordance is Lin's coefficient: 1 on the identity line alone, "
        "while a correlation would be 1 on any line. Deviation is the mean distance from that line "
        "over the standard deviation of the originals' averages."
    )
    return section(
        "What the model's first layers see",
        element("p", sentence(table)),
        legend(styles),
        figures(feature_panels(channels, styles)),
        grouped_table(shown.titles, shown.rows, shown.words),
        element("p", note, class_="quiet"),
    )


def features_table(table: pd.DataFrame) -> Table:
    """How far each set's averages are from the originals', ``table`` being named."""
    rows = [
        [
            point_name(row),
            str(row["set"]),
            number(float(row["concordance"]), 3),
            number(float(row["deviation"]), 3),
            str(row["channels"]),
            str(row["images"]),
        ]
        for codec in codecs_by_rate(table)
        for row in table[table["codec"] == codec].to_dict("records")
    ]
    titles = ["", "images", "concordance", "deviation", "channels", "test images"]
    return Table(titles, rows)


def sentence(table: pd.DataFrame) -> str:
    """The finding at the lowest rate that was restored, and its caveat."""
    codec = telling_codec(table)
    own = table[table["codec"] == codec]
    first = own.iloc[0].to_dict()
    values = ", ".join(
        f"{number(float(row['deviation']), 3)} ({row['set']})" for row in own.to_dict("records")
    )
    layer = "a shallow layer" if first["layer"] == "shallow" else f"the layer {first['layer']}"
    return (
        f"In {layer} of the model trained on originals, channels are off by {values} of their "
        f"spread at {point_name(first)}; 0 would be the originals' features. These are averages: "
        "equal ones do not mean that single images look alike to the model."
    )
