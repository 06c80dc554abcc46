"""Files of a row per image that stages of analyses leave."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ratewise.files import write_atomically


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows with the same keys as CSV: floats with ten digits, empty where NaN."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: _spelled(value) for key, value in row.items()})
    write_atomically(path, text.getvalue())


def read_rows(path: Path) -> Iterator[dict[str, str]]:
    """The rows that :func:`write_rows` wrote, as text."""
    with path.open(newline="") as file:
        yield from csv.DictReader(file)


def value_of(text: str) -> float:
    """A number of a row; NaN where it is empty."""
    return float(text) if text else math.nan


def finite(value: float) -> float | None:
    """The value as JSON can hold it: None if it is infinite or NaN."""
    return value if math.isfinite(value) else None


def _spelled(value: Any) -> Any:
    if not isinstance(value, float):
        return value
    return "" if math.isnan(value) else f"{value:.10g}"
