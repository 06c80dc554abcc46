"""Tables and figures of documents, generated from the result rows committed beside them.

``python -m ratewise.report.publish docs/results`` reads each ``<name>.csv`` with a ``<name>.md``
next to it, replaces what stands between ``<!-- table:<kind> -->`` and ``<!-- /table -->`` (kinds:
configurations, classes), and writes ``<name>-accuracy.png``. With ``--check`` it writes nothing and
exits with 1 if a table would change or a figure is missing (its bytes are not compared: they depend
on matplotlib's version).
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ratewise.errors import InputError
from ratewise.files import write_atomically
from ratewise.report.plots import accuracy_png
from ratewise.report.text import class_rows, configuration_rows, markdown

if TYPE_CHECKING:
    import pandas as pd

KINDS = {"configurations": configuration_rows, "classes": class_rows}
_OPEN = re.compile(r"<!-- table:(?P<kind>\S+) -->\n")
_CLOSE = "<!-- /table -->"


def read_results(path: Path) -> pd.DataFrame:
    """The result rows in a CSV file. Raises InputError if it is none."""
    import pandas as pd

    try:
        results = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a CSV file of result rows ({error})") from error
    missing = [n for n in ("train_channel", "test_channel", "seed", "miou") if n not in results]
    if missing:
        raise InputError(f"{path}: not a file of result rows: no column {missing[0]!r}")
    return results


def fill_tables(text: str, results: pd.DataFrame, name: str) -> str:
    """``text`` with every marked table generated anew from ``results``.

    ``name`` is what errors call the text. Raises InputError on an unknown kind or a marker
    that is not closed.
    """
    parts, position = [], 0
    while found := _OPEN.search(text, position):
        kind = found["kind"]
        if kind not in KINDS:
            allowed = ", ".join(KINDS)
            raise InputError(f"{name}: unknown table kind {kind!r} (allowed: {allowed})")
        end = text.find(_CLOSE, found.end())
        another = _OPEN.search(text, found.end())
        if end < 0 or (another and another.start() < end):
            raise InputError(f"{name}: the marker of table {kind!r} has no {_CLOSE} after it")
        parts += [text[position : found.end()], "\n", markdown(*KINDS[kind](results)), "\n\n"]
        position = end
    return "".join([*parts, text[position:]])


def publish(folder: Path, *, check: bool = False) -> list[Path]:
    """Write the tables and figures under ``folder``; returns the files that are out of date.

    With ``check`` nothing is written. Figures are written anew each time, and are returned only
    where they were missing. Raises InputError if ``folder`` is none.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    changed = []
    for source in sorted(folder.glob("*.csv")):
        page = source.with_suffix(".md")
        if not page.is_file():
            continue
        results, old = read_results(source), page.read_text()
        new = fill_tables(old, results, str(page))
        figure = source.with_name(f"{source.stem}-accuracy.png")
        changed += [page] if new != old else []
        changed += [] if figure.is_file() else [figure]
        if not check:
            accuracy_png(results, figure)
            if new != old:
                write_atomically(page, new)
    return changed


def main(arguments: Sequence[str] | None = None) -> int:
    """The command: returns its exit code (1 if a check finds changes, 2 on wrong input)."""
    parser = argparse.ArgumentParser(prog="ratewise.report.publish", description=__doc__)
    parser.add_argument("folder", type=Path, help="for example docs/results")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 on changes")
    options = parser.parse_args(arguments)
    try:
        changed = publish(options.folder, check=options.check)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for path in changed:
        print(f"{path}: {'out of date; run make results' if options.check else 'written'}")
    return 1 if options.check and changed else 0


if __name__ == "__main__":
    raise SystemExit(main())
