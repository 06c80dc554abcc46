"""Models that are trained on one codec and tested on another, cells of a generalisation matrix."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from ratewise.report.tables import SETTINGS, tidy
from ratewise.study.channels import LOSSLESS

if TYPE_CHECKING:
    import pandas as pd

_PAIRS = ("OO", "OC", "CO", "CC")


def cells(rows: pd.DataFrame) -> pd.DataFrame:
    """Those of the tidy ``rows`` that are cells of a matrix, with columns ``trained`` and
    ``tested``: codecs, :data:`LOSSLESS` for originals. Restored, mixed and fewer images are none.
    """
    own = rows[rows["pair"].isin(_PAIRS) & (rows["train_share"] == "")].copy()
    for name, side in (("trained", "train"), ("tested", "test")):
        own[name] = own[f"{side}_codec"].where(own[f"{side}_channel"] == "C", LOSSLESS)
    return own


def crossed(own: pd.DataFrame) -> pd.Series[bool]:
    """Which cells have a different lossy codec on either side."""
    lossy = (own["trained"] != LOSSLESS) & (own["tested"] != LOSSLESS)
    return lossy & (own["trained"] != own["tested"])


def is_matrix(own: pd.DataFrame) -> bool:
    """Whether cells of one recipe make a matrix: some two codecs to train on were each tested on
    the same two, and some model on another lossy codec than its own.

    OO, CO, OC and CC at one codec are none: they are what every study has.
    """
    if not crossed(own).any():
        return False
    tested = [set(group["tested"]) for _, group in own.groupby("trained")]
    return any(len(one & other) > 1 for one, other in combinations(tested, 2))


def without_crossed(results: pd.DataFrame) -> pd.DataFrame:
    """Result rows less the crossed cells of matrices, which would swamp other tables and plots."""
    if results.empty:
        return results
    own = cells(tidy(results))
    hidden: set[int] = set()
    for _, group in own.groupby(list(SETTINGS), sort=False):
        if is_matrix(group):
            hidden |= set(group.index[crossed(group)])
    return results[[index not in hidden for index in range(len(results))]] if hidden else results
