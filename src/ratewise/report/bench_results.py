"""A bench's results as documents have them, from the files that ``ratewise codec bench`` writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ratewise.codecs.bdrate import COLUMNS
from ratewise.codecs.bench import MEANS
from ratewise.report.comparison import comparison_rows
from ratewise.report.csv_rows import read_rows
from ratewise.report.published_curves import against_published, decibels_of_means, read_published
from ratewise.report.rd_plot import QUALITY, plot_rate_distortion
from ratewise.report.text import markdown, number, quality

if TYPE_CHECKING:
    import pandas as pd

SUMMARY_COLUMNS = ("codec", "images", "failures", *MEANS)
"""The columns that a bench's ``summary.csv`` is known by."""

_BESIDE_PUBLISHED = (QUALITY[0], ("ms_ssim_db", "MS-SSIM (dB of the mean)"))


@dataclass(frozen=True)
class BenchResults:
    """A bench's ``summary.csv`` and ``bdrate.csv``, and the published curves beside it, if any."""

    summary: pd.DataFrame
    bdrate: pd.DataFrame
    published: pd.DataFrame | None = None

    @property
    def tables(self) -> Mapping[str, Callable[[], str]]:
        """What makes the Markdown of each kind of table."""
        made: dict[str, Callable[[], str]] = {
            "bench": lambda: markdown(*bench_rows(self.summary), left=(0,)),
            "bdrate": lambda: markdown(*comparison_rows(self.bdrate)),
        }
        if (curves := self.published) is not None:
            made["published"] = lambda: markdown(
                *comparison_rows(against_published(self.summary, curves))
            )
        return made

    @property
    def figures(self) -> Mapping[str, Callable[[Path], None]]:
        """What writes its one figure."""
        return {"rates": self.draw}

    def draw(self, path: Path) -> None:
        """Write the figure, a PNG: PSNR and MS-SSIM against bits per pixel."""
        if self.published is None:
            plot_rate_distortion(self.summary, path)
            return
        plot_rate_distortion(
            decibels_of_means(self.summary),
            path,
            published=decibels_of_means(self.published),
            panels=_BESIDE_PUBLISHED,
        )


def read_bench(path: Path, summary: pd.DataFrame) -> BenchResults:
    """The results of ``summary``, which is ``NAME.csv``, with ``NAME-bdrate.csv`` beside it.

    ``NAME-published.csv`` is read where it is there. Raises :class:`InputError` for a file that is
    missing or is something else.
    """
    bdrate = read_rows(path.with_name(f"{path.stem}-bdrate.csv"), "a bench's BD-rates", COLUMNS)
    bdrate = bdrate.assign(note=bdrate["note"].fillna(""))
    published = path.with_name(f"{path.stem}-published.csv")
    curves = read_published(published) if published.is_file() else None
    return BenchResults(summary, bdrate, curves)


def bench_rows(summary: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """The operating points of a bench as (column titles, rows of text).

    CPU time is the mean per image over its mean pixels, which are those that bytes and bits per
    pixel come to: exact for images of one size.
    """
    titles = ["codec", "bpp", "PSNR (dB)", "MS-SSIM (dB)", "encode ms/MP", "decode ms/MP"]
    rows = []
    for row in summary.to_dict(orient="records"):
        megapixels = 8e-6 * row["bytes"] / row["bpp"]
        rows.append(
            [
                str(row["codec"]),
                number(row["bpp"], 3),
                quality(row["psnr"], 2),
                quality(row["ms_ssim_db"], 2),
                number(row["encode_ms"] / megapixels, 0),
                number(row["decode_ms"] / megapixels, 0),
            ]
        )
    return titles, rows
