"""Semantic information loss, estimated from the cross-entropies of OO and CC."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ratewise.report.analysis.table import Table
from ratewise.report.html import element, section, table_of
from ratewise.report.measured.sets import codecs_by_rate, point_name
from ratewise.report.text import MISSING, number

if TYPE_CHECKING:
    import pandas as pd

_DIGITS = 4


def information(table: pd.DataFrame) -> str:
    """The section, from the table of :class:`ratewise.study.analysis.findings.Findings`."""
    if table.empty:
        return ""
    rows, shown = _rows(table), information_table(table)
    return section(
        "How much of what the labels tell is lost",
        element("p", sentence(rows)),
        table_of(shown.titles, shown.rows),
        element("p", _note(rows), class_="quiet"),
    )


def information_table(table: pd.DataFrame) -> Table:
    """The cross-entropies and their difference at each rate."""
    titles = [
        *("codec", "OO, bits per pixel", "CC, bits per pixel", "loss", "95 % interval"),
        *("without temperature", "T of OO", "T of CC", "seeds", "images"),
    ]
    cells = [
        [
            point_name(row),
            number(row["cross_entropy_oo"], _DIGITS),
            number(row["cross_entropy_cc"], _DIGITS),
            _signed(row["loss"]),
            _interval(row),
            _signed(row["loss_uncalibrated"]),
            number(row["temperature_oo"], 2),
            number(row["temperature_cc"], 2),
            str(row["seeds"]),
            str(row["images"]),
        ]
        for row in _rows(table)
    ]
    return Table(titles, cells, words=(0,))


def _rows(table: pd.DataFrame) -> list[dict[Any, Any]]:
    return [table[table["codec"] == codec].iloc[0].to_dict() for codec in codecs_by_rate(table)]


def sentence(rows: list[dict[Any, Any]]) -> str:
    """The finding at the lowest rate, and that it is no bound."""
    row = min(rows, key=lambda row: float(row["bpp"]))
    loss, low, high = (float(row[name]) for name in ("loss", "low", "high"))
    more = "more" if loss > 0 else "fewer"
    text = (
        f"At {point_name(row)} a label costs a model of compressed images "
        f"{number(abs(loss), _DIGITS)} bits per pixel {more} than a model of originals: the "
        f"estimated semantic information loss is {_signed(loss)}"
    )
    text += f" (95 %: {_interval(row)})" if low == low else ""
    if low <= 0 <= high:
        text += ", which may be none"
    return (
        f"{text}. It is the difference of two lower bounds of informations, so it is itself no "
        "bound, and may be negative though the loss cannot."
    )


def _note(rows: list[dict[Any, Any]]) -> str:
    text = (
        "S = I(X, Y) - I(X^, Y), estimated as the unweighted cross-entropy of CC on compressed "
        "test images minus that of OO on originals, neither with a shift between training and "
        "test. Scores are divided by a temperature T that is fitted on one half of the test images "
        "(in order) and used on the other. The interval draws whole test frames again, the same "
        "for both models; neighbouring frames of a video are alike, which makes it too narrow"
    )
    if all(int(row["seeds"]) == 1 for row in rows):
        text += ". With one seed it knows nothing of how trainings differ."
    else:
        text += "; the spread between seeds is in it."
    if any(row["class_weights"] for row in rows):
        text += (
            " The models were trained with class weights, which tilts their probabilities in a way "
            "that a temperature does not undo: both cross-entropies are too large for it."
        )
    return text


def _signed(value: float) -> str:
    text = number(value, _DIGITS)
    return f"+{text}" if value > 0 else text


def _interval(row: dict[Any, Any]) -> str:
    low, high = float(row["low"]), float(row["high"])
    return f"{_signed(low)} to {_signed(high)}" if low == low else MISSING
