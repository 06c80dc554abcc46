"""Plots of result rows: inline SVG that follows the page's colours, and PNG for documents.

matplotlib draws without a display and without a date or random ids, so that the same rows give the
same bytes with the same matplotlib.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ratewise.files import write_atomically
from ratewise.report.palette import configuration_style, family_style
from ratewise.report.svg import drawing, new_figure, svg
from ratewise.report.tables import ORIGINALS, configuration_table, family

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

_SPLITS = ("test", "val", "validation")


def accuracy_panels(results: pd.DataFrame) -> list[tuple[str, str]]:
    """``(codec family, SVG)`` of mIoU against rate, one per family; all share the mIoU axis.

    A line per configuration with error bars over seeds; configurations without a codec (OO) are
    horizontal lines with their spread as a band. No panel where no compressed point has an mIoU.
    """
    table = configuration_table(results).dropna(subset=["miou"])
    limits = _limits(table)
    panels = []
    for name in _families(table):
        label = f"mIoU against bits per pixel, {name}"
        with drawing(label):  # the salt of its ids: they must differ between figures of a page
            figure = new_figure(4.6, 3.3)
            _draw_accuracy(figure.subplots(), table, name, limits)
            panels.append((name, svg(figure, label)))
    return panels


def accuracy_png(results: pd.DataFrame, path: Path) -> None:
    """Write mIoU against rate as one PNG: a panel per codec family, with a legend."""
    table = configuration_table(results).dropna(subset=["miou"])
    names = _families(table) or [ORIGINALS]
    limits = _limits(table)
    handles: dict[str, Any] = {}
    buffer = io.BytesIO()
    with drawing(rule="#C9CCD1"):
        figure = new_figure(4.6 * len(names), 3.9)
        for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
            _draw_accuracy(axes, table, name, limits)
            axes.set_title(name)
            found, labels = axes.get_legend_handles_labels()
            handles.update(zip(labels, found, strict=True))
        if handles:
            lines, labels = list(handles.values()), list(handles)
            figure.legend(lines, labels, loc="outside lower center", ncols=6, frameon=False)
        figure.savefig(buffer, format="png", dpi=120, metadata={"Software": None})
    write_atomically(path, buffer.getvalue())


def rate_distortion_panel(rates: pd.DataFrame) -> tuple[str, str] | None:
    """``(split, SVG)`` of PSNR against rate of the stores, a line per codec family; or None.

    One split is drawn: the one that models are tested on where it is named so, else the last.
    """
    stores = rates[_finite(rates["psnr"]) & _finite(rates["bpp"])]
    if stores.empty:
        return None
    splits = list(dict.fromkeys(stores["split"].astype(str)))
    split = next((name for name in _SPLITS if name in splits), splits[-1])
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
        _log_rate(axes, [float(value) for value in stores["bpp"]])
        axes.set_ylabel("PSNR (dB)")
        axes.legend(frameon=False)
        return split, svg(figure, label)


def _draw_accuracy(axes: Axes, table: pd.DataFrame, name: str, limits: tuple[float, float]) -> None:
    rates: list[float] = []
    for configuration, rows in table.groupby("configuration", sort=False):
        style = configuration_style(str(configuration))
        flat = rows[rows["codec"] == ORIGINALS]
        for mean, std in zip(flat["miou"], flat["miou std"], strict=True):
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
            found["rate"], 100 * found["miou"], yerr=100 * found["miou std"].fillna(0),
            color=style.colour, marker=style.marker, linestyle=style.line, capsize=2.5,
            markerfacecolor="none" if style.line != "-" else style.colour,
            label=str(configuration),
        )  # fmt: skip
    _log_rate(axes, rates)
    axes.set_ylim(*limits)
    axes.set_ylabel("mIoU (points)")


def _log_rate(axes: Axes, rates: Sequence[float]) -> None:
    """A logarithmic rate axis whose ticks are the measured rates, as far as they have room."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    axes.set_xlabel("bits per pixel")
    shown = sorted({rate for rate in rates if rate > 0})
    if not shown:
        return
    axes.set_xscale("log")
    axes.set_xlim(shown[0] / 1.2, shown[-1] * 1.2)
    room = (shown[-1] / shown[0]) ** 0.1 * 1.02
    ticks = shown[:1]
    for rate in shown[1:]:
        if rate > ticks[-1] * room:
            ticks.append(rate)
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.2g}"))
    axes.xaxis.set_minor_locator(NullLocator())


def _families(table: pd.DataFrame) -> list[str]:
    found = table[(table["codec"] != ORIGINALS) & _finite(table["rate"])]
    return [str(name) for name in dict.fromkeys(found["family"])]


def _limits(table: pd.DataFrame) -> tuple[float, float]:
    if table.empty:
        return 0.0, 100.0
    std = table["miou std"].fillna(0)
    low, high = 100 * (table["miou"] - std).min(), 100 * (table["miou"] + std).max()
    margin = max(0.08 * (high - low), 0.5)
    return float(low - margin), float(high + margin)


def _finite(values: pd.Series[Any]) -> pd.Series[bool]:
    import numpy as np
    import pandas as pd

    return pd.Series(np.isfinite(pd.to_numeric(values, errors="coerce")), index=values.index)
