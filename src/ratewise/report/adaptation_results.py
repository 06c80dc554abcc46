"""A comparison of adaptations as documents have it, from the files that its run writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ratewise.report.adaptation_plots import draw_rates
from ratewise.report.adaptation_tables import (
    Rows,
    file_rows,
    forgetting_rows,
    gain_rows,
    grid_rows,
    point_rows,
)
from ratewise.report.csv_rows import read_rows
from ratewise.report.text import markdown
from ratewise.study.adaptation.tables import ADAPTATIONS, BDRATE, FORGETTING, Comparison

if TYPE_CHECKING:
    import pandas as pd

_TEXT: Mapping[str, tuple[Callable[[Comparison], Rows], tuple[int, ...]]] = {
    "adapted": (gain_rows, (0, 1, 10, 11)),
    "forgetting": (forgetting_rows, (0, 1, 3)),
    "grid": (grid_rows, (0, 1)),
    "adaptations": (file_rows, (0, 1)),
    "adapted-points": (point_rows, (0, 1, 4, 5)),
}
"""What makes each kind of table, and which of its columns are text."""


@dataclass(frozen=True)
class AdaptationResults:
    """The four tables of a comparison."""

    comparison: Comparison

    @property
    def tables(self) -> Mapping[str, Callable[[], str]]:
        """What makes the Markdown of each kind of table."""
        return {kind: partial(self._markdown, kind) for kind in _TEXT}

    @property
    def figures(self) -> Mapping[str, Callable[[Path], None]]:
        """What writes its one figure."""
        return {"rates": partial(draw_rates, self.comparison)}

    def _markdown(self, kind: str) -> str:
        rows, text = _TEXT[kind]
        return markdown(*rows(self.comparison), left=text)


def read_adaptation(path: Path, points: pd.DataFrame) -> AdaptationResults:
    """The results of ``points``, which is ``NAME.csv``, and of the files beside it.

    They are ``NAME-bdrate.csv``, ``NAME-forgetting.csv`` and ``NAME-adaptations.csv``. Raises
    :class:`InputError` for a file that is missing or is something else.
    """
    return AdaptationResults(read_comparison(path.stem, points, path.parent, f"{path.stem}-"))


def read_comparison(
    name: str, points: pd.DataFrame, folder: Path, prefix: str = "", description: str = ""
) -> Comparison:
    """The comparison whose tables lie in ``folder``, beside ``points``."""
    found = {"points": points}
    for kind, columns in (
        ("bdrate", BDRATE),
        ("forgetting", FORGETTING),
        ("adaptations", ADAPTATIONS),
    ):
        rows = read_rows(folder / f"{prefix}{kind}.csv", "a comparison of adaptations", columns)
        found[kind] = rows
    # Names and lists of qualities may look like numbers
    words = {"target": str, "label": str}
    found = {kind: rows.astype(words) for kind, rows in found.items()}
    found["bdrate"] = found["bdrate"].assign(
        note=found["bdrate"]["note"].fillna(""),
        qualities=found["bdrate"]["qualities"].astype(str),
    )
    return Comparison(name, description, **found)
