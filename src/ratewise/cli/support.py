"""What every command shares: the errors a user sees, and how results are printed."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from ratewise.errors import InputError, RatewiseError

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print only results.")]
WorkersOption = Annotated[
    int, typer.Option("--workers", "-j", min=0, help="Processes; 0 means one per core.")
]


@contextmanager
def friendly_errors() -> Iterator[None]:
    """One sentence and exit code 2 for wrong input, 1 for other failures; no traceback."""
    try:
        yield
    except InputError as error:
        fail(str(error), code=2)
    except RatewiseError as error:
        fail(str(error), code=1)
    except KeyboardInterrupt:
        fail("stopped; run the same command again to go on", code=130)


def fail(message: str, *, code: int) -> None:
    """Print ``error: message`` on standard error and leave with ``code``."""
    print(f"error: {message}", file=sys.stderr)
    raise typer.Exit(code)


def print_json(value: Any) -> None:
    """``value`` as JSON on standard output; infinities and NaN become null."""
    print(json.dumps(_finite(value), indent=2, ensure_ascii=False))


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on standard output: numbers are right-aligned."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for index, column in enumerate(columns):
        numeric = all(_is_number(row[index]) for row in rows)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    console = Console()
    Console(width=None if console.is_terminal else 160).print(table)


def _is_number(text: str) -> bool:
    head = text.split("±", maxsplit=1)[0].strip().rstrip("%")
    try:
        float(head or "0")
    except ValueError:
        return head in ("-", "")
    return True


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value
