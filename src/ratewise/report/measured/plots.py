"""Drawings of sets of test images: how their indices spread, what quality costs, how features move.

Each function returns ``(title, SVG)`` per panel.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ratewise.report.measured.sets import (
    COMPRESSED,
    ORIGINALS,
    codecs_by_rate,
    point_name,
)
from ratewise.report.palette import INK, RULE, Style
from ratewise.report.svg import drawing, new_figure, svg
from ratewise.report.text import number

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

_FEWEST = 5  # images that a density is drawn of
_POINTS = 200

_OF_ORIGINALS = {"kid": 0.0, "success_rate": 0.5}


def density_panels(
    images: pd.DataFrame, column: str, title: str, styles: Mapping[str, Style]
) -> list[tuple[str, str]]:
    """The distribution of an index over the images of each set (Fig. 10), a panel per codec.

    Kernel densities with Scott's bandwidth; the mean is a mark on the curve. All panels share the
    axis of the index.
    """
    scored = images[images[column].notna()]
    panels = []
    values = scored[column].to_numpy(float)
    if len(values) == 0:
        return []
    margin = 0.15 * float(values.max() - values.min()) or 1.0
    grid = np.linspace(values.min() - margin, values.max() + margin, _POINTS)
    for codec in codecs_by_rate(scored):
        own = scored[(scored["codec"] == codec) | (scored["channel"] == "O")]
        label = f"Distribution of {title}, {codec}"
        drawn = 0
        with drawing(label):
            figure = new_figure(4.6, 2.9)
            axes = figure.subplots()
            for name, rows in own.groupby("set", sort=False):
                drawn += _density(axes, rows[column].to_numpy(float), grid, styles[str(name)])
            axes.set_xlim(grid[0], grid[-1])
            axes.set_ylim(bottom=0)
            axes.set_xlabel(f"{title} (lower is better)")
            axes.set_ylabel("density of images")
            axes.set_yticks([])
            if drawn:
                rate = own[own["codec"] == codec].iloc[0]
                panels.append((point_name(rate.to_dict()), svg(figure, label)))
    return panels


def plane_panels(
    table: pd.DataFrame, measures: Mapping[str, str], styles: Mapping[str, Style]
) -> list[tuple[str, str]]:
    """The perception-distortion plane (Fig. 5), a panel per measure (column and title).

    Thin lines lead from compressed images to what restorers make of them.
    """
    panels = []
    for column, title in measures.items():
        rows = _with_reference(table, column)
        if not (rows["channel"] != "O").any():
            continue
        label = f"{title} against distortion"
        with drawing(label):
            figure = new_figure(4.6, 3.5)
            axes = figure.subplots()
            _plane(axes, rows, column, styles)
            axes.set_xlabel("distortion: RMSE against the originals (8-bit levels)")
            axes.set_ylabel(title)
            axes.set_xlim(left=-0.04 * float(rows["rmse"].max()))
            axes.margins(x=0.12, y=0.12)
            panels.append((f"{title} and distortion", svg(figure, label)))
    return panels


def feature_panels(channels: pd.DataFrame, styles: Mapping[str, Style]) -> list[tuple[str, str]]:
    """Each channel's average activation against the originals' (Fig. 11), a panel per codec."""
    panels = []
    for codec in codecs_by_rate(channels):
        own = channels[channels["codec"] == codec]
        label = f"Average activation of each channel against the originals', {codec}"
        with drawing(label):
            figure = new_figure(4.2, 3.9)
            axes = figure.subplots()
            both = own[["original", "value"]].to_numpy(float)
            margin = 0.06 * float(both.max() - both.min()) or 1.0
            ends = [float(both.min()) - margin, float(both.max()) + margin]
            axes.plot(ends, ends, color=INK, linewidth=1.0, zorder=1)
            for name, rows in own.groupby("set", sort=False):
                style = styles[str(name)]
                axes.plot(
                    rows["original"], rows["value"], linestyle="none", marker=style.marker,
                    color=style.colour, markersize=5, alpha=0.8, markeredgewidth=0,
                )  # fmt: skip
            axes.set_xlim(*ends)
            axes.set_ylim(*ends)
            axes.set_aspect("equal")
            axes.set_xlabel("average activation on originals")
            axes.set_ylabel("on the set")
            panels.append((point_name(own.iloc[0].to_dict()), svg(figure, label)))
    return panels


def _with_reference(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """The rows with a value. A distance from the originals is known of these themselves."""
    known = table.copy()
    if column in _OF_ORIGINALS:
        known.loc[known["channel"] == "O", column] = _OF_ORIGINALS[column]
    return known[known[column].notna()]


def _density(axes: Axes, values: Any, grid: Any, style: Style) -> int:
    """One curve; a line at the mean where there are too few images or all are alike."""
    mean = float(values.mean())
    if len(values) < _FEWEST or float(np.ptp(values)) == 0:
        axes.axvline(mean, color=style.colour)
        return 1
    from scipy.stats import gaussian_kde

    density = gaussian_kde(values)
    curve = density(grid)
    axes.plot(grid, curve, color=style.colour)
    axes.fill_between(grid, curve, color=style.colour, alpha=0.10, linewidth=0)
    axes.plot([mean], density([mean]), color=style.colour, marker=style.marker, linestyle="none")
    return 1


def _plane(axes: Axes, rows: pd.DataFrame, column: str, styles: Mapping[str, Style]) -> None:
    for codec in codecs_by_rate(rows):
        own = rows[rows["codec"] == codec]
        before = own[own["set"] == COMPRESSED]
        for start in before.to_dict("records"):
            for end in own[own["set"] != COMPRESSED].to_dict("records"):
                axes.plot(
                    [start["rmse"], end["rmse"]], [start[column], end[column]],
                    color=RULE, linewidth=1.0, zorder=1,
                )  # fmt: skip
            axes.annotate(
                f"{number(float(start['bpp']), 2)} bpp", (start["rmse"], start[column]),
                xytext=(7, 2), textcoords="offset points", fontsize=8, color=INK,
            )  # fmt: skip
    for name, own in rows.groupby("set", sort=False):
        style = styles[str(name)]
        axes.plot(
            own["rmse"], own[column], linestyle="none", marker=style.marker, color=style.colour,
            markersize=8 if name == ORIGINALS else 7, zorder=3, clip_on=False,
        )  # fmt: skip
