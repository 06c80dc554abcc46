"""Result rows ready for comparison: points that differ in nothing but what is compared."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ratewise.data.classes import Classes
from ratewise.metrics.paired import Estimate, student
from ratewise.report.bitstreams import without_bitstreams
from ratewise.report.naming import REFERENCE
from ratewise.report.tables import (
    ORIGINALS,
    SETTINGS,
    class_names,
    family,
    group_names,
    tidy,
)

if TYPE_CHECKING:
    import pandas as pd

SMALL, BIG = "small objects", "big objects"
OVERALL = "miou"


@dataclass(frozen=True)
class Point:
    """One configuration at one codec: channels (``RO``, ``o+cO``), its shares (``@12.5%``), and the
    restorer's name where it has one."""

    pair: str
    share: str = ""
    restorer: str = ""

    @property
    def name(self) -> str:
        """As the paper writes it: ``rO@12.5%``."""
        return f"{self.pair}{self.share}"


@dataclass(frozen=True)
class Context:
    """The tidy rows of one data set, preparation, task, model and recipe.

    ``label`` tells it from the others of the results; it is empty where there is only one.
    ``restorers`` are the names in the rows, the study's first one first.
    """

    label: str
    rows: pd.DataFrame
    restorers: Sequence[str]
    _known: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def main_restorer(self) -> str:
        """The restorer that stands for R where one has to; empty without any."""
        return self.restorers[0] if self.restorers else ""

    def at(self, point: Point, codec: str) -> pd.DataFrame:
        """The rows of a point: at ``codec``, or wherever it needs none. Perhaps none."""
        rows = self.rows
        found = (rows["pair"] == point.pair) & (rows["train_share"] == point.share)
        found &= rows["restorer"] == point.restorer
        return rows[found & rows["codec"].isin([codec, ORIGINALS])]

    def seeds(self, point: Point, codec: str, metric: str = OVERALL) -> pd.Series[float]:
        """The metric of each seed of a point, indexed by seed; those without a value are absent."""
        found: pd.Series[float] = self._means(point, codec)[metric].dropna()
        return found

    def has(self, point: Point, codec: str) -> bool:
        """Whether the point has a row with an mIoU."""
        return len(self.seeds(point, codec)) > 0

    def codecs(self) -> list[str]:
        """The codecs of the rows, one on both sides, by family and then from low to high rate."""
        found: list[str] = self._once("codecs", self._codecs)
        return found

    def _codecs(self) -> list[str]:
        rows = self.rows[(self.rows["codec"] != ORIGINALS)]
        names = [str(c) for c in dict.fromkeys(rows["codec"]) if " to " not in str(c)]
        families = list(dict.fromkeys(self.family(name) for name in names))
        return sorted(names, key=lambda c: (families.index(self.family(c)), self.rate(c), c))

    def family(self, codec: str) -> str:
        """The family of a codec that the rows have."""
        return family(codec)

    def harshest(self) -> list[str]:
        """The codec of the lowest rate of each family."""
        first: dict[str, str] = {}
        for codec in self.codecs():
            first.setdefault(self.family(codec), codec)
        return list(first.values())

    def rate(self, codec: str) -> float:
        """Bits per pixel of a codec: of the training images where these are compressed."""
        return float(self._once(("rate", codec), lambda: self._rate(codec)))

    def _rate(self, codec: str) -> float:
        rows = self.rows[self.rows["codec"] == codec]
        whole = ~rows["pair"].str.startswith("o")
        for side, chosen in (
            ("train_bpp", whole & ~rows["pair"].str.startswith("O")),
            ("test_bpp", ~rows["pair"].str.endswith("O")),
        ):
            known = rows.loc[chosen, side].dropna()
            if len(known):
                return float(known.mean())
        return float(rows["rate"].mean())

    def where(self, codec: str) -> str:
        """A codec and its rate in words: ``bpg:qp=46 (0.126 bpp)``."""
        rate = self.rate(codec)
        text = f"{codec} ({rate:.2g} bpp)" if rate == rate else codec
        return f"{text}, {self.label}" if self.label else text

    def points(self, pair: str) -> list[Point]:
        """All points of these channels that the rows have, in their order."""
        rows = self.rows[self.rows["pair"] == pair]
        found = zip(rows["train_share"], rows["restorer"], strict=True)
        return [Point(pair, share, restorer) for share, restorer in dict.fromkeys(found)]

    def change(
        self, before: Point, after: Point, codec: str, metric: str = OVERALL
    ) -> Estimate | None:
        """``after`` minus ``before`` at a codec, paired by seed; None where no seed has both."""
        if metric not in self.rows:
            return None
        values, base = self.seeds(after, codec, metric), self.seeds(before, codec, metric)
        return student((values - base).dropna())

    def _means(self, point: Point, codec: str) -> pd.DataFrame:
        """The means of a point's rows by seed, of every metric."""

        def means() -> pd.DataFrame:
            metrics = [OVERALL, *(c for c in self.rows if str(c).startswith(("iou:", "miou:")))]
            return self.at(point, codec).groupby("seed")[metrics].mean()

        found: pd.DataFrame = self._once((point, codec), means)
        return found

    def _once(self, key: Any, make: Callable[[], Any]) -> Any:
        if key not in self._known:
            self._known[key] = make()
        return self._known[key]


