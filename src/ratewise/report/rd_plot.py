"""The plots of ``ratewise codec bench``: quality and CPU time against bits per pixel."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ratewise.codecs import family
from ratewise.files import write_atomically
from ratewise.report.palette import PUBLISHED_COLOURS, Style, family_style
from ratewise.report.svg import drawing, new_figure, svg

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

QUALITY = (("psnr", "PSNR (dB)"), ("ms_ssim_db", "MS-SSIM (dB)"))
"""Columns of a summary that are drawn as quality, and their labels."""

_LINES = ("-", "--", ":", "-.")
_MARGIN = 1.25


def plot_rate_distortion(
    summary: pd.DataFrame,
    path: Path,
    *,
    published: pd.DataFrame | None = None,
    panels: Sequence[tuple[str, str]] = QUALITY,
) -> None:
    """Draw ``summary`` (a bench's) to a PNG: PSNR and MS-SSIM in dB against bits per pixel.

    One line per codec family, which is the spec without its operating point; a family of one
    point is a marker. Points that have no finite value (a lossless codec has no PSNR) are left
    out, and a panel without any says so. ``published`` has points of others' curves, named by the
    column ``curve``: dashed lines without markers. ``panels`` are the columns and their labels.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.4), layout="constrained")
    styles = family_styles([family(str(spec)) for spec in summary["codec"]])
    handles: dict[str, Any] = {}
    for axes, (column, label) in zip(figure.subplots(1, len(panels)), panels, strict=True):
        drawn = _draw(axes, summary, column, styles)
        if published is not None:
            drawn |= _draw_published(axes, published, column)
        if drawn:
            _log_axis(axes)
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


def rate_panels(
    points: pd.DataFrame, panels: Sequence[tuple[str, str]], *, logarithmic: bool = False
) -> list[tuple[str, str]]:
    """``(label, SVG)`` for each ``(column, label)``: that column of ``points`` against bpp.

    ``points`` has a row per codec, as a bench's summary has. Lines as in
    :func:`plot_rate_distortion`. A panel without a finite value is left out.
    """
    styles = family_styles([family(str(spec)) for spec in points["codec"]])
    found = []
    for column, label in panels:
        alternative = f"{label} against bits per pixel"
        with drawing(alternative):
            figure = new_figure(4.6, 3.3)
            axes = figure.subplots()
            if logarithmic:
                axes.set_yscale("log")
                for axis in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
                    axis(_plain_tick)
            axes.set(xlabel="bits per pixel", ylabel=label)
            if _draw(axes, points, column, styles):
                _log_axis(axes)
                found.append((label, svg(figure, alternative)))
    return found


def _plain_tick(value: float, _: float | None) -> str:
    """100 instead of a power of ten; only 1, 2 and 5 of each power have room."""
    return f"{value:g}" if f"{value:e}"[0] in "125" else ""


def _draw(
    axes: Axes, summary: pd.DataFrame, column: str, styles: dict[str, Style]
) -> dict[str, Any]:
    """Draw a line per family; the lines by family."""
    drawn: dict[str, Any] = {}
    families = [family(str(spec)) for spec in summary["codec"]]
    for name, style in styles.items():
        own = summary[[other == name for other in families]].sort_values("bpp")
        rate = own["bpp"].to_numpy(float)
        quality = own[column].to_numpy(float)
        finite = np.isfinite(rate) & np.isfinite(quality)
        if not finite.any():
            continue
        (drawn[name],) = axes.plot(
            rate[finite],
            quality[finite],
            color=style.colour,
            marker=style.marker,
            linestyle=style.line,
            linewidth=1.8,
            label=name,
        )
    return drawn


def _draw_published(axes: Axes, published: pd.DataFrame, column: str) -> dict[str, Any]:
    """Draw a dashed line per curve of others; the lines by their label."""
    drawn: dict[str, Any] = {}
    for index, (name, own) in enumerate(published.groupby("curve", sort=False)):
        points = own.sort_values("bpp")
        label = f"{name} (published)"
        (drawn[label],) = axes.plot(
            points["bpp"],
            points[column],
            color=PUBLISHED_COLOURS[index % len(PUBLISHED_COLOURS)],
            linestyle="--",
            linewidth=1.4,
            label=label,
        )
    return drawn


def _log_axis(axes: Axes) -> None:
    """A logarithmic axis of the rates drawn, with a readable number of plain tick labels."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    rates = np.concatenate([np.asarray(line.get_xdata(), float) for line in axes.get_lines()])
    low, high = float(rates.min()), float(rates.max())
    axes.set_xscale("log")
    axes.set_xlim(low / _MARGIN, high * _MARGIN)
    wide = high / low > 30
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 3) if wide else (1, 1.5, 2, 3, 5, 7)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())


def family_styles(families: Sequence[str]) -> dict[str, Style]:
    """A style per family; variants of one codec keep its colour and differ in the line."""
    styles: dict[str, Style] = {}
    seen: dict[str, int] = {}
    for name in dict.fromkeys(families):
        codec = name.split(":")[0]
        index = seen[codec] = seen.get(codec, -1) + 1
        base = family_style(codec)
        styles[name] = Style(base.colour, base.marker, _LINES[index % len(_LINES)])
    return styles
