"""Reading the CSV files that documents are made of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ratewise.errors import InputError

if TYPE_CHECKING:
    import pandas as pd


def read_rows(path: Path, what: str, columns: Sequence[str] = ()) -> pd.DataFrame:
    """The rows in a CSV file, which errors call a file of ``what``.

    Raises :class:`InputError` if it is no CSV file, or has not all of ``columns``.
    """
    import pandas as pd

    try:
        rows = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a CSV file of {what} ({error})") from error
    missing = missing_columns(rows, columns)
    if missing:
        raise InputError(f"{path}: not a file of {what}: no column {missing[0]!r}")
    return rows


def missing_columns(rows: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    """Those of ``columns`` that ``rows`` has not."""
    return [name for name in columns if name not in rows]
