"""Accuracy against the bytes of a test image, recipes beside each other (expert-training paper,
Fig. 4)."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ratewise.files import write_atomically
from ratewise.report.analysis.recipes import EXPERT, FINETUNE, ordered, title_of
from ratewise.report.bitstreams import from_bitstreams
from ratewise.report.metric import TOP1, Metric, metric_of
from ratewise.report.palette import Style, family_style
from ratewise.report.plots import log_rate
from ratewise.report.svg import drawing, legend_columns, new_figure, svg
from ratewise.report.tables import SETTINGS, configuration_table

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

_LINES = {EXPERT: "-", FINETUNE: "--"}
_OTHERS = (":", "-.")
_WAYS = ("-", "--", ":", "-.")

_FOLDERS = re.compile(r"=[^,=]*/")
"""Of files in specs, which a legend has no room for."""


@dataclass(frozen=True)
class Line:
    """A codec family under one recipe, points from few bytes to many.

    ``rows`` are those of :func:`~ratewise.report.tables.configuration_table`.
    """

    name: str
    style: Style
    rows: pd.DataFrame


@dataclass(frozen=True)
class Curves:
    """The lines of one data set, preparation, task and model; ``label`` tells it from others."""

    label: str
    lines: Sequence[Line]


def curves(results: pd.DataFrame) -> list[Curves]:
    """The lines of models trained and tested on one codec, for a classification or for several
    recipes, where the rows know the bytes per test image; elsewhere the rate says the same.

    Where a codec is a model itself, those trained on originals too (:func:`with_bitstreams`).
    """
    if results.empty or "test_bytes_per_image" not in results:
        return []
    if from_bitstreams(results).any():
        return with_bitstreams(results)
    metric = metric_of(results)
    if metric is not TOP1 and results["recipe"].nunique() < 2:
        return []
    kept = (results["train_channel"] == "C") & (results["test_channel"] == "C")
    kept &= results["train_codec"] == results["test_codec"]
    table = configuration_table(results[kept]).dropna(subset=[metric.name, "test_bytes_per_image"])
    table = table[table["train_share"] == ""]
    apart = list(SETTINGS[:-1])
    vary = [name for name in apart if table[name].nunique() > 1]
    found = []
    for _, own in table.groupby(apart, sort=False):
        recipes = ordered(list(own["recipe"]))
        lines = [
            Line(
                f"{family}, {title_of(recipe)}" if len(recipes) > 1 else str(family),
                _style(str(family), recipe, recipes),
                rows.sort_values("test_bytes_per_image"),
            )
            for family, of_family in own.groupby("family", sort=False)
            for recipe in recipes
            if len(rows := of_family[of_family["recipe"] == recipe])
        ]
        found.append(Curves(" · ".join(str(own.iloc[0][name]) for name in vary), lines))
    return found


def with_bitstreams(results: pd.DataFrame) -> list[Curves]:
    """Masks read from a codec's files beside models of the task on decoded images (OC, CC): the
    lines of one data set, preparation and task in one plot."""
    metric = metric_of(results)
    matched = (results["train_channel"] == "C") & (results["train_codec"] == results["test_codec"])
    kept = (results["test_channel"] == "C") & (matched | (results["train_channel"] == "O"))
    table = configuration_table(results[kept]).dropna(subset=[metric.name, "test_bytes_per_image"])
    table = table[table["train_share"] == ""]
    read = from_bitstreams(table)
    models = _told_apart(table.loc[~read, "model"])
    recipes = table.loc[~read, "recipe"].nunique() > 1 or len(models) < 2
    table["way"] = [
        title_of(recipe)
        if of_codec
        else ", ".join([*[title_of(recipe)] * recipes, *[models[model]] * (len(models) > 1), pair])
        for recipe, model, pair, of_codec in zip(
            table["recipe"], table["model"], table["pair"], read, strict=True
        )
    ]
    ways = list(dict.fromkeys([*table.loc[read, "way"], *table["way"]]))
    apart = list(SETTINGS[:-2])
    vary = [name for name in apart if table[name].nunique() > 1]
    found = []
    for _, own in table.groupby(apart, sort=False):
        lines = []
        for (family, way), rows in own.groupby(["family", "way"], sort=False):
            before = family_style(str(family))
            style = Style(before.colour, before.marker, _WAYS[ways.index(way) % len(_WAYS)])
            name = f"{_FOLDERS.sub('=', str(family))}, {way}"
            lines.append(Line(name, style, rows.sort_values("test_bytes_per_image")))
        found.append(Curves(" · ".join(str(own.iloc[0][name]) for name in vary), lines))
    return found


def _told_apart(models: Iterable[str]) -> dict[str, str]:
    """The first word of each model's name, or all of it if two begin with one word."""
    names = dict.fromkeys(str(model) for model in models)
    short = {name: name.partition(" ")[0] for name in names}
    return short if len(set(short.values())) == len(short) else {name: name for name in names}


def panel(drawn: Curves, metric: Metric) -> str:
    """The plot as SVG."""
    label = ", ".join(x for x in (f"{metric.title} against bytes per image", drawn.label) if x)
    with drawing(label):
        figure = new_figure(6.6, 3.9)
        _draw(figure.subplots(), drawn, metric)
        return svg(figure, label)


def bytes_png(everything: Sequence[Curves], metric: Metric, path: Path) -> None:
    """Write the plots as one PNG, one beside the other, with a legend."""
    buffer = io.BytesIO()
    with drawing(rule="#C9CCD1"):
        labels = list(keys(everything))
        width = max(8.0, 6.6 * len(everything))
        columns = legend_columns(width, labels)
        figure = new_figure(width, 4.0 + 0.22 * -(-len(labels) // columns))
        cells = figure.subplots(1, len(everything), squeeze=False)[0]
        handles: dict[str, Any] = {}
        for axes, drawn in zip(cells, everything, strict=True):
            _draw(axes, drawn, metric)
            axes.set_title(drawn.label)
            found, names = axes.get_legend_handles_labels()
            handles.update(zip(names, found, strict=True))
        lines = [handles[name] for name in labels]
        figure.legend(lines, labels, loc="outside lower center", ncols=columns, frameon=False)
        figure.savefig(buffer, format="png", dpi=120, metadata={"Software": None})
    write_atomically(path, buffer.getvalue())


def keys(everything: Iterable[Curves]) -> dict[str, Style]:
    """What a legend shows."""
    return {line.name: line.style for drawn in everything for line in drawn.lines}


def _draw(axes: Axes, drawn: Curves, metric: Metric) -> None:
    sizes: list[float] = []
    for line in drawn.lines:
        rows, style = line.rows, line.style
        sizes += [float(value) for value in rows["test_bytes_per_image"]]
        axes.errorbar(
            rows["test_bytes_per_image"], 100 * rows[metric.name],
            yerr=100 * rows[f"{metric.name} std"].fillna(0), color=style.colour,
            marker=style.marker, linestyle=style.line, capsize=2.5, label=line.name,
            markerfacecolor=style.colour if style.line == "-" else "none",
        )  # fmt: skip
    log_rate(axes, sizes, "bytes per image", "{:,.0f}".format)
    axes.set_ylabel(f"{metric.title} (points)")


def _style(family: str, recipe: str, recipes: Sequence[str]) -> Style:
    """The colour and marker of the family, the line of the recipe: solid for expert training, and
    for a recipe that is alone."""
    style = family_style(family)
    if len(recipes) == 1:
        return style
    others = [name for name in recipes if name not in _LINES]
    line = _LINES.get(recipe) or _OTHERS[others.index(recipe) % len(_OTHERS)]
    return Style(style.colour, style.marker, line)
