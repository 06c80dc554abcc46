"""Plots of result rows: inline SVG that follows the page's colours, and PNG for documents.

matplotlib draws without a display and without a date or random ids, so that the same rows give the
same bytes with the same matplotlib.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ratewise.files import write_atomically
from ratewise.report.metric import Metric, metric_of
from ratewise.report.naming import REFERENCE, channels_of, shown_split
from ratewise.report.palette import configuration_styles, family_style
from ratewise.report.svg import drawing, legend_columns, new_figure, svg
from ratewise.report.tables import ORIGINALS, configuration_table, family

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


MANY = 8
"""More configurations than these are drawn apart, in the groups of :func:`groups`."""


@dataclass(frozen=True)
class Group:
    """Configurations that are drawn together; ``title`` is empty where there is one group only."""

    title: str
    names: tuple[str, ...]


def groups(names: Sequence[str]) -> list[Group]:
    """The configurations in groups that can be read: up to :data:`MANY` together; else by what
    models are tested on, those with image shares (``CO#25%``) apart, those with privileged shares
    and with another restorer than the first left to the tables of their own. OO is in each."""
    if len(names) <= MANY:
        return [Group("", tuple(names))]
    first: dict[str, str] = {}
    for name in names:  # RO(a) and RO(b) differ in the restorer alone
        first.setdefault(name.partition("(")[0] + name.partition(")")[2], name)
    whole = [n for n in first.values() if "@" not in n]
    parts = {
        "Tested on originals": [n for n in whole if "#" not in n and channels_of(n)[-1] == "O"],
        "Tested on compressed or restored images": [
            n for n in whole if "#" not in n and channels_of(n)[-1] != "O"
        ],
        "Trained on fewer images": [n for n in whole if "#" in n],
    }
    reference = [n for n in names if channels_of(n) == REFERENCE and "#" not in n]
    return [
        Group(title, tuple(dict.fromkeys([*reference, *own])))
        for title, own in parts.items()
        if set(own) - set(reference)
    ]


def accuracy_panels(results: pd.DataFrame) -> list[tuple[Group, list[tuple[str, str]]]]:
    """``(codec family, SVG)`` of the main metric against rate, one per family, for each group of
    configurations; those of a group share the axis of the metric.

    A line per configuration with error bars over seeds; configurations without a codec (OO) are
    horizontal lines with their spread as a band. No panel where no compressed point has a score.
    """
    metric = metric_of(results)
    table = configuration_table(results).dropna(subset=[metric.name])
    drawn = []
    for group in groups(list(dict.fromkeys(table["configuration"]))):
        own = table[table["configuration"].isin(group.names)]
        limits = _limits(own, metric)
        panels = []
        for name in _families(own):
            what = f"{metric.title} against bits per pixel"
            label = ", ".join([what, name, group.title]).strip(", ")
            with drawing(label):  # the salt of its ids: they must differ between figures of a page
                figure = new_figure(4.6, 3.3)
                _draw_accuracy(figure.subplots(), own, name, limits, metric)
                panels.append((name, svg(figure, label)))
        if panels:
            drawn.append((group, panels))
    return drawn


def accuracy_png(results: pd.DataFrame, path: Path) -> None:
    """Write the main metric against rate as one PNG: a panel per codec family, with a legend; a
    row of them for each group of configurations."""
    metric = metric_of(results)
    table = configuration_table(results).dropna(subset=[metric.name])
    names = _families(table) or [ORIGINALS]
    rows = groups(list(dict.fromkeys(table["configuration"]))) or [Group("", ())]
    handles: dict[str, Any] = {}
    buffer = io.BytesIO()
    with drawing(rule="#C9CCD1"):
        figure = new_figure(4.6 * len(names), 3.9 * len(rows))
        cells = figure.subplots(len(rows), len(names), squeeze=False)
        for group, line in zip(rows, cells, strict=True):
            own = table[table["configuration"].isin(group.names)]
            limits = _limits(own, metric)
            for axes, name in zip(line, names, strict=True):
                _draw_accuracy(axes, own, name, limits, metric)
                axes.set_title(f"{name}: {group.title.lower()}" if group.title else name)
                found, labels = axes.get_legend_handles_labels()
                handles.update(zip(labels, found, strict=True))
        if handles:
            lines, labels = list(handles.values()), list(handles)
            columns = legend_columns(figure.get_figwidth(), labels)
            figure.legend(lines, labels, loc="outside lower center", ncols=columns, frameon=False)
        figure.savefig(buffer, format="png", dpi=120, metadata={"Software": None})
    write_atomically(path, buffer.getvalue())


def rate_distortion_panel(rates: pd.DataFrame) -> tuple[str, str] | None:
    """``(split, SVG)`` of PSNR against rate of the stores, a line per codec family; or None.

    One split is drawn: the one that models are tested on where it is named so, else the last.
    """
    stores = rates[_finite(rates["psnr"]) & _finite(rates["bpp"])]
    if stores.empty:
        return None
    split = shown_split(stores["split"].astype(str))
    stores = stores[stores["split"].astype(str) == split].sort_values("bpp")
    families = [family(str(codec)) for codec in stores["codec"]]
    label = f"PSNR against bits per pixel, {split} split"
    with drawing(label):
        figure = new_figure(4.6, 3.3)
        axes = figure.subplots()
        for name in dict.fromkeys(families):
            style, found = family_style(name), stores[[other == name for other in families]]
            axes.plot(
                found["bpp"], found["psnr"], color=style.colour, marker=style.marker, label=name
            )
        log_rate(axes, [float(value) for value in stores["bpp"]])
        axes.set_ylabel("PSNR (dB)")
        axes.legend(frameon=False)
        return split, svg(figure, label)


def _draw_accuracy(
    axes: Axes, table: pd.DataFrame, name: str, limits: tuple[float, float], metric: Metric
) -> None:
    rates: list[float] = []
    main, spread = metric.name, f"{metric.name} std"
    styles = configuration_styles(list(dict.fromkeys(table["configuration"])))
    for configuration, rows in table.groupby("configuration", sort=False):
        style = styles[str(configuration)]
        flat = rows[rows["codec"] == ORIGINALS]
        for mean, std in zip(flat[main], flat[spread], strict=True):
            axes.axhline(
                100 * mean, color=style.colour, linestyle=style.line, linewidth=1.3,
                label=str(configuration),
            )  # fmt: skip
            if std == std:
                axes.axhspan(
                    100 * (mean - std), 100 * (mean + std), color=style.colour, alpha=0.12, lw=0
                )
        found = rows[(rows["family"] == name) & (rows["codec"] != ORIGINALS)].sort_values("rate")
        if found.empty:
            continue
        rates += [float(value) for value in found["rate"]]
        axes.errorbar(
            found["rate"], 100 * found[main], yerr=100 * found[spread].fillna(0),
            color=style.colour, marker=style.marker, linestyle=style.line, capsize=2.5,
            markerfacecolor="none" if style.line != "-" else style.colour,
            label=str(configuration),
        )  # fmt: skip
    log_rate(axes, rates)
    axes.set_ylim(*limits)
    axes.set_ylabel(f"{metric.title} (points)")


def log_rate(
    axes: Axes,
    rates: Sequence[float],
    title: str = "bits per pixel",
    spelled: Callable[[float], str] = "{:.2g}".format,
) -> None:
    """A logarithmic rate axis whose ticks are the measured rates, as far as they have room."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    axes.set_xlabel(title)
    shown = sorted({rate for rate in rates if rate > 0})
    if not shown:
        return
    axes.set_xscale("log")
    axes.set_xlim(shown[0] / 1.2, shown[-1] * 1.2)
    room = (1.44 * shown[-1] / shown[0]) ** 0.13  # a label takes about an eighth of the axis
    ticks = shown[:1]
    for rate in shown[1:]:
        if rate > ticks[-1] * room:
            ticks.append(rate)
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: spelled(value)))
    axes.xaxis.set_minor_locator(NullLocator())


def _families(table: pd.DataFrame) -> list[str]:
    found = table[(table["codec"] != ORIGINALS) & _finite(table["rate"])]
    return [str(name) for name in dict.fromkeys(found["family"])]


def _limits(table: pd.DataFrame, metric: Metric) -> tuple[float, float]:
    if table.empty:
        return 0.0, 100.0
    mean, std = table[metric.name], table[f"{metric.name} std"].fillna(0)
    low, high = 100 * (mean - std).min(), 100 * (mean + std).max()
    margin = max(0.08 * (high - low), 0.5)
    return float(low - margin), float(high + margin)


def _finite(values: pd.Series[Any]) -> pd.Series[bool]:
    import numpy as np
    import pandas as pd

    return pd.Series(np.isfinite(pd.to_numeric(values, errors="coerce")), index=values.index)
