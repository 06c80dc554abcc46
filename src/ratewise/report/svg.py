"""Drawing with matplotlib into a page: inline SVG that follows the page's colours.

matplotlib draws without a display and without a date or random ids, so that the same numbers give
the same bytes with the same matplotlib.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from ratewise.report.palette import INK, RULE

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def drawing(salt: str = "ratewise", rule: str = RULE) -> Any:
    """The settings of a drawing, as a context. ``salt`` makes the ids of an SVG: figures of one
    page need different ones. ``rule`` is the colour of thin lines."""
    import matplotlib as mpl

    return mpl.rc_context(
        {
            "svg.hashsalt": salt,
            "svg.fonttype": "none",
            "font.size": 10,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "axes.grid.axis": "y",
            "axes.edgecolor": rule,
            "grid.color": rule,
            "grid.linewidth": 0.6,
            "axes.labelcolor": INK,
            "text.color": INK,
            "xtick.color": rule,
            "ytick.color": rule,
            "xtick.labelcolor": INK,
            "ytick.labelcolor": INK,
            "lines.linewidth": 1.8,
            "lines.markersize": 6,
        }
    )


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, its sides in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def legend_columns(width: float, labels: Sequence[str]) -> int:
    """How many columns of a legend fit under a figure of ``width`` inches; 6 at most."""
    longest = max(map(len, labels), default=0)
    return max(1, min(6, int(width / (0.55 + 0.085 * longest))))


def svg(figure: Figure, label: str) -> str:
    """The figure as an SVG element without namespaces, metadata or fixed colours of text.

    ``label`` describes it to those who cannot see it.
    """
    buffer = io.StringIO()
    nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
    figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    text = re.sub(r"<metadata>.*?</metadata>", "", buffer.getvalue(), flags=re.DOTALL)
    text = text[text.index("<svg") :]
    view = re.search(r'viewBox="[^"]*"', text)
    head = (
        f'<svg class="plot" role="img" aria-label="{escape(label)}" {view.group() if view else ""}>'
    )
    body = text[text.index(">") + 1 :].replace(INK, "currentColor")
    return head + body.replace(RULE, "var(--rule)")
