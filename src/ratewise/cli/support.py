"""What every command shares: the errors a user sees, and how results are printed."""

from __future__ import annotations

import json
import re
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any

import typer

from ratewise.errors import InputError, RatewiseError, RatewiseWarning
from ratewise.files import is_local, location, write_atomically

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print only results.")]
WorkersOption = Annotated[
    int, typer.Option("--workers", "-j", min=0, help="Processes; 0 means one per core.")
]

EngineOption = Annotated[
    str, typer.Option("--engine", help="Where workers run: local (processes) or ray (a cluster).")
]
AddressOption = Annotated[
    str | None,
    typer.Option(
        "--address",
        help="Of the Ray cluster: auto, or HOST:PORT.",
        show_default="a Ray of its own",
    ),
]

DevicesOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Devices that share each batch.",
        show_default="the settings', or the launcher's",
    ),
]
NodesOption = Annotated[
    int | None, typer.Option(min=1, help="Machines with so many devices each.", show_default="1")
]

_OF_ADDRESSES = ("botocore", "aiobotocore", "aiohttp", "gcsfs", "google")
"""Packages whose exceptions say that a store or a cache at an address cannot be reached."""


@contextmanager
def friendly_errors() -> Iterator[None]:
    """One sentence and exit code 2 for wrong input, 1 for other failures; no traceback."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", RatewiseWarning)
            warnings.showwarning = _show
            yield
    except InputError as error:
        fail(str(error), code=2)
    except RatewiseError as error:
        fail(str(error), code=1)
    except BrokenPipeError:
        raise  # whoever reads the output has seen enough: typer leaves without a word
    except OSError as error:
        reason = error.strerror or str(error)
        if error.filename is None:  # writing: the disk is full, or gone
            fail(reason, code=1)
        fail(f"{error.filename}: {reason}", code=2)  # a path that cannot be
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in _OF_ADDRESSES:
            raise
        fail(f"the address cannot be reached ({error})", code=1)
    except KeyboardInterrupt:
        fail("stopped; run the same command again to go on", code=130)


def place(text: str) -> Path:
    """The path or address that a user wrote, for Typer: a wrong one is wrong usage."""
    try:
        return location(text)
    except InputError as error:
        raise typer.BadParameter(str(error)) from None


def disk(text: str) -> Path:
    """The path that a user wrote, for Typer: an address is wrong usage."""
    path = place(text)
    if not is_local(path):
        raise typer.BadParameter(f"{text}: this can be written to a disk only, not to an address")
    return path


def _show(message: Warning | str, *where: Any, **more: Any) -> None:
    """A warning as a sentence, without the line of code that it comes from."""
    print(f"note: {message}", file=sys.stderr)


def fail(message: str, *, code: int) -> None:
    """Print ``error: message`` on standard error and leave with ``code``."""
    print(f"error: {message}", file=sys.stderr)
    raise typer.Exit(code)


def write_result(path: Path, data: bytes) -> None:
    """Write the file that a user named; InputError if that cannot be done."""
    try:
        write_atomically(path, data)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from None


_UNITS = {"": 1, "B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9}
_UNITS |= {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,15})?) ?([A-Za-z]*)", re.ASCII)


def parse_size(text: str, option: str) -> int:
    """A number of bytes as a user writes it: ``2000``, ``2kB``, ``1.5MB``, ``2GiB``.

    kB, MB and GB are powers of 1000, KiB, MiB and GiB of 1024; a part of a byte is dropped.
    Raises :class:`InputError` that names ``option`` for anything else, and for less than 1 byte.
    """
    found = _SIZE.fullmatch(text.strip())
    if found is None or found[2] not in _UNITS:
        raise InputError(
            f"{option} {text!r} is not a number of bytes: write 2000, 2kB, 1.5MB or 2GB "
            "(KiB, MiB and GiB are powers of 1024)"
        )
    size = int(Fraction(found[1]) * _UNITS[found[2]])
    if size < 1:
        raise InputError(f"{option} {text!r} is less than 1 byte")
    return size


def count(number: int, noun: str) -> str:
    """``1 image``, ``2 images``."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


def print_json(value: Any) -> None:
    """``value`` as JSON on standard output; infinities and NaN become null."""
    print(json.dumps(finite(value), indent=2, ensure_ascii=False))


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on standard output: numbers are right-aligned.

    On a terminal that is too narrow, the first column stands on lines of its own.
    """
    from rich.console import Console
    from rich.table import Table

    console = Console()
    width = console.width if console.is_terminal else 160
    table = Table(title=title, title_justify="left")
    for index, column in enumerate(columns):
        numeric = all(_is_number(row[index]) for row in rows)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    if Console(width=10_000, height=1).measure(table).maximum > width:
        lines = _stacked(columns, rows)
        if max(map(len, lines)) <= width:
            print("\n".join([title, *lines] if title else lines))
            return
    Console(width=width).print(table)


def _stacked(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table whose first column stands above the others of its row."""
    widths = [max(map(len, cells)) for cells in zip(columns, *rows, strict=True)][1:]
    numeric = [all(_is_number(row[i]) for row in rows) for i in range(1, len(columns))]

    def line(cells: Sequence[str]) -> str:
        aligned = (
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(cells, widths, numeric, strict=True)
        )
        return "  " + "  ".join(aligned).rstrip()

    lines = [columns[0], line(columns[1:])]
    for row in rows:
        lines += [row[0], line(row[1:])]
    return lines


def _is_number(text: str) -> bool:
    head = text.split("±", maxsplit=1)[0].strip().rstrip("%")
    try:
        float(head or "0")
    except ValueError:
        return head in ("-", "")
    return True


def finite(value: Any) -> Any:
    """``value`` with None for infinities and NaN, which JSON does not have."""
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return value
