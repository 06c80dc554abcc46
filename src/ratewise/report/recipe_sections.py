"""The sections of a report about recipes: Table I, Fig. 4 and Fig. 5 of the expert-training paper.

Each is empty where the rows that it is about are absent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ratewise.report.analysis.matrix import matrices
from ratewise.report.analysis.recipes import (
    compare,
    gain_sentence,
    pooled_sentences,
    recipe_table,
    title_of,
)
from ratewise.report.bitstreams import from_bitstreams
from ratewise.report.bytes_plot import curves, keys, panel
from ratewise.report.heat_maps import panels, scale
from ratewise.report.html import element, grouped_table, line_key, section, wrap
from ratewise.report.metric import metric_of
from ratewise.report.text import number

if TYPE_CHECKING:
    import pandas as pd


def recipes(
    results: pd.DataFrame, codecs: Sequence[str] = (), pooled: pd.DataFrame | None = None
) -> str:
    """Recipes beside each other at each operating point (Table I).

    ``pooled`` are the differences over all points (:mod:`ratewise.study.analysis.pooled`).
    """
    found = compare(results, codecs)
    if not found:
        return ""
    table, metric = recipe_table(found), metric_of(results)
    said = [text for comparison in found if (text := gain_sentence(comparison))]
    said += [] if pooled is None else pooled_sentences(pooled)
    note = (
        f"Scores are {metric.title} in points, mean ± sample standard deviation over seeds. "
        "Recipes that learn from compressed images are trained and tested on the codec (CC), those "
        "that learn from originals alone are tested on it (OC); that of originals is OO for all."
    )
    if said:
        baselines = " or ".join(dict.fromkeys(title_of(c.baseline) for c in found if c.has_gain))
        note += f" The gain is expert training minus {baselines}, paired by seed."
    return section(
        "Recipes",
        *(element("p", text, class_="says") for text in said),
        grouped_table(table.titles, table.rows, table.words),
        element("p", note, class_="quiet"),
    )


def generalisation(results: pd.DataFrame, codecs: Sequence[str] = ()) -> str:
    """Heat maps of what a model trained on one codec is worth on the others (Fig. 5)."""
    found = matrices(results, codecs)
    if not found:
        return ""
    metric = metric_of(results)
    parts = []
    for one in found:
        low, high = (number(100 * value) for value in scale(one.maps))
        figures = [
            wrap("figure", [element("figcaption", title), drawn]) for title, drawn in panels(one)
        ]
        parts += [
            element("h3", one.label) if one.label else "",
            wrap("div", figures, class_="plots wide"),
            *(element("p", matrix.sentence) for matrix in one.maps if matrix.sentence),
            element("p", f"The colour of scores goes from {low} to {high}.", class_="quiet"),
        ]
    note = (
        f"Scores are {metric.title} in points, means over seeds. Each row is a model trained on "
        "the codec at its left, each column what models are tested on; on the diagonal both are "
        "the same."
    )
    if any(m.has_reference for one in found for m in one.maps):
        note += " The row above is the pre-trained model, which was trained on none of them."
    if any(m.difference for one in found for m in one.maps):
        note += " In the map of differences blue is a gain, orange a loss, paired by seed."
    return section(
        "Trained on one codec, tested on another", *parts, element("p", note, class_="quiet")
    )


def accuracy_by_bytes(results: pd.DataFrame) -> str:
    """The main metric against the bytes of a test image (Fig. 4)."""
    found = curves(results)
    if not found:
        return ""
    metric = metric_of(results)
    legend = [
        wrap("span", [line_key(style), element("span", name)])
        for name, style in keys(found).items()
    ]
    figures = [
        wrap(
            "figure",
            [element("figcaption", one.label) if one.label else "", panel(one, metric)],
        )
        for one in found
    ]
    note = (
        "Models trained and tested on the same codec; bytes are the mean of the test images' "
        "files. Error bars are one standard deviation over seeds."
    )
    if from_bitstreams(results).any():
        note = (
            "Models of the task on decoded images, trained on originals (OC) or on the codec's "
            "(CC), beside masks that a codec's own files hold. Bytes are the mean of the test "
            "images' files, or of the parts of them that the masks need. Error bars are one "
            "standard deviation over seeds."
        )
    return section(
        "Accuracy against bytes per image",
        wrap("div", legend, class_="legend"),
        wrap("div", figures, class_="plots wide"),
        element("p", note, class_="quiet"),
    )
