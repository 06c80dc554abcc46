"""Plots of what restoration does: to images (Fig. 6), and by the share of originals (Fig. 8)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ratewise.report.analysis.contexts import Context, Point
from ratewise.report.analysis.privileged import shares_used
from ratewise.report.analysis.restorers import one_split
from ratewise.report.palette import (
    Style,
    configuration_style,
    family_style,
    restorer_style,
    share_style,
)
from ratewise.report.plots import log_rate
from ratewise.report.svg import drawing, new_figure, svg
from ratewise.report.tables import ORIGINALS, family

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

Keys = dict[str, Style]
"""What a legend shows."""

_METRICS = {"psnr": "PSNR (dB)", "ms_ssim_db": "MS-SSIM (dB)"}


def distortion_panels(
    quality: pd.DataFrame, restorers: Sequence[str] = ()
) -> tuple[Keys, list[tuple[str, str]]]:
    """PSNR and MS-SSIM against bits per pixel, before and after restoration by R.

    Returns the legend and ``(title, SVG)``: a solid line per codec family before, a broken one per
    restorer after. ``restorers`` orders them. No panel for a metric without numbers.
    """
    rows = one_split(quality)
    rows = rows[rows["channel"] == "R"] if len(rows) else rows
    if rows.empty:
        return {}, []
    rows = rows.assign(family=[family(str(codec)) for codec in rows["codec"]])
    names = [*(n for n in restorers if n in set(rows["restorer"])), *rows["restorer"]]
    keys: Keys = {}
    panels = []
    for metric, title in _METRICS.items():
        if not rows[f"{metric}_after"].notna().any():
            continue
        label = f"{title} against bits per pixel, before and after restoration"
        with drawing(label):
            figure = new_figure(4.6, 3.3)
            axes = figure.subplots()
            for name, own in rows.groupby("family", sort=False):
                before = own.groupby("codec", sort=False)[["bpp", f"{metric}_before"]].mean()
                _line(axes, before, f"{metric}_before", keys, f"{name}", family_style(str(name)))
                for index, restorer in enumerate(dict.fromkeys(names)):
                    after = own[own["restorer"] == restorer]
                    style = restorer_style(str(name), index)
                    key = f"{name}, restored ({restorer})"
                    if len(after):
                        _line(axes, after, f"{metric}_after", keys, key, style)
            log_rate(axes, [float(value) for value in rows["bpp"]])
            axes.set_ylabel(title)
            panels.append((title, svg(figure, label)))
    return keys, panels


def privileged_panels(context: Context) -> tuple[Keys, list[tuple[str, str]]]:
    """mIoU against rate of oO@p and rO@p, with OO, CO and RO, a panel per codec family.

    Returns the legend and ``(family, SVG)``. What needs no codec is a horizontal line.
    """
    shares = shares_used(context)
    main = context.main_restorer
    lines = [(Point("OO"), configuration_style("OO")), (Point("CO"), configuration_style("CO"))]
    lines.append((Point("RO", "", main), configuration_style("RO")))
    for index, share in enumerate(shares):
        lines.append((Point("oO", share), share_style(index, alone=True)))
        lines.append((Point("rO", share, main), share_style(index, alone=False)))
    keys: Keys = {}
    panels = []
    for name in dict.fromkeys(context.family(codec) for codec in context.codecs()):
        used = [c for c in context.codecs() if context.family(c) == name]
        label = ", ".join(x for x in ("mIoU by privileged share", name, context.label) if x)
        with drawing(label):
            figure = new_figure(4.6, 3.3)
            axes = figure.subplots()
            for point, style in lines:
                if _accuracy(axes, context, point, used, style):
                    keys[point.name] = style
            log_rate(axes, [context.rate(codec) for codec in used])
            axes.set_ylabel("mIoU (points)")
            panels.append((name, svg(figure, label)))
    return keys, panels


def _line(axes: Axes, rows: pd.DataFrame, column: str, keys: Keys, name: str, style: Style) -> None:
    own = rows.sort_values("bpp")
    axes.plot(
        own["bpp"], own[column], color=style.colour, marker=style.marker, linestyle=style.line,
        markerfacecolor=style.colour if style.line == "-" else "none",
    )  # fmt: skip
    keys[name] = style


def _accuracy(
    axes: Axes, context: Context, point: Point, used: Sequence[str], style: Style
) -> bool:
    """Draw a point's line; False if it has no results."""
    if point.pair in ("OO", "oO"):
        values = context.seeds(point, ORIGINALS)
        if values.empty:
            return False
        axes.axhline(100 * values.mean(), color=style.colour, linestyle=style.line, linewidth=1.5)
        return True
    known = [
        (context.rate(codec), context.seeds(point, codec))
        for codec in used
        if context.has(point, codec)
    ]
    if not known:
        return False
    axes.errorbar(
        [rate for rate, _ in known], [100 * v.mean() for _, v in known],
        yerr=[100 * v.std() if len(v) > 1 else 0.0 for _, v in known], color=style.colour,
        marker=style.marker, linestyle=style.line, capsize=2.5,
    )  # fmt: skip
    return True
