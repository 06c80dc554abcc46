"""A study's results as documents have them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ratewise.report.analysis.changes import change_table, changes
from ratewise.report.analysis.class_changes import class_change_table, class_changes
from ratewise.report.analysis.contexts import Context, contexts
from ratewise.report.analysis.diagnosis import diagnoses, parts_table, remedy_table, sentences
from ratewise.report.analysis.hybrids import hybrid_table, hybrids
from ratewise.report.analysis.privileged import comparisons, privileged_table
from ratewise.report.analysis.rate_saved import rates_saved, saved_table
from ratewise.report.analysis.restorers import QUALITY_COLUMNS, methods, restorer_table
from ratewise.report.csv_rows import read_rows
from ratewise.report.plots import accuracy_png
from ratewise.report.text import class_rows, configuration_rows, markdown

if TYPE_CHECKING:
    import pandas as pd

STUDY_COLUMNS = ("train_channel", "test_channel", "seed", "miou")
"""The columns that a file of result rows is known by."""


@dataclass(frozen=True)
class StudyResults:
    """The result rows of a study, its ``results.csv``, and what its restorers did to the images,
    its ``restoration.csv`` (empty without one)."""

    rows: pd.DataFrame
    quality: pd.DataFrame

    figure = "accuracy"

    @property
    def tables(self) -> Mapping[str, Callable[[], str]]:
        """What makes the Markdown of each kind of table."""
        found = contexts(self.rows, dict.fromkeys(self.quality.get("restorer", [])))
        return {
            "configurations": lambda: markdown(*configuration_rows(self.rows)),
            "classes": lambda: markdown(*class_rows(self.rows)),
            "differences": lambda: change_table(changes(found), _restorers(found)).markdown(),
            "rate-saved": lambda: saved_table(rates_saved(found)).markdown(),
            "privileged": lambda: _privileged(found),
            "hybrids": lambda: hybrid_table(hybrids(found)).markdown(),
            "adversarial": lambda: restorer_table(methods(found, self.quality)).markdown(),
            "diagnosis": lambda: _diagnosis(found),
            "diagnosis-classes": lambda: class_change_table(class_changes(found)).markdown(),
        }

    def draw(self, path: Path) -> None:
        """Write the figure, a PNG: mIoU against bits per pixel."""
        accuracy_png(self.rows, path)


def read_study(path: Path, rows: pd.DataFrame) -> StudyResults:
    """The results whose ``rows`` are those of ``NAME.csv``, and of ``NAME-restoration.csv``.

    Raises InputError if that is there and is none.
    """
    import pandas as pd

    beside = path.with_name(f"{path.stem}-restoration.csv")
    if not beside.is_file():
        return StudyResults(rows, pd.DataFrame())
    quality = read_rows(beside, "what restoration did to images", QUALITY_COLUMNS)
    return StudyResults(rows, quality)


def _restorers(found: Sequence[Context]) -> Sequence[str]:
    return found[0].restorers if found else ()


def _privileged(found: Sequence[Context]) -> str:
    known = comparisons(found)
    told = "\n".join(f"- {comparison.sentence}" for comparison in known)
    return f"{told}\n\n{privileged_table(known).markdown()}"


def _diagnosis(found: Sequence[Context]) -> str:
    known = diagnoses(found)
    told = "\n".join(f"- **{d.where}.** {' '.join(sentences(d))}" for d in known)
    return "\n\n".join([told, parts_table(known).markdown(), remedy_table(known).markdown()])
