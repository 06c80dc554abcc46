"""Sentences on a comparison of adaptations; nothing that its tables do not say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ratewise.report.adaptation_tables import curves, grid, of_way, percent, value_of
from ratewise.report.text import number, signed
from ratewise.study.adaptation.tables import ADAPTED, AUTO, SOURCE, Comparison

if TYPE_CHECKING:
    import pandas as pd


def headlines(comparison: Comparison) -> list[str]:
    """On each target what fine-tuning everything gains, and cawf where it keeps the most; and what
    becomes of old files."""
    rows = curves(comparison.bdrate, "target")
    found = []
    for target in dict.fromkeys(row["target"] for row in rows):
        here = [row for row in rows if row["target"] == target]
        whole = [row for row in here if row["method"] == "finetune" and row["size"] == 1]
        custom = [row for row in here if row["method"] == "cawf"]
        custom.sort(key=lambda row: row["bd_rate_percent"])
        found += [gain_sentence(comparison, row) for row in (*whole[:1], *custom[:1])]
    found += old_file_sentences(comparison)
    return found or ["There are no adaptations yet."]


def gain_sentences(comparison: Comparison) -> list[str]:
    """What each way that has a curve gains."""
    return [gain_sentence(comparison, row) for row in curves(comparison.bdrate, "target")]


def gain_sentence(comparison: Comparison, row: dict[str, Any]) -> str:
    """What the way of a row of BD-rates gains, and what it keeps or loses."""
    change = row["bd_rate_percent"]
    said = f"On {row['target']}, {row['label']} from {row['images']} images "
    if change != change:
        return f"{said}cannot be compared in bits at equal PSNR: {row['note']}."
    said += f"needs {number(abs(change))} % {'fewer' if change < 0 else 'more'} bits at equal PSNR"
    on_source = _on_source(comparison, row)
    if row["method"] == "finetune":
        return f"{said}, and {on_source} on the source's domain." if on_source else f"{said}."
    if row["kept_percent"] > 0:
        said += f", and keeps {number(row['kept_percent'], 0)} % of what fine-tuning gains"
    elif row["kept_percent"] <= 0:
        said += ", and keeps nothing of what fine-tuning gains"
    said += f" with {percent(row['size'])} parameters more"
    if not on_source:
        return f"{said}."
    with_auto = _on_source(comparison, row, AUTO)
    said += f"; coded with it, the source's domain needs {on_source}"
    return f"{said}, with auto {with_auto}." if with_auto else f"{said}."


def old_file_sentences(comparison: Comparison) -> list[str]:
    """What becomes of the source's files of its own domain, over all targets and qualities."""
    table = comparison.forgetting
    found: dict[str, list[str]] = {}
    for label, own in table[table["domain"] == SOURCE].groupby("label", sort=False):
        found.setdefault(_became(own), []).append(str(label))
    return [f"After {_listed(labels)} {became}." for became, labels in found.items()]


def grid_sentences(comparison: Comparison) -> list[str]:
    """How the gain at one quality goes with the number of images, and with cawf's size."""
    rows = grid(comparison.bdrate)
    found = []
    for target, quality in dict.fromkeys((row["target"], row["qualities"]) for row in rows):
        here = [r for r in rows if (r["target"], r["qualities"]) == (target, quality)]
        at = f"On {target} at quality {quality}"
        for label in dict.fromkeys(row["label"] for row in here):
            own = sorted((r for r in here if r["label"] == label), key=lambda r: r["images"])
            if len(own) > 1:
                parts = [f"{_cost(row)} from {row['images']}" for row in own]
                found.append(f"{at}, {label} changes lambda D + R by {', by '.join(parts)} images.")
        custom = [row for row in here if row["method"] == "cawf"]
        most = max((row["images"] for row in custom), default=0)
        own = sorted((r for r in custom if r["images"] == most), key=lambda r: r["size"])
        if len(own) > 1:
            parts = [f"{_cost(row)} with {percent(row['size'])}" for row in own]
            said = f"{at}, cawf from {most} images changes lambda D + R by {', by '.join(parts)}"
            found.append(f"{said} parameters more.")
    return found


def _on_source(comparison: Comparison, row: dict[str, Any], choice: str = ADAPTED) -> str:
    """What coding the source's domain costs in the way of a row; empty where it is not known."""
    found = of_way(comparison.bdrate, row, SOURCE, choice, row["qualities"])
    change = value_of(found, "bd_rate_percent")
    if change != change:
        return ""
    if number(abs(change)) == number(0.0):
        return "as many"
    return f"{number(abs(change))} % {'more' if change > 0 else 'fewer'}"


def _became(own: pd.DataFrame) -> str:
    identical, broken = (
        float((own[name] * own["old_files"]).sum() / own["old_files"].sum())
        for name in ("identical", "undecodable")
    )
    if identical == 1:
        same = ", and encoding with the source gives the same bytes"
        if not (own["same_bytes"] == 1).all():
            same = ""
        return f"every old file of the source decodes to identical pixels{same}"
    if broken == 1:
        return "no old file of the source can be decoded"
    if broken == 0:
        change = float((own["psnr"] - own["psnr_before"]).mean())
        return f"old files of the source decode to other pixels, {signed(change, 2, ' dB')}"
    return f"{number(100 * broken, 0)} % of the source's old files cannot be decoded"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:-1]) + " or " + names[-1] if len(names) > 1 else names[0]


def _cost(row: dict[str, Any]) -> str:
    return signed(row["cost_change_percent"], 1, " %")
