"""The tables of a comparison of adaptations (:mod:`ratewise.study.adaptation.tables`) as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ratewise.report.text import MISSING, number, quality, signed
from ratewise.study.adaptation.tables import ADAPTED, AUTO, SOURCE, Comparison

if TYPE_CHECKING:
    import pandas as pd

Rows = tuple[list[str], list[list[str]]]
"""Titles, and rows of text."""


def gain_rows(comparison: Comparison) -> Rows:
    """A row for each way that has a curve: what it gains on its target, what it loses on the
    source, and how much of what fine-tuning everything gains it keeps."""
    table = comparison.bdrate
    rows = []
    for row in curves(table, "target"):
        on_source = of_way(table, row, SOURCE, qualities=row["qualities"])
        of_both = of_way(table, row, SOURCE, AUTO, row["qualities"])
        rows.append(
            [
                row["target"],
                row["label"],
                percent(row["size"]),
                str(row["images"]),
                signed(row["bd_rate_percent"], 1, " %"),
                signed(row["ms_ssim_bd_rate_percent"], 1, " %"),
                signed(row["bd_psnr_db"], 2, " dB"),
                _kept(row),
                signed(value_of(on_source, "bd_rate_percent"), 1, " %"),
                signed(value_of(of_both, "bd_rate_percent"), 1, " %"),
                source_kept(comparison, row),
                row["note"],
            ]
        )
    titles = ["target", "method", "parameters", "images", "target: bits", "in MS-SSIM", "BD-PSNR"]
    titles += ["of the full gain", "source: bits", "with auto", "files of the source"]
    titles.append("note")
    return titles, rows


def forgetting_rows(comparison: Comparison) -> Rows:
    """What becomes of the source's old files, over all qualities; each way with the number of
    images that was tried at most qualities."""
    table, rows = comparison.forgetting, []
    keys = ["target", "label", "images", "domain"]
    chosen = _most_tried(table)
    for (target, label, images, domain), own in table.groupby(keys, sort=False):
        if images != chosen[str(target), str(label)]:
            continue
        readable = own[own["undecodable"] < 1]
        rows.append(
            [
                str(target),
                str(label),
                str(images),
                "source" if domain == SOURCE else str(target),
                number(100 * own["identical"].mean(), 0) + " %",
                number(100 * own["undecodable"].mean(), 0) + " %",
                quality(own["psnr_before"].mean(), 2),
                quality(readable["psnr"].mean(), 2) if len(readable) else "undecodable",
                number(100 * own["same_bytes"].mean(), 0) + " %",
                number(own["drift_y"].mean(), 4),
                number(own["drift_z"].mean(), 4),
            ]
        )
    titles = ["target", "method", "images", "old files of", "identical", "undecodable"]
    titles += ["PSNR before", "PSNR after", "encoded as before", "drift of y", "drift of z"]
    return titles, rows


def grid_rows(comparison: Comparison) -> Rows:
    """What is gained at one quality, by the number of images and the size."""
    table, rows = comparison.bdrate, []
    for row in grid(table):
        on_source = of_way(table, row, SOURCE, qualities=row["qualities"])
        of_both = of_way(table, row, SOURCE, AUTO, row["qualities"])
        rows.append(
            [
                row["target"],
                row["label"],
                percent(row["size"]),
                str(row["images"]),
                row["qualities"],
                signed(row["cost_change_percent"], 1, " %"),
                _kept(row),
                signed(row["rate_change_percent"], 1, " %"),
                signed(value_of(on_source, "cost_change_percent"), 1, " %"),
                signed(value_of(of_both, "cost_change_percent"), 1, " %"),
                source_kept(comparison, row),
            ]
        )
    titles = ["target", "method", "parameters", "images", "quality", "target: lambda D + R"]
    titles += ["of the full gain", "target: bits at equal PSNR", "source: lambda D + R"]
    return [*titles, "with auto", "files of the source"], rows


def point_rows(comparison: Comparison) -> Rows:
    """Every operating point."""
    rows = [
        [
            str(row["target"]),
            str(row["label"]),
            str(row["images"]) if row["images"] else "",
            str(row["quality"]),
            "source" if row["domain"] == SOURCE else str(row["target"]),
            str(row["choice"]),
            number(row["bpp"], 4),
            quality(row["psnr"], 2),
            quality(row["ms_ssim_db"], 2),
            number(row["cost"], 4),
        ]
        for row in comparison.points.to_dict(orient="records")
    ]
    titles = ["target", "method", "images", "quality", "on", "coded by", "bpp", "PSNR (dB)"]
    return [*titles, "MS-SSIM (dB)", "lambda D + R"], rows


def file_rows(comparison: Comparison) -> Rows:
    """The files of the adaptations, and how their training went."""
    rows = [
        [
            str(row["target"]),
            str(row["label"]),
            str(row["images"]),
            str(row["quality"]),
            f"{row['parameters']:,}",
            f"{row['file_bytes']:,}",
            str(row["steps"]),
            number(row["holdout_before"], 4),
            number(row["holdout_after"], 4),
            "yes" if row["helped"] else "no",
        ]
        for row in comparison.adaptations.to_dict(orient="records")
    ]
    titles = ["target", "method", "images", "quality", "parameters", "bytes of the file", "steps"]
    return [*titles, "held out, before", "after", "helped"], rows


# ----- parts --------------------------------------------------------------------------------------


def curves(table: pd.DataFrame, domain: str, choice: str = ADAPTED) -> list[dict[str, Any]]:
    """The rows of BD-rates over several qualities."""
    several = table["qualities"].astype(str).str.contains(" ")
    chosen = table[several & (table["domain"] == domain) & (table["choice"] == choice)]
    return _records(chosen)


def grid(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of single qualities at which several numbers of images were tried."""
    single = ~table["qualities"].astype(str).str.contains(" ")
    here = table[single & (table["domain"] == "target") & (table["choice"] == ADAPTED)]
    if here.empty:
        return []
    tried = here.groupby(["target", "qualities"])["images"].transform("nunique")
    found = _records(here[tried > 1])
    order = {
        key: n for n, key in enumerate(dict.fromkeys((r["target"], r["label"]) for r in found))
    }
    targets = list(dict.fromkeys(row["target"] for row in found))

    def place(row: dict[str, Any]) -> tuple[int, str, int, int]:
        label = order[row["target"], row["label"]]
        return targets.index(row["target"]), row["qualities"], label, row["images"]

    return sorted(found, key=place)


