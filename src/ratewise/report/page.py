"""The report: one HTML file that needs nothing but itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from ratewise.files import write_atomically
from ratewise.report import cost_section, recipe_sections, sections
from ratewise.report.analysis_sections import analysis
from ratewise.report.crossed import without_crossed
from ratewise.report.gallery import gallery
from ratewise.report.measured.sections import measured
from ratewise.report.model import Strip, StudySummary
from ratewise.study.analysis.findings import Findings

if TYPE_CHECKING:
    import pandas as pd


def write_report(
    path: Path,
    study: StudySummary,
    results: pd.DataFrame,
    rates: pd.DataFrame,
    strips: Sequence[Strip] = (),
    quality: pd.DataFrame | None = None,
    findings: Findings | None = None,
) -> None:
    """Write the report of ``study`` to ``path``, atomically.

    ``results`` are result rows (one per configuration, codec and seed; scores between 0 and 1);
    ``rates`` has a row per store: codec, split, images, bpp, psnr (dB), bytes. Both may be empty,
    and rows of failed stages may be absent: what is missing is shown as "-" or left out. The same
    input gives the same file. ``quality`` says what restoration did to the images, in the columns
    of :data:`ratewise.report.analysis.restorers.QUALITY_COLUMNS`. ``findings``
    are what was measured beside the rows.
    """
    everything, results = results, without_crossed(results)
    analysed = analysis(study, results, quality)
    body = [
        sections.header(study, results),
        recipe_sections.recipes(results, study.codecs, findings.pooled if findings else None),
        sections.configurations(study, results),
        analysed.diagnosis,
        sections.accuracy(results),
        recipe_sections.accuracy_by_bytes(results),
        recipe_sections.generalisation(everything, study.codecs),
        *analysed.comparisons,
        cost_section.cost(results),
        sections.classes(study, results),
        gallery(strips, study.classes),
        analysed.distortion or sections.rate_distortion(rates),
        *measured(findings),
        sections.how_it_was_made(study, rates),
    ]
    write_page(path, study.name, body)


def write_page(path: Path, title: str, body: Iterable[str]) -> None:
    """Write an HTML file of the parts ``body``, with the style in itself, atomically."""
    style = files("ratewise.report").joinpath("page.css").read_text()
    write_atomically(
        path,
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n"
        f"<body>\n<main>\n{''.join(body)}</main>\n</body>\n</html>\n",
    )
