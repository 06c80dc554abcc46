"""The rate-distortion plot of ``ratewise codec bench``: quality against bits per pixel."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ratewise.codecs import family
from ratewise.files import write_atomically
from ratewise.report.palette import Style, family_style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

_PANELS = (("psnr", "PSNR (dB)"), ("ms_ssim_db", "MS-SSIM (dB)"))
_LINES = ("-", "--", ":", "-.")
_MARGIN = 1.25


def plot_rate_distortion(summary: pd.DataFrame, path: Path) -> None:
    """Draw ``summary`` (a bench's) to a PNG: PSNR and MS-SSIM in dB against bits per pixel.

    One line per codec family, which is the spec without its operating point; a family of one
    point is a marker. Points that have no finite value (a lossless codec has no PSNR) are left
    out, and a panel without any says so.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.4), layout="constrained")
    styles = _styles([family(str(spec)) for spec in summary["codec"]])
    handles: dict[str, Any] = {}
    for axes, (column, label) in zip(figure.subplots(1, 2), _PANELS, strict=True):
        drawn = _draw(axes, summary, column, styles)
        axes.set(xlabel="bits per pixel", ylabel=label)
        axes.grid(color="#DDDFE3", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        if not drawn:
            axes.text(0.5, 0.5, "no finite values", ha="center", transform=axes.transAxes)
        handles |= drawn
    if handles:
        figure.legend(
            list(handles.values()),
            list(handles),
            loc="outside lower center",
            ncols=5,
            frameon=False,
        )
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120, metadata={"Software": None})
    write_atomically(path, buffer.getvalue())


def _draw(
    axes: Axes, summary: pd.DataFrame, column: str, styles: dict[str, Style]
) -> dict[str, Any]:
    """Draw a line per family; the lines by family."""
    drawn: dict[str, Any] = {}
    rates: list[float] = []
    families = [family(str(spec)) for spec in summary["codec"]]
    for name, style in styles.items():
        own = summary[[other == name for other in families]].sort_values("bpp")
        rate = own["bpp"].to_numpy(float)
        quality = own[column].to_numpy(float)
        finite = np.isfinite(rate) & np.isfinite(quality)
        if not finite.any():
            continue
        rates += rate[finite].tolist()
        (drawn[name],) = axes.plot(
            rate[finite],
            quality[finite],
            color=style.colour,
            marker=style.marker,
            linestyle=style.line,
            linewidth=1.8,
            label=name,
        )
    if rates:
        _log_axis(axes, min(rates), max(rates))
    return drawn


def _log_axis(axes: Axes, low: float, high: float) -> None:
    """A logarithmic rate axis with a readable number of plain tick labels."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axes.set_xscale("log")
    axes.set_xlim(low / _MARGIN, high * _MARGIN)
    wide = high / low > 30
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 3) if wide else (1, 1.5, 2, 3, 5, 7)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())


def _styles(families: list[str]) -> dict[str, Style]:
    """A style per family; variants of one codec keep its colour and differ in the line."""
    styles: dict[str, Style] = {}
    seen: dict[str, int] = {}
    for name in dict.fromkeys(families):
        codec = name.split(":")[0]
        index = seen[codec] = seen.get(codec, -1) + 1
        base = family_style(codec)
        styles[name] = Style(base.colour, base.marker, _LINES[index % len(_LINES)])
    return styles
