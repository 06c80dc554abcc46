"""The section on the cost of collecting data (driving paper, Fig. 9)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ratewise.report.html import element, line_key, table_of, wrap
from ratewise.report.metric import Metric, metric_of
from ratewise.report.palette import INK, Style, distinct_styles
from ratewise.report.svg import drawing, new_figure, svg
from ratewise.report.text import number, points
from ratewise.study.advise.cost import (
    ORIGINALS,
    Point,
    cost_points,
    pareto_front,
    reference_cost,
    size_text,
)
from ratewise.study.budget import BUDGET

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

_NEAR = 0.01
_TESTED = {
    "O": "original images",
    "C": "compressed images",
    "R": "restored images",
    "A": "images restored by a network of another domain",
}


def cost(results: pd.DataFrame) -> str:
    """Accuracy against the bytes collected for training, in per cent of OO's, and who is on the
    Pareto front. Nothing where fewer than three costs are compared, or there is no OO. A model that
    was not trained here cost nothing here, and is left out."""
    if results.empty:
        return ""
    metric = metric_of(results)
    everything = cost_points(results)
    whole = reference_cost(everything)
    by_test = {letter: [p for p in everything if p.test == letter] for letter in _TESTED}
    panels = [
        (letter, found) for letter, found in by_test.items() if len({p.cost for p in found}) > 2
    ]
    if not whole or not panels:
        return ""
    finding = _budgets(everything)
    if len({p.curve for p in everything if p.curve[:2] == "OO" and not p.part}) == 1:
        finding = [*_finding(panels[0][1], whole, metric), *finding]  # else: which OO is meant?
    figures, tables = [], []
    styles = distinct_styles({p.curve for _, found in panels for p in found})
    for letter, found in panels:
        caption = f"Models used on {_TESTED[letter]}"
        drawn = _panel(found, whole, styles, _TESTED[letter], metric)
        figures.append(wrap("figure", [element("figcaption", caption), drawn]))
        tables += [element("h3", caption), _table(found, whole, metric)]
    keys = [
        wrap("span", [line_key(style), element("span", name)]) for name, style in styles.items()
    ]
    note = (
        "Cost is the bytes of the compressed images and of the originals that the model and its "
        "restorer are trained on, in per cent of those of OO; auxiliary data costs nothing. The "
        "larger the marker, the more bits per pixel; hollow: not all training images. The dashed "
        "line joins the Pareto front: what nothing cheaper is as accurate as. Error bars are one "
        "standard deviation over seeds."
    )
    return wrap(
        "section",
        [
            element("h2", "What the data cost"),
            *(element("p", sentence) for sentence in finding),
            wrap("div", keys, class_="legend"),
            wrap("div", figures, class_="plots wide"),
            element("p", note, class_="quiet"),
            *tables,
        ],
    )


def _finding(found: Sequence[Point], whole: float, metric: Metric) -> list[str]:
    """What the cheapest point within one point of OO costs, or how near the nearest comes."""
    reference = next((p for p in found if p.curve[:2] == "OO" and not p.part), None)
    cheaper = [p for p in found if p.cost < whole]
    if reference is None or not cheaper:
        return []
    one = f"one {metric.title} point"
    near = [p for p in cheaper if p.accuracy >= reference.accuracy - _NEAR]
    if near:
        first = min(near, key=lambda p: p.cost)
        return [
            f"{_percent(first, whole)} of OO's bytes are enough to come within {one} of "
            f"it: {_named(first)} reaches {points(first.accuracy, first.std)}, OO "
            f"{points(reference.accuracy, reference.std)}."
        ]
    best = max(cheaper, key=lambda p: p.accuracy)
    return [
        f"Nothing cheaper than OO comes within {one} of it "
        f"({points(reference.accuracy, reference.std)}); the nearest, {_named(best)}, reaches "
        f"{points(best.accuracy, best.std)} with {_percent(best, whole)} of its bytes."
    ]


def _budgets(everything: Sequence[Point]) -> list[str]:
    """For each budget that was studied: lossless storage against the best of what compresses."""
    sentences = []
    for part in dict.fromkeys(p.part for p in everything if p.test == "O"):
        if not re.fullmatch(f"#{BUDGET}", part):
            continue
        same = [p for p in everything if p.part == part and p.test == "O"]
        lossless = next((p for p in same if p.codec == ORIGINALS), None)
        others = [p for p in same if p.codec != ORIGINALS]
        if lossless is None or not others:
            continue
        best = max(others, key=lambda p: p.accuracy)
        budget = part[1:].replace("%B", " % of the originals' bytes")
        sentences.append(
            f"A budget of {budget} holds {_images(lossless)} losslessly, which train a model to "
            f"{points(lossless.accuracy, lossless.std)}; as {best.curve} at {best.codec} it holds "
            f"{_images(best)}, which train one to {points(best.accuracy, best.std)}."
        )
    return sentences


def _table(found: Sequence[Point], whole: float, metric: Metric) -> str:
    front = pareto_front(found)
    titles = ["configuration", "bpp", "images", "to collect", "of OO", metric.title, "Pareto front"]
    rows = [
        [
            _named(p),
            number(p.bpp, 3),
            number(p.images, 0),
            size_text(p.cost),
            _percent(p, whole),
            points(p.accuracy, p.std),
            "yes" if p in front else "",
        ]
        for p in sorted(found, key=lambda p: (p.cost, p.accuracy))
    ]
    return table_of(titles, rows)


def _panel(
    found: Sequence[Point],
    whole: float,
    styles: Mapping[str, Style],
    tested: str,
    metric: Metric,
) -> str:
    label = f"{metric.title} against cost, {tested}"
    with drawing(label):  # the salt of its ids: they must differ between figures of a page
        figure = new_figure(6.6, 3.9)
        axes = figure.subplots()
        sizes, front = _sizes(found), pareto_front(found)
        most = max(p.images for p in found)
        axes.plot(
            [100 * p.cost / whole for p in front],
            [100 * p.accuracy for p in front],
            color=INK, linestyle="--", linewidth=1.0, zorder=1,
        )  # fmt: skip
        for p, size in zip(found, sizes, strict=True):
            style = styles[p.curve]
            axes.errorbar(
                100 * p.cost / whole, 100 * p.accuracy,
                yerr=100 * p.std if p.std == p.std else None,
                color=style.colour, marker=style.marker, markersize=size, linestyle="none",
                markerfacecolor="none" if p.images < most else style.colour,
                capsize=2.5, elinewidth=1.0,
            )  # fmt: skip
        _cost_axis(axes, [100 * p.cost / whole for p in found])
        axes.set_ylabel(f"{metric.title} (points)")
        return svg(figure, label)


def _sizes(found: Sequence[Point]) -> list[float]:
    """Markers of 4 to 11 points, by the logarithm of the rate."""
    rates = np.log([p.bpp for p in found])
    low, high = float(rates.min()), float(rates.max())
    return [4 + 7 * (float(r) - low) / (high - low) if high > low else 6.0 for r in rates]


def _cost_axis(axes: Axes, costs: Sequence[float]) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    axes.set_xscale("log")
    low, high = min(costs) / 1.3, max(costs) * 1.3
    axes.set_xlim(low, high)
    steps = (1, 2, 5) if high / low < 1e3 else (1,)
    decades = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    ticks = [step * 10.0**decade for decade in decades for step in steps]
    axes.xaxis.set_major_locator(FixedLocator([t for t in ticks if low <= t <= high]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("bytes collected, % of OO's")


def _named(point: Point) -> str:
    codec = "" if point.codec == ORIGINALS else f" at {point.codec}"
    return f"{point.configuration}{codec}"


def _images(point: Point) -> str:
    count = round(point.images)
    return f"{count:,} image{'' if count == 1 else 's'}"


def _percent(point: Point, whole: float) -> str:
    return f"{100 * point.cost / whole:.3g} %"
