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
from ratewise.report.analysis.matrix import Matrices, matrices
from ratewise.report.analysis.privileged import comparisons, privileged_table
from ratewise.report.analysis.rate_saved import rates_saved, saved_table
from ratewise.report.analysis.recipes import compare, gain_sentence, recipe_table
from ratewise.report.analysis.restorers import QUALITY_COLUMNS, methods, restorer_table
from ratewise.report.bytes_plot import bytes_png, curves
from ratewise.report.crossed import without_crossed
from ratewise.report.csv_rows import missing_columns, read_rows
from ratewise.report.heat_maps import matrix_png
from ratewise.report.metric import METRICS, MIOU, metric_of
from ratewise.report.plots import accuracy_png
from ratewise.report.text import class_rows, configuration_rows, markdown

if TYPE_CHECKING:
    import pandas as pd

STUDY_COLUMNS = ("train_channel", "test_channel", "seed")
"""The columns that a file of result rows is known by, beside that of a main metric."""


def missing_of_study(rows: pd.DataFrame) -> list[str]:
    """The columns that ``rows`` lack to be those of a study; nothing if they are."""
    known = any(metric.name in rows for metric in METRICS)
    return [*missing_columns(rows, STUDY_COLUMNS), *([] if known else [METRICS[0].name])]


@dataclass(frozen=True)
class StudyResults:
    """The result rows of a study, its ``results.csv``, and what its restorers did to the images,
    its ``restoration.csv`` (empty without one)."""

    rows: pd.DataFrame
    quality: pd.DataFrame

    @property
    def tables(self) -> Mapping[str, Callable[[], str]]:
        """What makes the Markdown of each kind of table."""
        made: dict[str, Callable[[], str]] = {
            "configurations": lambda: markdown(*configuration_rows(self.rows)),
            "classes": lambda: markdown(*class_rows(self.rows)),
            "recipes": lambda: _recipes(self.rows),
            "matrix": lambda: _matrices(matrices(self.rows)),
        }
        if metric_of(self.rows) is not MIOU:
            return made
        found = contexts(self.rows, dict.fromkeys(self.quality.get("restorer", [])))
        return made | {
            "differences": lambda: change_table(changes(found), _restorers(found)).markdown(),
            "rate-saved": lambda: saved_table(rates_saved(found)).markdown(),
            "privileged": lambda: _privileged(found),
            "hybrids": lambda: hybrid_table(hybrids(found)).markdown(),
            "adversarial": lambda: restorer_table(methods(found, self.quality)).markdown(),
            "diagnosis": lambda: _diagnosis(found),
            "diagnosis-classes": lambda: class_change_table(class_changes(found)).markdown(),
        }

    @property
    def figures(self) -> Mapping[str, Callable[[Path], None]]:
        """What writes each figure, a PNG: the main metric against bits per pixel, and where the
        rows have them against bytes per image, and generalisation matrices."""
        drawn: dict[str, Callable[[Path], None]] = {
            "accuracy": lambda path: accuracy_png(without_crossed(self.rows), path)
        }
        if by_size := curves(self.rows):
            drawn["bytes"] = lambda path: bytes_png(by_size, metric_of(self.rows), path)
        if maps := matrices(self.rows):
            drawn["matrix"] = lambda path: matrix_png(maps, path)
        return drawn


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


def _recipes(rows: pd.DataFrame) -> str:
    known = compare(rows)
    told = "\n".join(f"- {text}" for comparison in known if (text := gain_sentence(comparison)))
    table = recipe_table(known).markdown()
    return f"{table}\n\n{told}" if told else table


def _matrices(found: Sequence[Matrices]) -> str:
    parts = []
    for one in found:
        parts += [f"{one.label}:"] if one.label else []
        parts += [matrix.markdown() for matrix in one.maps]
    return "\n\n".join(parts)


def _privileged(found: Sequence[Context]) -> str:
    known = comparisons(found)
    told = "\n".join(f"- {comparison.sentence}" for comparison in known)
    return f"{told}\n\n{privileged_table(known).markdown()}"


def _diagnosis(found: Sequence[Context]) -> str:
    known = diagnoses(found)
    told = "\n".join(f"- **{d.where}.** {' '.join(sentences(d))}" for d in known)
    return "\n\n".join([told, parts_table(known).markdown(), remedy_table(known).markdown()])
