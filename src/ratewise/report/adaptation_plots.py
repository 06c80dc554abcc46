"""Plots of a comparison of adaptations: quality against rate, gain against images and size."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ratewise.files import write_atomically
from ratewise.report.adaptation_tables import curves, grid
from ratewise.report.palette import INK, Style
from ratewise.report.plots import log_rate
from ratewise.report.svg import drawing, new_figure, svg
from ratewise.study.adaptation.tables import ADAPTED, BEFORE, SOURCE, Comparison

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

_METHODS = {
    SOURCE: (INK, "D"),
    "finetune": ("#D55E00", "o"),
    "cawf": ("#1F83C9", "^"),
    "cawf_maps": ("#009E73", "v"),
    "low_rank": ("#CC79A7", "s"),
}
_LINES = ("-", "--", ":", "-.")

Keys = dict[str, Style]
"""What a legend shows."""


def styles(comparison: Comparison) -> Keys:
    """The style of each label: a colour for its method, another line for each of a method."""
    methods = comparison.points[["label", "method"]].drop_duplicates()
    found: Keys = {}
    seen: dict[str, int] = {}
    for label, method in methods.itertuples(index=False):
        index = seen[method] = seen.get(method, -1) + 1
        colour, marker = _METHODS[method]
        found[str(label)] = Style(colour, marker, _LINES[index % len(_LINES)])
    return found


def rate_panels(comparison: Comparison, target: str) -> tuple[Keys, list[tuple[str, str]]]:
    """PSNR against rate on ``target`` and on the source's domain, adapted to ``target``.

    Returns the legend and ``(title, SVG)``: a line for the source and each way that has a curve.
    """
    keys: Keys = {}
    panels = []
    for domain, title in (("target", target), (SOURCE, "the source's domain")):
        label = f"PSNR against bits per pixel on {title}, adapted to {target}"
        with drawing(label):
            figure = new_figure(4.6, 3.3)
            drawn = _rates(figure.subplots(), comparison, target, domain)
            keys |= drawn
            if len(drawn) > 1:
                panels.append((f"on {title}", svg(figure, label)))
    return keys, panels


def grid_panels(comparison: Comparison, target: str) -> tuple[Keys, list[tuple[str, str]]]:
    """What lambda D + R loses on ``target`` by the number of images, and by the size.

    Returns the legend of labels and ``(title, SVG)``; nothing where one number of images was tried.
    """
    import pandas as pd

    rows = pd.DataFrame([row for row in grid(comparison.bdrate) if row["target"] == target])
    keys: Keys = {}
    panels: list[tuple[str, str]] = []
    if rows.empty:
        return keys, panels
    known = styles(comparison)
    for column, title in (("images", "images"), ("size", "parameters added or changed (%)")):
        label = f"lambda D + R on {target} against {title}"
        with drawing(label):
            figure = new_figure(4.6, 3.3)
            axes = figure.subplots()
            if column == "images":
                for name, own in rows.groupby("label", sort=False):
                    keys[str(name)] = known[str(name)]
                    _gain_line(axes, own, "images", known[str(name)], str(name))
            else:
                _by_size(axes, rows, known)
            _log_axis(axes, [value * (100 if column == "size" else 1) for value in rows[column]])
            axes.set(xlabel=title, ylabel="lambda D + R (%)")
            axes.axhline(0, color=INK, linewidth=0.8)
            panels.append((f"against {title}", svg(figure, label)))
    return keys, panels


def draw_rates(comparison: Comparison, path: Path) -> None:
    """Write a PNG: PSNR against rate, a row for each target, on target and source."""
    from matplotlib.figure import Figure

    targets = list(dict.fromkeys(comparison.points["target"]))
    figure = Figure(figsize=(10, 4.2 * len(targets)), layout="constrained")
    grid_of = figure.subplots(len(targets), 2, squeeze=False)
    keys: Keys = {}
    for row, target in zip(grid_of, targets, strict=True):
        for axes, domain in zip(row, ("target", SOURCE), strict=True):
            keys |= _rates(axes, comparison, target, domain)
            on = target if domain == "target" else "the source's domain"
            axes.set_title(f"adapted to {target}, on {on}", fontsize=10)
            axes.grid(color="#DDDFE3", linewidth=0.6)
            axes.spines[["top", "right"]].set_visible(False)
    handles = {line.get_label(): line for axes in grid_of.flat for line in axes.get_lines()}
    figure.legend(
        [handles[name] for name in keys], list(keys), loc="outside lower center", ncols=4,
        frameon=False,
    )  # fmt: skip
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120, metadata={"Software": None})
    write_atomically(path, buffer.getvalue())


def _rates(axes: Axes, comparison: Comparison, target: str, domain: str) -> Keys:
    """Draw the source and each way that has a curve; their styles by name."""
    points, known = comparison.points, styles(comparison)
    here = points[(points["target"] == target) & (points["domain"] == domain)]
    lines: list[tuple[str, pd.DataFrame]] = [(SOURCE, here[here["choice"] == BEFORE])]
    ways = [row for row in curves(comparison.bdrate, domain) if row["target"] == target]
    for row in ways:
        own = here[(here["label"] == row["label"]) & (here["images"] == row["images"])]
        several = len([way for way in ways if way["label"] == row["label"]]) > 1
        name = f"{row['label']} ({row['images']} images)" if several else str(row["label"])
        lines.append((name, own[own["choice"] == ADAPTED]))
    keys: Keys = {}
    for name, own in lines:
        style = known[name.partition(" ")[0]]
        _line(axes, own["bpp"], own["psnr"], style, name)
        keys[name] = style
    log_rate(axes, [float(rate) for _, own in lines for rate in own["bpp"]])
    axes.set_ylabel("PSNR (dB)")
    return keys


def _by_size(axes: Axes, rows: pd.DataFrame, known: Keys) -> None:
    """A line of cawf for each number of images, and a marker for each other way, of most images."""
    for index, (count, own) in enumerate(rows[rows["method"] == "cawf"].groupby("images")):
        colour, marker = _METHODS["cawf"]
        style = Style(colour, marker, _LINES[index % len(_LINES)])
        own = own.assign(size=100 * own["size"]).sort_values("size")
        _gain_line(axes, own, "size", style, str(count))
        last = own.iloc[-1]
        axes.annotate(
            f"{count} images", (last["size"], last["cost_change_percent"]),
            xytext=(6, 0), textcoords="offset points", va="center", fontsize=8,
        )  # fmt: skip
    others = rows[(rows["method"] != "cawf") & (rows["images"] == rows["images"].max())]
    for name, own in others.groupby("label", sort=False):
        _gain_line(axes, own.assign(size=100 * own["size"]), "size", known[str(name)], str(name))


def _gain_line(axes: Axes, rows: pd.DataFrame, column: str, style: Style, name: str) -> None:
    own = rows.sort_values(column)
    _line(axes, own[column], own["cost_change_percent"], style, name)


def _line(axes: Axes, x: Any, y: Any, style: Style, name: str) -> None:
    axes.plot(
        list(x), list(y), color=style.colour, marker=style.marker, linestyle=style.line,
        linewidth=1.6, markersize=5, label=name,
        markerfacecolor=style.colour if style.line == "-" else "none",
    )  # fmt: skip


def _log_axis(axes: Axes, values: Sequence[float]) -> None:
    """A logarithmic axis with the values that were tried as its ticks."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    axes.set_xscale("log")
    known = sorted({float(f"{value:.2g}") for value in values})
    spaced = [value for i, value in enumerate(known) if not i or value > 1.25 * known[i - 1]]
    axes.xaxis.set_major_locator(FixedLocator(spaced))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