def contexts(
    results: pd.DataFrame, restorers: Iterable[str] = (), classes: Classes | None = None
) -> list[Context]:
    """The rows of each data set, preparation, task, model and recipe of ``results``.

    A context without OO takes that of the standard recipe. A codec that is a model itself has none:
    it is not trained on one channel or another. ``restorers`` orders restorers that
    the rows have; ``classes`` tells which classes are small (:func:`with_sizes`).
    """
    import pandas as pd

    results = without_bitstreams(results)
    if results.empty:
        return []
    rows = tidy(with_sizes(results, classes))
    names = [str(name) for name in dict.fromkeys(rows["restorer"]) if name]
    ranked = [name for name in restorers if name in names]
    ranked += [name for name in names if name not in ranked]
    vary = [name for name in SETTINGS if rows[name].nunique() > 1]
    found = []
    for _, own in rows.groupby(list(SETTINGS), sort=False):
        first = own.iloc[0]
        if not (own["configuration"].str.split(" · ").str[0] == REFERENCE).any():
            same = (rows["pair"] + rows["train_share"] == REFERENCE) & (
                rows["recipe"] == "standard"
            )
            for name in SETTINGS[:-1]:
                same &= rows[name] == first[name]
            own = pd.concat([own, rows[same]], ignore_index=True)
        label = " · ".join(str(first[name]) for name in vary if first[name])
        found.append(Context(label, own, ranked))
    return found


def sizes(results: pd.DataFrame, classes: Classes | None) -> tuple[list[str], list[str]]:
    """The names of the classes of small and of big objects; nothing where it is not known.

    Small are those of the data set's group of that name, big the rest. Without ``classes`` the
    data set's own are taken, if the rows name one that is known.
    """
    known = classes or _published(results)
    group = next((name for name in known.groups if "small" in name), None) if known else None
    if known is None or group is None:
        return [], []
    names = class_names(results)
    small = [name for name in names if name in known.groups[group]]
    return small, [name for name in names if name not in small]


def with_sizes(results: pd.DataFrame, classes: Classes | None) -> pd.DataFrame:
    """``results`` with the columns ``miou:small objects`` and ``miou:big objects`` (means of the
    classes that have an IoU), where it is known which classes are small."""
    small, big = sizes(results, classes)
    rows = results.copy()
    for name, members in ((SMALL, small), (BIG, big)):
        if members and name not in group_names(results):
            rows[f"miou:{name}"] = rows[[f"iou:{member}" for member in members]].mean(axis=1)
    return rows


def _published(results: pd.DataFrame) -> Classes | None:
    names = set(results["data"].dropna()) if "data" in results else set()
    if names == {"camvid"}:
        from ratewise.data import camvid

        return camvid.CLASSES
    if names == {"cityscapes"}:
        from ratewise.data import cityscapes

        return cityscapes.CLASSES
    if names == {"semantic_drone"}:
        from ratewise.data import semantic_drone

        return semantic_drone.CLASSES
    return None
