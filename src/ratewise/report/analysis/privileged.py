"""How much privileged data it takes (the driving paper's Fig. 8): oO@p against rO@p over the rate.

oO@p is trained on that share of the originals alone, so that its mIoU does not depend on the rate;
rO@p on all images, restored by a restorer that saw that share.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ratewise.errors import InputError
from ratewise.metrics.crossing import Crossings, crossings
from ratewise.report.analysis.contexts import Context, Point
from ratewise.report.analysis.table import Table, signed_estimate
from ratewise.report.naming import share
from ratewise.report.tables import ORIGINALS
from ratewise.report.text import MISSING, number, points

if TYPE_CHECKING:
    import pandas as pd

_SAME = 0.02  # relative difference of privileged bytes up to which two points rest on one set


@dataclass(frozen=True)
class Comparison:
    """oO@p and the points restored on the same share, in one family of codecs.

    ``crossings`` are those of restored minus originals alone, of means over seeds; None, with the
    ``reason``, where they cannot be found.
    """

    context: Context
    family: str
    alone: Point
    restored: Point
    codecs: Sequence[str]
    crossings: Crossings | None
    reason: str = ""

    @property
    def sentence(self) -> str:
        """Where the two cross, in words."""
        names = f"{self.restored.name} and {self.alone.name}"
        if self.crossings is None:
            return f"Whether {names} cross with {self.family} is not known: {self.reason}."
        if not self.crossings.rates:
            sign = self.crossings.below or self.crossings.above
            better = self.restored.name if sign > 0 else self.alone.name
            return (
                f"{names} do not cross in the rates studied with {self.family}: {better} is better "
                f"at all of them, by {self._sizes()} points."
            )
        rates = " and ".join(f"{number(rate, 3)} bpp" for rate in self.crossings.rates)
        first, last = (
            self.restored.name if sign > 0 else self.alone.name
            for sign in (self.crossings.below, self.crossings.above)
        )
        text = f"{names} cross at {rates} with {self.family} (interpolated)"
        return f"{text}: {first} is better at the lowest rate, {last} at the highest."

    def _sizes(self) -> str:
        """The smallest and the largest difference of means, in points."""
        found = [self.context.change(self.alone, self.restored, codec) for codec in self.codecs]
        sizes = sorted(100 * abs(e.mean) for e in found if e is not None)
        low, high = number(sizes[0]), number(sizes[-1])
        return low if low == high else f"{low} to {high}"


def comparisons(found: Iterable[Context]) -> list[Comparison]:
    """Each share p that the rows have alone (oO@p) and restored (rO@p, or RO where it rests on as
    many bytes of originals), with the study's first restorer."""
    return [
        _compare(context, family, alone, restored)
        for context in found
        for family in dict.fromkeys(context.family(codec) for codec in context.codecs())
        for alone in _by_share(context.points("oO"))
        if (restored := _twin(context, alone, family)) is not None
    ]


def shares_used(context: Context) -> list[str]:
    """The privileged shares (``@12.5%``) of oO and rO in the rows, ascending."""
    found = [*context.points("oO"), *context.points("rO")]
    return list(dict.fromkeys(p.share for p in _by_share(found) if "#" not in p.share))


def privileged_table(found: Sequence[Comparison]) -> Table:
    """mIoU of both and their difference, by operating point."""
    rows = [
        [
            c.context.where(codec),
            f"{c.restored.name} against {c.alone.name}",
            _score(c.context, c.restored, codec),
            _score(c.context, c.alone, codec),
            signed_estimate(c.context.change(c.alone, c.restored, codec)),
        ]
        for context in dict.fromkeys(c.context.label for c in found)
        for codec in dict.fromkeys(x for c in found if c.context.label == context for x in c.codecs)
        for c in found
        if c.context.label == context and codec in c.codecs
    ]
    return Table(["codec", "comparison", "restored", "originals alone", "difference"], rows)


def _score(context: Context, point: Point, codec: str) -> str:
    values = context.seeds(point, codec)
    return points(values.mean(), values.std()) if len(values) else MISSING


def _by_share(found: Iterable[Point]) -> list[Point]:
    return sorted((p for p in found if "#" not in p.share), key=lambda p: share(p.share))


def _twin(context: Context, alone: Point, family: str) -> Point | None:
    """The restored point that rests on the same privileged share."""
    restorer = context.main_restorer
    for point in (Point("rO", alone.share, restorer), Point("RO", "", restorer)):
        if not _codecs(context, point, family):
            continue
        if point.share:
            return point
        rows = context.rows
        own = float(rows.loc[_is(rows, point), "bytes_privileged"].mean())
        other = float(context.at(alone, ORIGINALS)["bytes_privileged"].mean())
        if own > 0 and abs(own - other) <= _SAME * own:
            return point
    return None


def _is(rows: pd.DataFrame, point: Point) -> pd.Series[bool]:
    same = (rows["pair"] == point.pair) & (rows["train_share"] == point.share)
    return same & (rows["restorer"] == point.restorer)


def _codecs(context: Context, point: Point, family: str) -> list[str]:
    return [c for c in context.codecs() if context.family(c) == family and context.has(point, c)]


def _compare(context: Context, family: str, alone: Point, restored: Point) -> Comparison:
    used = _codecs(context, restored, family)
    estimates = [context.change(alone, restored, codec) for codec in used]
    known = [
        (context.rate(codec), estimate.mean)
        for codec, estimate in zip(used, estimates, strict=True)
        if estimate is not None
    ]
    try:
        found = crossings([rate for rate, _ in known], [value for _, value in known])
    except InputError:
        count = len(known)
        reason = f"{count} operating {'point' if count == 1 else 'points'} only"
        return Comparison(context, family, alone, restored, used, None, reason)
    return Comparison(context, family, alone, restored, used, found)
