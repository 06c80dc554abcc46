"""Recipes beside each other at each operating point (expert-training paper, Table I).

A recipe that learns from compressed images is read in CC: trained and tested on the codec. One
that learns from originals alone (pre-trained, stability training) is read in OC. At the lossless
point all are trained and tested on originals (OO).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ratewise.report.analysis.table import Table
from ratewise.report.bitstreams import without_bitstreams
from ratewise.report.crossed import cells
from ratewise.report.metric import Metric, metric_of
from ratewise.report.tables import (
    ORIGINALS,
    SETTINGS,
    by_seed,
    family,
    name_of_originals,
    paired_difference,
    tidy,
)
from ratewise.report.text import MISSING, number, points, signed_points
from ratewise.study.channels import LOSSLESS

if TYPE_CHECKING:
    import pandas as pd

STANDARD, PRETRAINED, STABILITY, FINETUNE, EXPERT = (
    *("standard", "pretrained", "stability", "finetune", "expert"),
)
TITLES = {
    PRETRAINED: "pre-trained",
    STABILITY: "stability training",
    STANDARD: "standard",
    FINETUNE: "fine-tuning",
    EXPERT: "expert training",
}
"""What tables call the recipes, in the order of their columns; others follow under their names."""

_DIGITS = 2  # the paper's effect is well below a point


def title_of(recipe: str) -> str:
    """What a report calls a recipe."""
    return TITLES.get(recipe, recipe)


def ordered(recipes: Sequence[str]) -> list[str]:
    """The recipes once each, in the order of the paper's columns."""
    known = [name for name in TITLES if name in recipes]
    return list(dict.fromkeys([*known, *recipes]))


@dataclass(frozen=True)
class Comparison:
    """The cells of one data set, preparation, task and model with several recipes.

    ``label`` tells it from the others of the results; it is empty where there is only one.
    ``codecs`` begins with :data:`LOSSLESS` where a model was tested on originals.
    """

    label: str
    rows: pd.DataFrame
    recipes: Sequence[str]
    codecs: Sequence[str]
    metric: Metric

    @property
    def baseline(self) -> str:
        """What expert training is compared with: fine-tuning, or plain training without it."""
        return FINETUNE if FINETUNE in self.recipes else STANDARD

    @property
    def has_gain(self) -> bool:
        """Whether there is expert training, and something to compare it with."""
        return {EXPERT, self.baseline} <= set(self.recipes)

    def point(self, recipe: str, codec: str) -> pd.DataFrame:
        """The rows of a recipe at an operating point, perhaps none."""
        own = self.rows[self.rows["recipe"] == recipe]
        trained = codec if (own["trained"] != LOSSLESS).any() else LOSSLESS
        return own[(own["trained"] == trained) & (own["tested"] == codec)]

    def seeds(self, recipe: str, codec: str) -> pd.Series[float]:
        """The metric of each seed of a recipe at an operating point."""
        return by_seed(self.point(recipe, codec), self.metric.name)

    def gain(self, codec: str) -> pd.Series[float]:
        """Expert training minus :attr:`baseline` for each seed that both have."""
        expert, plain = (self.point(recipe, codec) for recipe in (EXPERT, self.baseline))
        return paired_difference(expert, plain, self.metric.name)

    def mean(self, column: str, codec: str) -> float:
        """The mean of a column over what was tested on this codec, NaN where nothing is known."""
        return float(self.rows.loc[self.rows["tested"] == codec, column].mean())


def compare(results: pd.DataFrame, codecs: Sequence[str] = ()) -> list[Comparison]:
    """A comparison per data set, preparation, task and model that has several recipes.

    ``codecs`` gives the order of the operating points; others follow in that of the rows. A codec
    that is a model itself is not among them.
    """
    results = without_bitstreams(results)
    if results.empty:
        return []
    rows, metric = tidy(results), metric_of(results)
    apart = SETTINGS[:-1]
    vary = [name for name in apart if rows[name].nunique() > 1]
    found = []
    for _, own in cells(rows).groupby(list(apart), sort=False):
        recipes = ordered(list(own["recipe"]))
        tested = set(own["tested"])
        order = [LOSSLESS, *codecs, *own["trained"], *own["tested"]]
        used = [str(codec) for codec in dict.fromkeys(order) if codec in tested]
        label = " · ".join(str(own.iloc[0][name]) for name in vary)
        if len(recipes) > 1:
            found.append(Comparison(label, own, recipes, used, metric))
    return found


def main_recipe(results: pd.DataFrame) -> pd.DataFrame:
    """The rows of the recipe that stands for plain training, of several: the standard one, or else
    the pre-trained model, or else the first."""
    if "recipe" not in results or results["recipe"].nunique() < 2:
        return results
    names = list(dict.fromkeys(results["recipe"]))
    first = next((name for name in (STANDARD, PRETRAINED) if name in names), names[0])
    return results[results["recipe"] == first]


def recipe_table(found: Sequence[Comparison]) -> Table:
    """Table I: codec, setting, PSNR (dB), SSIM, bytes per image, each recipe, the gain, seeds."""
    recipes = ordered([name for comparison in found for name in comparison.recipes])
    gains = any(comparison.has_gain for comparison in found)
    titles = ["codec", "setting", "PSNR (dB)", "SSIM", "bytes per image"]
    titles += [title_of(name) for name in recipes]
    titles += ["gain"] if gains else []
    rows = [
        _row(comparison, codec, recipes, gains)
        for comparison in found
        for codec in comparison.codecs
    ]
    return Table([*titles, "seeds"], rows)


