"""BD-rate rows (:data:`ratewise.codecs.bdrate.COLUMNS`) as tables for people: a row per codec."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ratewise.codecs.bdrate import METRICS
from ratewise.report.text import MISSING, number, signed

if TYPE_CHECKING:
    import pandas as pd

TITLES = (
    "codec",
    "against",
    "PSNR: bits",
    "MS-SSIM: bits",
    "BD-PSNR",
    "PSNR in common",
    "MS-SSIM in common",
    "note",
)
"""The columns of :func:`comparison_rows`. "bits" is BD-rate."""

_TEXT = (0, 1, len(TITLES) - 1)


def comparison_rows(table: pd.DataFrame) -> tuple[list[str], list[list[str]], tuple[int, ...]]:
    """BD-rates in both metrics, per codec and anchor: titles, rows, and which columns are text."""
    rows = []
    for (codec, anchor), own in table.groupby(["codec", "anchor"], sort=False):
        psnr, ms_ssim = (own[own["metric"] == metric].iloc[0] for metric in METRICS)
        notes = comparison_notes(own)
        rows.append(
            [
                str(codec),
                str(anchor),
                signed(psnr["bd_rate_percent"], 1, " %"),
                signed(ms_ssim["bd_rate_percent"], 1, " %"),
                signed(psnr["bd_quality_db"], 2, " dB"),
                _range(psnr),
                _range(ms_ssim),
                "; ".join(f"{metric}: {note}" if metric else note for metric, note in notes),
            ]
        )
    return list(TITLES), rows, _TEXT


def comparison_notes(rows: pd.DataFrame) -> list[tuple[str, str]]:
    """The notes of one codec's rows, each with its metric; no metric where it holds for all."""
    notes = []
    for note, same in rows[rows["note"] != ""].groupby("note", sort=False):
        metrics = [METRICS[metric] for metric in same["metric"]]
        notes.append(("" if len(metrics) == len(METRICS) else metrics[0], str(note)))
    return notes


def _range(row: pd.Series) -> str:
    low, high = number(row["quality_low"], 2), number(row["quality_high"], 2)
    return MISSING if MISSING in (low, high) else f"{low} to {high} dB"