def source_kept(comparison: Comparison, row: dict[str, Any]) -> str:
    """What becomes of the source's own files of its domain, in a word."""
    own = of_way(comparison.forgetting, row, SOURCE, None)
    if own.empty:
        return MISSING
    if (own["identical"] == 1).all():
        return "identical"
    if (own["undecodable"] == 1).all():
        return "undecodable"
    if (own["undecodable"] == 0).all():
        return f"{signed(float((own['psnr'] - own['psnr_before']).mean()), 2, ' dB')}"
    return f"{number(100 * own['undecodable'].mean(), 0)} % undecodable"


def percent(share: float) -> str:
    """A share of parameters, with as many digits as it has use for."""
    digits = 0 if share >= 0.0995 else 1 if share >= 0.00995 else 2
    return f"{number(100 * share, digits)} %"


def _most_tried(table: pd.DataFrame) -> dict[tuple[str, str], int]:
    """The number of images of most qualities, of several the largest, by target and label."""
    tried = table.groupby(["target", "label", "images"])["quality"].nunique()
    found: dict[tuple[str, str], int] = {}
    for (target, label), own in tried.groupby(["target", "label"]):
        images = own.index.get_level_values("images")
        found[str(target), str(label)] = max(zip(own, images, strict=True))[1]
    return found


def _kept(row: dict[str, Any]) -> str:
    kept = row["kept_percent"]
    return MISSING if kept != kept else f"{number(kept, 0)} %"


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]


def of_way(
    table: pd.DataFrame,
    row: dict[str, Any],
    domain: str,
    choice: str | None = ADAPTED,
    qualities: str | None = None,
) -> pd.DataFrame:
    """The rows of the way of ``row`` on ``domain``."""
    for key in ("target", "label", "images"):
        table = table[table[key] == row[key]]
    table = table[table["domain"] == domain]
    table = table if choice is None else table[table["choice"] == choice]
    return table if qualities is None else table[table["qualities"] == qualities]


def value_of(table: pd.DataFrame, column: str) -> float:
    """The value of the first row; NaN without rows."""
    return float(table[column].iloc[0]) if len(table) else float("nan")