def gain_sentence(comparison: Comparison) -> str:
    """What expert training is worth over the lossy operating points; empty without it."""
    if not comparison.has_gain:
        return ""
    lossy = [codec for codec in comparison.codecs if codec != LOSSLESS]
    gains = {codec: gain for codec in lossy if len(gain := comparison.gain(codec))}
    if not gains:
        return ""
    means = [float(gain.mean()) for gain in gains.values()]
    above = sum(mean > 0 for mean in means)
    counts = [len(gain) for gain in gains.values()]
    seeds = _span(counts, str)
    where = f"at {next(iter(gains))}"
    pooled = f"{signed_points(math.fsum(means) / len(means), digits=_DIGITS)} points"
    if len(means) > 1:
        where = f"at {above} of {len(means)} lossy operating points"
        pooled += " on average"
        sizes = _span(means, lambda v: signed_points(v, digits=_DIGITS))
        pooled += f" ({sizes})" if " to " in sizes else ""
    verb = "is" if len(means) > 1 or above else "is not"
    about = f" ({comparison.label})" if comparison.label else ""
    return (
        f"Expert training{about} {verb} above {title_of(comparison.baseline)} {where}: {pooled}, "
        f"paired by seed ({seeds} {'seed' if max(counts) == 1 else 'seeds'} per point)."
    )


def recovery_sentence(comparison: Comparison, codec: str) -> str:
    """What learning from compressed images wins back of the loss of the pre-trained model at an
    operating point; empty without it."""
    before = comparison.point(PRETRAINED, codec)
    name, parts = comparison.metric.name, []
    for recipe in comparison.recipes:
        after = comparison.point(recipe, codec)
        if not (after["trained"] == codec).any():
            continue
        change = paired_difference(after, before, name)
        if len(change):
            size = signed_points(float(change.mean()), float(change.std()))
            parts.append(f"{size} by {title_of(recipe)}")
    if not parts:
        return ""
    return f"To the pre-trained model at {codec}, training on compressed images adds " + (
        f"{_listed(parts)}."
    )


def _listed(parts: Sequence[str]) -> str:
    return " and ".join(", ".join(parts).rsplit(", ", 1)) if len(parts) > 1 else parts[0]


def _row(comparison: Comparison, codec: str, recipes: Sequence[str], gains: bool) -> list[str]:
    lossless = codec == LOSSLESS
    name = ORIGINALS if lossless else family(codec)
    psnr, ssim, size = (
        comparison.mean(column, codec)
        for column in ("test_psnr", "test_ssim", "test_bytes_per_image")
    )
    scores = [comparison.seeds(recipe, codec) for recipe in recipes]
    if lossless and comparison.rows["test_ssim"].notna().any():
        ssim = 1.0  # by definition, so that nobody measures it
    gain = comparison.gain(codec) if comparison.has_gain else None
    counts = [len(values) for values in scores if len(values)]
    return [
        f"{name}, {comparison.label}" if comparison.label else name,
        name_of_originals(comparison.rows) if lossless else _setting(codec),
        "∞" if psnr == math.inf else number(psnr, 2),
        number(ssim, 3),
        MISSING if size != size else f"{size:,.0f}",
        *(points(values.mean(), values.std(), _DIGITS) for values in scores),
        *([MISSING if gain is None else _signed(gain)] if gains else []),
        _span(counts, str) if counts else "0",
    ]


def _signed(values: pd.Series[float]) -> str:
    return signed_points(float(values.mean()), float(values.std()), _DIGITS)


def _setting(codec: str) -> str:
    """The part of a codec's spelling that its family has not: its operating point."""
    known = family(codec).partition(":")[2].split(",")
    options = codec.partition(":")[2].split(",")
    return ", ".join(option for option in options if option not in known) or MISSING


def _span(values: Sequence[float], spelled: Callable[[float], str]) -> str:
    least, most = spelled(min(values)), spelled(max(values))
    return least if least == most else f"{least} to {most}"


def pooled_sentences(pooled: pd.DataFrame) -> list[str]:
    """What the differences over all operating points say, one sentence for each set of images."""
    said = []
    for row in pooled.to_dict("records"):
        which = f"the {int(row['images'])} test images"
        if row["subset"]:
            which = f"the {int(row['images'])} of them that are called {row['subset']}"
        count = len(str(row["points"]).split())
        difference, low, high = (
            signed_points(row[name], digits=_DIGITS) for name in ("difference", "low", "high")
        )
        text = (
            f"Over {count} operating point{'s' if count > 1 else ''} and {which}, the difference "
            f"of {title_of(row['recipe'])} to {title_of(row['baseline'])} is {difference} points "
            f"(95 % interval {low} to {high}, {int(row['runs'])} pairs of runs); one of "
            f"{points(row['detectable'], digits=_DIGITS)} would have been told from 0."
        )
        if not row["chance_of_seeds"]:
            text += " With one seed a point, the chance of seeds is not in the interval."
        said.append(text)
    return said
