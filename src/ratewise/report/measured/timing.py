"""How long inference takes: segment alone, or after encode and decode and restore (Table VI)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ratewise.report.analysis.table import Table
from ratewise.report.html import element, grouped_table, section
from ratewise.report.measured.sets import (
    COMPRESSED,
    ORIGINALS,
    codecs_by_rate,
    named,
    point_name,
)
from ratewise.report.text import number

if TYPE_CHECKING:
    import pandas as pd

_STEPS = ("encode", "decode", "restore", "segment", "total")
_CONFIGURATIONS = {"O": "OO, CO, RO, AO", "C": "CC, OC", "A": "OA, AA"}


def timing(table: pd.DataFrame) -> str:
    """The section, from the table of :class:`ratewise.study.analysis.findings.Findings`."""
    if table.empty:
        return ""
    table = named(table)
    shown = timing_table(table)
    return section(
        "What inference takes",
        element("p", sentence(table)),
        grouped_table(shown.titles, shown.rows, shown.words),
        element("p", _note(table), class_="quiet"),
    )


def timing_table(table: pd.DataFrame) -> Table:
    """Table VI: milliseconds of each step, ``table`` being named."""
    rows = [_cells("no codec", row) for row in _rows(table[table["set"] == ORIGINALS])]
    for codec in codecs_by_rate(table):
        rows += [_cells(point_name(row), row) for row in _rows(table[table["codec"] == codec])]
    titles = ["", "configurations", *(f"{step} (ms)" for step in _STEPS), "times segment"]
    return Table(titles, rows)


def sentence(table: pd.DataFrame) -> str:
    """What a codec before the model costs, where it costs most, and that it is one measurement."""
    alone = table[table["set"] == ORIGINALS]
    text = ""
    if len(alone):
        first = alone.iloc[0].to_dict()
        text = (
            f"Segmenting an image of {first['size']} takes {number(first['total'], 1)} ms, "
            "whatever the model was trained on. "
        )
    coded = _rows(table[table["set"] == COMPRESSED])
    if coded:
        row = max(coded, key=lambda row: float(row["total"]))
        text += (
            f"Compression before inference with {row['codec']} adds {number(row['encode'], 1)} ms "
            f"to encode and {number(row['decode'], 1)} ms to decode: "
            f"{number(row['total'] / row['segment'], 2)} times as long. "
        )
    return (
        f"{text}These are medians measured on one machine while it did whatever else it did; "
        "another gives others."
    )


def _cells(head: str, row: dict[Any, Any]) -> list[str]:
    channel = str(row["channel"])
    name = _CONFIGURATIONS.get(channel, "OR, RR")
    if channel not in ("O", "C"):
        name += f", {row['set']}"
    times = [number(float(row[step]), 1) for step in _STEPS]
    return [head, name, *times, number(float(row["total"]) / float(row["segment"]), 2)]


def _note(table: pd.DataFrame) -> str:
    machines = "; ".join(dict.fromkeys(map(str, table["machine"])))
    first = table.iloc[0]
    count, repeats = int(first["images"]), int(first["repeats"])
    return (
        f"Medians over {count} test image{'s' if count != 1 else ''}, each the median of {repeats} "
        f"call{'s' if repeats != 1 else ''}, one image at a time in one process, after a first one "
        f"that does not count. Encoding and decoding run on the processor. Machine: {machines}."
    )


def _rows(table: pd.DataFrame) -> list[dict[Any, Any]]:
    rows: list[dict[Any, Any]] = table.to_dict("records")
    return rows
