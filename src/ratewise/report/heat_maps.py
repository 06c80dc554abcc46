"""Generalisation matrices as heat maps, for pages and for documents."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ratewise.files import write_atomically
from ratewise.report.analysis.matrix import Matrices, Matrix
from ratewise.report.palette import FALL, RISE
from ratewise.report.svg import drawing, new_figure, svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_CELL = (0.56, 0.34)  # inches
_STRONGEST = 0.72  # of a colour over the page's own, so that its text colour is read on it
_GAP = 0.3  # rows between the reference row and the others
_FULL = 0.02  # a map of smaller differences than this is left pale
_MANY = 6  # maps of more codecs than this stand two in a row


def panels(found: Matrices) -> list[tuple[str, str]]:
    """``(title, SVG)`` of each map, all of scores on one colour scale.

    A cell is its colour laid thinly over the page, so that it is read on dark pages too.
    """
    low, high = scale(found.maps)
    drawn = []
    for matrix in found.maps:
        label = ", ".join(x for x in ("trained on, tested on", matrix.title, found.label) if x)
        with drawing(label):
            figure = new_figure(*_size(matrix))
            _draw(figure.subplots(), matrix, low, high)
            drawn.append((matrix.title, svg(figure, label)))
    return drawn


def matrix_png(everything: Sequence[Matrices], path: Path) -> None:
    """Write all maps as one PNG, those of each of ``everything`` beside each other."""
    sizes = [_size(matrix) for found in everything for matrix in found.maps]
    width, height = (max(size[side] for size in sizes) for side in (0, 1))
    across = max(len(found.maps) for found in everything)
    if any(len(matrix.codecs) > _MANY for found in everything for matrix in found.maps):
        across = min(across, 2)
    rows = [
        (found, found.maps[start : start + across])
        for found in everything
        for start in range(0, len(found.maps), across)
    ]
    buffer = io.BytesIO()
    with drawing(rule="#C9CCD1"):
        figure = new_figure(width * across, (height + 0.3) * len(rows))
        lines = figure.subplots(len(rows), across, squeeze=False)
        for (found, maps), line in zip(rows, lines, strict=True):
            low, high = scale(found.maps)
            for axes in line[len(maps) :]:
                axes.set_axis_off()
            for axes, matrix in zip(line, maps, strict=False):
                _draw(axes, matrix, low, high)
                axes.set_title(f"{matrix.title}, {found.label}" if found.label else matrix.title)
        figure.savefig(buffer, format="png", dpi=120, metadata={"Software": None})
    write_atomically(path, buffer.getvalue())


def scale(maps: Sequence[Matrix]) -> tuple[float, float]:
    """The lowest and the highest score of all maps that are no differences; 0 to 1 without any."""
    scores = [m.values[np.isfinite(m.values)] for m in maps if not m.difference]
    known = np.concatenate(scores) if scores else np.empty(0)
    return (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)


def _size(matrix: Matrix) -> tuple[float, float]:
    longest = max(map(len, matrix.rows))
    across = 0.45 + 0.085 * longest + _CELL[0] * len(matrix.codecs)
    return across, 0.45 + 0.065 * longest + _CELL[1] * len(matrix.rows)


def _draw(axes: Axes, matrix: Matrix, low: float, high: float) -> None:
    from matplotlib.patches import Rectangle

    places = [i + (_GAP if i and matrix.has_reference else 0.0) for i in range(len(matrix.rows))]
    known = np.abs(matrix.values[np.isfinite(matrix.values)])
    widest = max(float(known.max(initial=0.0)), _FULL)
    for i, top in enumerate(places):
        for j in range(len(matrix.codecs)):
            value = float(matrix.values[i, j])
            if value != value:
                continue
            if matrix.difference:
                colour, strength = (RISE if value > 0 else FALL), abs(value) / widest
            else:
                colour, strength = RISE, 0.04 + 0.96 * (value - low) / ((high - low) or 1.0)
            # A thin seam between cells: translucent edges that meet would show as lines.
            axes.add_patch(
                Rectangle(
                    (j - 0.48, top - 0.47), 0.96, 0.94,
                    facecolor=(colour, _STRONGEST * strength), linewidth=0,
                )
            )  # fmt: skip
            axes.text(j, top, matrix.text(i, j), ha="center", va="center", fontsize=9)
    axes.set_xlim(-0.5, len(matrix.codecs) - 0.5)
    axes.set_ylim(places[-1] + 0.5, -0.5)
    axes.set_xticks(range(len(matrix.codecs)), matrix.codecs, rotation=45, ha="right", fontsize=9)
    axes.get_xaxis().set_tick_params(rotation_mode="anchor")
    axes.set_yticks(places, matrix.rows, fontsize=9)
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("tested on")
    axes.set_ylabel("trained on")
