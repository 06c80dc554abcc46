"""The main finding of a study, in sentences that say no more than the rows do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ratewise.report.analysis.changes import changes, restoration_sentence
from ratewise.report.analysis.contexts import contexts
from ratewise.report.naming import REFERENCE
from ratewise.report.tables import (
    ORIGINALS,
    configuration_table,
    paired_difference,
    select,
    tidy,
)
from ratewise.report.text import number, points

if TYPE_CHECKING:
    import pandas as pd


def main_finding(results: pd.DataFrame, restorers: Iterable[str] = ()) -> list[str]:
    """Sentences: the largest loss and what wins it back; what restoring the training set is worth;
    what beats OO; what the spread is worth.

    The loss is that of OC, or of CO in a study without OC, at the codec where it is largest.
    Differences are paired by seed. Of several ``restorers`` the first one counts.
    """
    if results.empty:
        return ["There are no results yet."]
    table = configuration_table(results)
    scored = table.dropna(subset=["miou difference"])
    sentences = []
    for configuration in ("OC", "CO", "CC"):
        found = scored[scored["configuration"] == configuration]
        if len(found):
            sentences.append(_loss(results, found.sort_values("miou difference").iloc[0]))
            break
    else:
        sentences.append(_reference(table))
    restored = restoration_sentence(changes(contexts(results, restorers)))
    sentences += [restored] if restored else []
    better = scored[(scored["miou difference"] > 0.0005) & (scored["codec"] != ORIGINALS)]
    if len(better):
        cases = [
            f"{r['configuration']} at {r['codec']} "
            f"(+{points(r['miou difference'], r['miou difference std'])})"
            for _, r in better.sort_values("miou difference", ascending=False).head(3).iterrows()
        ]
        more = f", and {len(better) - 3} more" if len(better) > 3 else ""
        sentences.append(f"Above OO: {', '.join(cases)}{more}.")
    return [*sentences, _honesty(table)]


def _loss(results: pd.DataFrame, worst: pd.Series[float]) -> str:
    name, codec = str(worst["configuration"]), str(worst["codec"])
    where = f"At {codec} ({number(worst['rate'], 2)} bpp) a model trained on "
    trained = "originals" if name == "OC" else "compressed images"
    shown = "originals" if name == "CO" else "compressed images"
    change, std = worst["miou difference"], worst["miou difference std"]
    verb = "loses" if change < 0 else "gains"
    text = f"{where}{trained} {verb} {points(abs(change), std)} mIoU points on {shown} ({name})"
    if std == std and abs(change) < std:
        text += ", less than the spread between seeds"
    if name != "OC":
        return f"{text}."
    rows = tidy(results)
    back = paired_difference(select(rows, "CC", codec), select(rows, "OC", codec), "miou")
    if back.empty:
        return f"{text}."
    gain = f"{points(abs(float(back.mean())), float(back.std()))}"
    if back.mean() < 0:
        return f"{text}; training on compressed images (CC) loses another {gain}."
    return f"{text}; training on compressed images (CC) gives back {gain}."


def _reference(table: pd.DataFrame) -> str:
    found = table[table["configuration"] == REFERENCE].dropna(subset=["miou"])
    if found.empty:
        return "OO, the reference on originals, has no result, so no loss can be stated."
    row = found.iloc[0]
    score = points(row["miou"], row["miou std"])
    return f"A model trained and tested on originals (OO) reaches an mIoU of {score}."


def _honesty(table: pd.DataFrame) -> str:
    counts = table.loc[table["seeds"] > 0, "seeds"]
    if counts.empty:
        return "No configuration has an mIoU."
    least, most = int(counts.min()), int(counts.max())
    if most == 1:
        return (
            "One seed per configuration: the spread between seeds is unknown, "
            "and small differences may be chance."
        )
    seeds = f"{least}" if least == most else f"{least} to {most}"
    single = " (none is given where only one seed has a result)" if least == 1 else ""
    return f"± is the sample standard deviation over {seeds} seeds{single}."
