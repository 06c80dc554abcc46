"""A study's results as documents have them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ratewise.report.plots import accuracy_png
from ratewise.report.text import class_rows, configuration_rows, markdown

if TYPE_CHECKING:
    import pandas as pd

STUDY_COLUMNS = ("train_channel", "test_channel", "seed", "miou")
"""The columns that a file of result rows is known by."""


@dataclass(frozen=True)
class StudyResults:
    """The result rows of a study: its ``results.csv``."""

    rows: pd.DataFrame

    figure = "accuracy"

    @property
    def tables(self) -> Mapping[str, Callable[[], str]]:
        """What makes the Markdown of each kind of table."""
        return {
            "configurations": lambda: markdown(*configuration_rows(self.rows)),
            "classes": lambda: markdown(*class_rows(self.rows)),
        }

    def draw(self, path: Path) -> None:
        """Write the figure, a PNG: mIoU against bits per pixel."""
        accuracy_png(self.rows, path)
