"""The main finding of a study, in sentences that say no more than the rows do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ratewise.report.analysis.changes import changes, restoration_sentence
from ratewise.report.analysis.contexts import contexts
from ratewise.report.analysis.recipes import compare, gain_sentence, main_recipe, recovery_sentence
from ratewise.report.metric import MIOU, Metric, metric_of
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
    what expert training is worth; what beats OO; what the spread is worth.

    The loss is that of OC, or of CO in a study without OC, at the codec where it is largest.
    Differences are paired by seed. Of several ``restorers`` the first one counts; of several
    recipes the standard one, or else the pre-trained model that the others begin with.
    """
    if results.empty:
        return ["There are no results yet."]
    metric, everything = metric_of(results), results
    recipes, results = compare(results), main_recipe(results)
    change = f"{metric.name} difference"
    table = configuration_table(results)
    scored = table.dropna(subset=[change])
    sentences = []
    for configuration in ("OC", "CO", "CC"):
        found = scored[scored["configuration"] == configuration]
        if len(found):
            worst = found.sort_values(change).iloc[0]
            sentences.append(_loss(results, worst, metric))
            sentences += [recovery_sentence(one, str(worst["codec"])) for one in recipes]
            break
    else:
        sentences.append(_reference(table, metric))
    if metric is MIOU:
        sentences.append(restoration_sentence(changes(contexts(results, restorers))))
    sentences += [gain_sentence(comparison) for comparison in recipes]
    sentences = [sentence for sentence in sentences if sentence]
    better = scored[(scored[change] > 0.0005) & (scored["codec"] != ORIGINALS)]
    if len(better):
        cases = [
            f"{r['configuration']} at {r['codec']} (+{points(r[change], r[f'{change} std'])})"
            for _, r in better.sort_values(change, ascending=False).head(3).iterrows()
        ]
        more = f", and {len(better) - 3} more" if len(better) > 3 else ""
        sentences.append(f"Above OO: {', '.join(cases)}{more}.")
    whole = table if len(results) == len(everything) else configuration_table(everything)
    return [*sentences, _honesty(whole, metric)]


def _loss(results: pd.DataFrame, worst: pd.Series[float], metric: Metric) -> str:
    name, codec = str(worst["configuration"]), str(worst["codec"])
    where = f"At {codec} ({number(worst['rate'], 2)} bpp) a model trained on "
    trained = "originals" if name == "OC" else "compressed images"
    shown = "originals" if name == "CO" else "compressed images"
    change, std = (worst[f"{metric.name} difference{s}"] for s in ("", " std"))
    verb = "loses" if change < 0 else "gains"
    size = f"{points(abs(change), std)} {metric.title} points"
    text = f"{where}{trained} {verb} {size} on {shown} ({name})"
    if std == std and abs(change) < std:
        text += ", less than the spread between seeds"
    if name != "OC":
        return f"{text}."
    rows = tidy(results)
    back = paired_difference(select(rows, "CC", codec), select(rows, "OC", codec), metric.name)
    if back.empty:
        return f"{text}."
    gain = f"{points(abs(float(back.mean())), float(back.std()))}"
    if back.mean() < 0:
        return f"{text}; training on compressed images (CC) loses another {gain}."
    return f"{text}; training on compressed images (CC) gives back {gain}."


def _reference(table: pd.DataFrame, metric: Metric) -> str:
    found = table[table["configuration"] == REFERENCE].dropna(subset=[metric.name])
    if found.empty:
        return "OO, the reference on originals, has no result, so no loss can be stated."
    row = found.iloc[0]
    score = points(row[metric.name], row[f"{metric.name} std"])
    return f"A model trained and tested on originals (OO) reaches {metric.article} of {score}."


def _honesty(table: pd.DataFrame, metric: Metric) -> str:
    counts = table.loc[table["seeds"] > 0, "seeds"]
    if counts.empty:
        return f"No configuration has {metric.article}."
    least, most = int(counts.min()), int(counts.max())
    if most == 1:
        return (
            "One seed per configuration: the spread between seeds is unknown, "
            "and small differences may be chance."
        )
    seeds = f"{least}" if least == most else f"{least} to {most}"
    single = " (none is given where only one seed has a result)" if least == 1 else ""
    return f"± is the sample standard deviation over {seeds} seeds{single}."
