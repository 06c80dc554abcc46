"""Functions of the package's face that compose several of its floors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ratewise.codecs import read_picture
from ratewise.execution import Resources
from ratewise.images import Image
from ratewise.study.engine import plan_study, run_study
from ratewise.study.settings import Study, load_study

if TYPE_CHECKING:
    import pandas as pd


def read_image(path: str | Path) -> Image:
    """An image file as ``uint8 (H, W, 3)`` RGB, or a bitstream of any codec here.

    See :func:`ratewise.codecs.read_picture`.
    """
    return read_picture(Path(path))


def run(
    study: Study | str | Path,
    out: str | Path | None = None,
    *,
    workers: int = 0,
    quiet: bool = False,
) -> pd.DataFrame:
    """Run a study (a file, or a loaded one), write its report, and return its result rows.

    ``out`` is the folder of results and cache, by default ``runs/NAME``. What is cached there is
    not run again. Raises :class:`ratewise.errors.StageError` if a stage failed; the results of
    the others are kept in ``out``.
    """
    loaded = study if isinstance(study, Study) else load_study(study)
    planned = plan_study(loaded, Path(out) if out else None, quiet=quiet)
    run_study(planned, resources=Resources(workers=workers), quiet=quiet)

    from ratewise.report.run_report import report_run
    from ratewise.study.results import read_results

    report_run(planned.folder)
    return read_results(planned.folder)
