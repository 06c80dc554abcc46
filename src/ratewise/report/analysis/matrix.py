"""Generalisation matrices: train on one codec, test on all (expert-training paper, Fig. 5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ratewise.report.analysis.recipes import (
    EXPERT,
    FINETUNE,
    PRETRAINED,
    STANDARD,
    ordered,
    title_of,
)
from ratewise.report.crossed import cells, crossed, is_matrix
from ratewise.report.metric import metric_of
from ratewise.report.tables import SETTINGS, name_of_originals, paired_difference, tidy
from ratewise.report.text import markdown, points, signed_points
from ratewise.study.channels import LOSSLESS

if TYPE_CHECKING:
    import pandas as pd

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Matrix:
    """One map: ``values (trained, tested)`` from 0 to 1, means over seeds, NaN where missing.

    ``codecs`` names the columns and the last rows; ``rows`` the rows, of which the first is the
    pre-trained model's where there is one. ``difference``: the values are differences;
    ``originals``: the first codec is none, but the originals.
    """

    title: str
    rows: tuple[str, ...]
    codecs: tuple[str, ...]
    values: Values
    difference: bool = False
    originals: bool = False

    @property
    def has_reference(self) -> bool:
        """Whether the first row is that of the pre-trained model, which no codec trained."""
        return len(self.rows) > len(self.codecs)

    def text(self, row: int, column: int) -> str:
        """A cell in points; "-" where it is missing."""
        value = float(self.values[row, column])
        return signed_points(value) if self.difference else points(value)

    def markdown(self) -> str:
        """The map as a Markdown table under its title."""
        body = [
            [name, *(self.text(i, j) for j in range(len(self.codecs)))]
            for i, name in enumerate(self.rows)
        ]
        table = markdown(["trained on \\ tested on", *self.codecs], body, (0,))
        said = f"\n\n- {self.sentence}" if self.sentence else ""
        return f"**{self.title}**\n\n{table}{said}"

    @property
    def sentence(self) -> str:
        """What differences say of models that are tested on another codec than they were trained
        on, and of those trained on originals alone; empty for a map of scores."""
        if not self.difference:
            return ""
        elsewhere = ~np.eye(len(self.codecs), dtype=bool) & ~np.isnan(self.values)
        if not elsewhere.any():
            return ""
        found = self.values[elsewhere]
        low, high = signed_points(float(found.min())), signed_points(float(found.max()))
        told = (
            f"Tested on another codec than they were trained on, models differ by "
            f"{signed_points(float(found.mean()))} points in the mean ({low} to {high}); "
            f"{int((found > 0).sum())} of {len(found)} differences are above 0."
        )
        first = self.values[0, 1:]
        if self.originals and not np.isnan(first).any():
            told += f" Trained on originals: {signed_points(float(first.mean()))} in the mean."
        return told


@dataclass(frozen=True)
class Matrices:
    """The maps of one data set, preparation, task and model: a row and a column per codec, the
    same in all. ``label`` tells them from the others of the results; empty where there are none."""

    label: str
    maps: Sequence[Matrix]


def matrices(results: pd.DataFrame, codecs: Sequence[str] = ()) -> list[Matrices]:
    """A map per recipe that has a matrix (:func:`~ratewise.report.crossed.is_matrix`), and that of
    expert training minus fine-tuning, or minus plain training, where both have one.

    Rows and columns are originals first, then in the order of ``codecs``, then of the rows. Codecs
    that no crossed cell has are left out. Scores are means over the seeds that all cells of a map
    have, if there are such: some points may have further ones. Differences are paired by seed.
    """
    if results.empty:
        return []
    rows, name = tidy(results), metric_of(results).name
    apart = SETTINGS[:-1]
    vary = [setting for setting in apart if rows[setting].nunique() > 1]
    found = []
    for _, own in cells(rows).groupby(list(apart), sort=False):
        of_recipe = {recipe: own[own["recipe"] == recipe] for recipe in ordered([*own["recipe"]])}
        whole = {
            recipe: _of_common_seeds(group)
            for recipe, group in of_recipe.items()
            if is_matrix(group)
        }
        if not whole:
            continue
        used = _codecs(list(whole.values()), codecs)
        reference = of_recipe.get(PRETRAINED)
        maps = [_map(recipe, group, used, name, reference) for recipe, group in whole.items()]
        baseline = FINETUNE if FINETUNE in whole else STANDARD
        if {EXPERT, baseline} <= set(whole):
            pair = of_recipe[EXPERT], of_recipe[baseline]  # with every seed that both have
            maps.append(_difference(*pair, baseline, used, name))
        label = " · ".join(str(own.iloc[0][setting]) for setting in vary)
        found.append(Matrices(label, maps))
    return found


def _of_common_seeds(own: pd.DataFrame) -> pd.DataFrame:
    """The rows of the seeds that every cell has; all rows where there is no such seed."""
    seeds = [set(cell["seed"]) for _, cell in own.groupby(["trained", "tested"])]
    common = set.intersection(*seeds)
    return own[own["seed"].isin(common)] if common else own


def _codecs(groups: Sequence[pd.DataFrame], asked: Sequence[str]) -> tuple[str, ...]:
    """The lossy codecs of crossed cells, after :data:`LOSSLESS` where models saw originals."""
    seen = {
        codec
        for group in groups
        for side in ("trained", "tested")
        for codec in group.loc[crossed(group), side]
    }
    order = [*asked, *(c for group in groups for c in (*group["trained"], *group["tested"]))]
    lossless = any(
        (group[side] == LOSSLESS).any() for group in groups for side in ("trained", "tested")
    )
    lossy = [str(codec) for codec in dict.fromkeys(order) if codec in seen]
    return (*((LOSSLESS,) if lossless else ()), *lossy)


def _map(
    recipe: str,
    own: pd.DataFrame,
    codecs: tuple[str, ...],
    metric: str,
    reference: pd.DataFrame | None,
) -> Matrix:
    rows = [
        [own[(own["trained"] == train) & (own["tested"] == test)][metric].mean() for test in codecs]
        for train in codecs
    ]
    names = [_shown(codec, name_of_originals(own)) for codec in codecs]
    above: list[list[float]] = []
    if reference is not None:
        above = [[reference[reference["tested"] == test][metric].mean() for test in codecs]]
    return Matrix(
        title_of(recipe),
        (*([title_of(PRETRAINED)] if above else []), *names),
        tuple(names),
        np.array([*above, *rows], np.float64),
    )


def _difference(
    expert: pd.DataFrame,
    baseline: pd.DataFrame,
    name: str,
    codecs: tuple[str, ...],
    metric: str,
) -> Matrix:
    def cell(train: str, test: str) -> float:
        own, other = (
            group[(group["trained"] == train) & (group["tested"] == test)]
            for group in (expert, baseline)
        )
        return float(paired_difference(own, other, metric).mean())

    names = tuple(_shown(codec, name_of_originals(expert)) for codec in codecs)
    values = np.array([[cell(train, test) for test in codecs] for train in codecs])
    title = f"{title_of(EXPERT)} minus {title_of(name)}"
    return Matrix(title, names, names, values, difference=True, originals=LOSSLESS in codecs[:1])


def _shown(codec: str, originals: str) -> str:
    return originals if codec == LOSSLESS else codec
