"""Tables and figures of documents, generated from the results committed beside them.

``python -m ratewise.report.publish docs/results`` reads each ``NAME.csv`` with a ``NAME.md`` next
to it, replaces what stands between ``<!-- table:KIND -->`` and ``<!-- /table -->``, and writes the
figures. A ``NAME.csv`` is known by its columns:

- a study's ``results.csv``: tables ``configurations``, ``classes``, ``differences`` (what each step
  from one configuration to another is worth), ``rate-saved``, ``privileged``, ``hybrids``,
  ``adversarial``, ``diagnosis``, ``diagnosis-classes``, ``recipes`` (the expert-training paper's
  Table I), ``matrix`` (its Fig. 5); figure ``NAME-accuracy.png``, and where the rows have what it
  takes ``NAME-bytes.png`` (its Fig. 4) and ``NAME-matrix.png``. Of a classification there are
  ``configurations``, ``classes``, ``recipes`` and ``matrix``. With the study's ``restoration.csv``
  as ``NAME-restoration.csv``, ``adversarial`` says which restorers are, and gives PSNR and MS-SSIM.
  Tables ``perception``, ``features``, ``information``, ``timing`` and ``pooled`` come from the CSV
  files of its folder ``analysis``, as ``NAME-perception.csv`` and so on;
- a bench's ``summary.csv``, with its ``bdrate.csv`` as ``NAME-bdrate.csv``: tables ``bench``,
  ``bdrate``; figure ``NAME-rates.png``. Curves that others published for the same images may stand
  in ``NAME-published.csv``: they are drawn dashed, and there is a table ``published``;
- the ``points.csv`` of a comparison of adaptations, with its ``bdrate.csv`` as
  ``NAME-bdrate.csv``, ``forgetting.csv`` and ``adaptations.csv`` likewise: tables ``adapted``,
  ``forgetting``, ``grid``, ``adaptations``, ``adapted-points``; figure ``NAME-rates.png``.
- the ``segmentation.csv`` of a training of joint codecs, with its ``pictures.csv`` as
  ``NAME-pictures.csv``: tables ``ablations``, ``joint-modules``, ``joint-rates``.

With ``--check`` it writes nothing and exits with 1 if a table would change or a figure is missing
(its bytes are not compared: they depend on matplotlib's version).
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from ratewise.errors import InputError
from ratewise.files import write_atomically
from ratewise.report.adaptation_results import AdaptationResults, read_adaptation
from ratewise.report.bench_results import SUMMARY_COLUMNS, BenchResults, read_bench
from ratewise.report.csv_rows import missing_columns, read_rows
from ratewise.report.joint_results import SEGMENTATION, JointResults, read_joint
from ratewise.report.study_results import StudyResults, missing_of_study, read_study
from ratewise.study.adaptation.tables import POINTS

Results: TypeAlias = StudyResults | BenchResults | AdaptationResults | JointResults

_OPEN = re.compile(r"<!-- table:(?P<kind>\S+) -->\n")
_CLOSE = "<!-- /table -->"


def read_results(path: Path) -> Results:
    """The results in ``NAME.csv`` and the files beside it that belong to it.

    Raises :class:`InputError` if it is none.
    """
    rows = read_rows(path, "results")
    no_study, no_bench = missing_of_study(rows), missing_columns(rows, SUMMARY_COLUMNS)
    if not no_study:
        return read_study(path, rows)
    if not no_bench:
        return read_bench(path, rows)
    no_points = missing_columns(rows, POINTS)
    if not no_points:
        return read_adaptation(path, rows)
    no_maps = missing_columns(rows, SEGMENTATION)
    if not no_maps:
        return read_joint(path, rows)
    raise InputError(
        f"{path}: neither the result rows of a study (no column {no_study[0]!r}) nor the summary "
        f"of a bench (no column {no_bench[0]!r}) nor the points of a comparison of adaptations (no "
        f"column {no_points[0]!r}) nor the maps of joint codecs (no column {no_maps[0]!r})"
    )


def fill_tables(text: str, tables: Mapping[str, Callable[[], str]], name: str) -> str:
    """``text`` with every marked table generated anew, by what ``tables`` has for its kind.

    ``name`` is what errors call the text. Raises InputError on an unknown kind or a marker
    that is not closed.
    """
    parts, position = [], 0
    while found := _OPEN.search(text, position):
        kind = found["kind"]
        if kind not in tables:
            allowed = ", ".join(tables)
            raise InputError(f"{name}: unknown table kind {kind!r} (allowed: {allowed})")
        end = text.find(_CLOSE, found.end())
        another = _OPEN.search(text, found.end())
        if end < 0 or (another and another.start() < end):
            raise InputError(f"{name}: the marker of table {kind!r} has no {_CLOSE} after it")
        parts += [text[position : found.end()], "\n", tables[kind](), "\n\n"]
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
        new = fill_tables(old, results.tables, str(page))
        figures = {
            source.with_name(f"{source.stem}-{name}.png"): draw
            for name, draw in results.figures.items()
        }
        changed += [page] if new != old else []
        changed += [figure for figure in figures if not figure.is_file()]
        if not check:
            for figure, draw in figures.items():
                draw(figure)
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
