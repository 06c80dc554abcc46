"""Numbers as text, and tables as lists of strings for the terminal and for Markdown.

Scores between 0 and 1 are written in points (times 100); "-" stands for a missing value.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from ratewise.report.crossed import without_crossed
from ratewise.report.metric import metric_of
from ratewise.report.tables import class_names, class_table, configuration_table, group_names

if TYPE_CHECKING:
    import pandas as pd

MISSING = "-"


def number(value: float | None, digits: int = 1) -> str:
    """``value`` with so many decimals; "-" for None and NaN; never "-0.0"."""
    if value is None or value != value:
        return MISSING
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if not text.strip("-0.") else text


def signed(value: float, digits: int, unit: str) -> str:
    """A difference with its sign and unit: ``-12.3 %``, ``+0.40 dB``; "-" for NaN."""
    text = number(value, digits)
    sign = "+" if value > 0 and text.strip("0.") else ""
    return text if text == MISSING else f"{sign}{text}{unit}"


def quality(value: float, digits: int) -> str:
    """A quality in dB; where it is infinite the codec is lossless."""
    return "lossless" if value == math.inf else number(value, digits)


def points(value: float, std: float = float("nan"), digits: int = 1) -> str:
    """A score in points, with its spread where that is known: ``71.2 ± 0.4``."""
    text = number(100 * value, digits)
    return text if text == MISSING or std != std else f"{text} ± {number(100 * std, digits)}"


def signed_points(value: float, std: float = float("nan"), digits: int = 1) -> str:
    """A difference in points with its sign: ``-12.3 ± 0.8``, ``+0.4``."""
    text = points(value, std, digits)
    return f"+{text}" if value > 0 and text.partition(" ")[0].strip("0.") else text


def configuration_rows(results: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """The configuration table as (column titles, rows of text); crossed cells of matrices are left
    to these."""
    results, metric = without_crossed(results), metric_of(results)
    table, groups = configuration_table(results), group_names(results)
    further = metric.columns(results)
    main, of_groups = metric.name, [f"{metric.of_group}{name}" for name in groups]
    titles = ["codec", "configuration", "train bpp", "test bpp", metric.title, "to OO"]
    rows = [
        [
            str(row["codec"]),
            str(row["configuration"]),
            number(row["train_bpp"], 3),
            number(row["test_bpp"], 3),
            points(row[main], row[f"{main} std"]),
            signed_points(row[f"{main} difference"], row[f"{main} difference std"]),
            *(points(row[name], row[f"{name} std"]) for name in (*further, *of_groups)),
            str(row["seeds"]),
        ]
        for _, row in table.iterrows()
    ]
    named = [*further.values(), *(f"{metric.title} {name}" for name in groups)]
    return [*titles, *named, "seeds"], rows


def class_rows(results: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """The table of each class's score as (column titles, rows of text), without crossed cells."""
    results, prefix = without_crossed(results), metric_of(results).of_class
    table, classes = class_table(results), class_names(results)
    rows = [
        [
            str(row["codec"]),
            str(row["configuration"]),
            *(points(row[f"{prefix}{name}"], row[f"{prefix}{name} std"]) for name in classes),
        ]
        for _, row in table.iterrows()
    ]
    return ["codec", "configuration", *classes], rows


def markdown(
    titles: Sequence[str], rows: Sequence[Sequence[str]], left: Collection[int] = (0, 1)
) -> str:
    """A Markdown table; the columns ``left`` (text) are left-aligned, numbers to the right."""
    lines = [
        list(titles),
        [":--" if i in left else "--:" for i in range(len(titles))],
        *map(list, rows),
    ]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in r) + " |" for r in lines
    )
