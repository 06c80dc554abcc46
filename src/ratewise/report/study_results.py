"""A study's results as documents have them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ratewise.report.analysis.changes import change_table, changes
from ratewise.report.analysis.class_changes import class_change_table, class_changes
from ratewise.report.analysis.contexts import Context, contexts
from ratewise.report.analysis.diagnosis import diagnoses, parts_table, remedy_table, sentences
from ratewise.report.analysis.hybrids import hybrid_table, hybrids
from ratewise.report.analysis.matrix import Matrices, matrices
from ratewise.report.analysis.privileged import comparisons, privileged_table
from ratewise.report.analysis.rate_saved import rates_saved, saved_table
from ratewise.report.analysis.recipes import (
    compare,
    gain_sentence,
    pooled_sentences,
    recipe_table,
)
from ratewise.report.analysis.restorers import QUALITY_COLUMNS, methods, restorer_table
from ratewise.report.bytes_plot import bytes_png, curves
from ratewise.report.crossed import without_crossed
from ratewise.report.csv_rows import missing_columns, read_rows
from ratewise.report.heat_maps import matrix_png
from ratewise.report.measured import features, information, perception, timing
from ratewise.report.measured.sets import named
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
    findings: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    """Tables of its folder ``analysis``, by name."""

    @property
    def tables(self) -> Mapping[str, Callable[[], str]]:
        """What makes the Markdown of each kind of table."""
        made: dict[str, Callable[[], str]] = {
            "configurations": lambda: markdown(*configuration_rows(self.rows)),
            "classes": lambda: markdown(*class_rows(self.rows)),
            "recipes": lambda: _recipes(self.rows),
            "matrix": lambda: _matrices(matrices(self.rows)),
        }
        for name, table in self.findings.items():
            made[name] = partial(_FINDINGS[name], table)
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

    findings = {
        name: _with_texts(read_rows(beside, f"what analysis/{name}.csv holds"))
        for name in _FINDINGS
        if (beside := path.with_name(f"{path.stem}-{name}.csv")).is_file()
    }
    beside = path.with_name(f"{path.stem}-restoration.csv")
    if not beside.is_file():
        return StudyResults(rows, pd.DataFrame(), findings)
    quality = read_rows(beside, "what restoration did to images", QUALITY_COLUMNS)
    return StudyResults(rows, quality, findings)


def _with_texts(table: pd.DataFrame) -> pd.DataFrame:
    """Texts that are empty in the file as empty texts."""
    texts = table.select_dtypes("object").columns
    empty = [name for name in _TEXTS if name in table and name not in texts]
    return table.fillna(dict.fromkeys([*texts, *empty], "")).astype(dict.fromkeys(empty, object))


_TEXTS = ("restorer", "subset")
"""Columns of texts that may all be empty."""


def _perception(table: pd.DataFrame) -> str:
    own = named(table)
    return f"{perception.sentence(own)}\n\n{perception.perception_table(own).markdown()}"


def _features(table: pd.DataFrame) -> str:
    own = named(table)
    return f"{features.sentence(own)}\n\n{features.features_table(own).markdown()}"


def _information(table: pd.DataFrame) -> str:
    own: list[dict[Any, Any]] = table.to_dict("records")
    shown = information.information_table(table)
    return f"{information.sentence(own)}\n\n{shown.markdown()}"


def _timing(table: pd.DataFrame) -> str:
    own = named(table)
    return f"{timing.sentence(own)}\n\n{timing.timing_table(own).markdown()}"


def _pooled(table: pd.DataFrame) -> str:
    return "\n".join(f"- {text}" for text in pooled_sentences(table))


_FINDINGS: Mapping[str, Callable[[pd.DataFrame], str]] = {
    "perception": _perception,
    "features": _features,
    "information": _information,
    "timing": _timing,
    "pooled": _pooled,
}
"""What makes the Markdown of each table of findings that documents can have."""


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
