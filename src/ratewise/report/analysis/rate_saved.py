"""How many bits a remedy saves at equal accuracy, from curves of mIoU over the rate."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ratewise.errors import InputError
from ratewise.metrics.bjontegaard import MINIMUM_POINTS, Curve, curve
from ratewise.metrics.crossing import AboveCurveError, rate_at
from ratewise.metrics.paired import Estimate, student
from ratewise.report.analysis.contexts import Context, Point
from ratewise.report.analysis.table import Table
from ratewise.report.text import MISSING, number, points

REFERENCE = Point("CO")


@dataclass(frozen=True)
class Saved:
    """The rate at which ``point`` is as good as CO is at ``codec``, whose mIoU is ``level``.

    ``rate`` is the mean over seeds of the rate that suffices, ``saved`` the share of CO's bits that
    it saves, paired by seed (below 0: it needs more). Both are None unless every seed gives one,
    and ``reason`` says why. ``at_least`` is the saving that the lowest rate studied is worth, where
    the mIoU is above the level there already. ``answered`` of ``seeds`` gave a rate.
    """

    context: Context
    point: Point
    codec: str
    level: float
    rate: float | None
    saved: Estimate | None
    at_least: float | None
    seeds: int
    answered: int
    reason: str = ""


def rates_saved(found: Iterable[Context]) -> list[Saved]:
    """For RO, AO (the study's first restorer) and CC against CO in each family of codecs, at each
    of its operating points."""
    saved = []
    for context in found:
        for codec in context.codecs():
            if not context.has(REFERENCE, codec):
                continue
            family = [c for c in context.codecs() if context.family(c) == context.family(codec)]
            saved += [
                _saved(context, point, codec, family)
                for pair in ("RO", "AO", "CC")
                for point in context.points(pair)
                if not point.share
                and point.restorer in ("", context.main_restorer)
                and any(context.has(point, c) for c in family)
            ]
    return saved


def saved_table(found: Sequence[Saved]) -> Table:
    """The savings as a table: by operating point of CO, what the others need for its accuracy."""
    rows = [
        [
            s.context.where(s.codec),
            s.point.name,
            points(s.level),
            number(s.rate, 3),
            _percent(s),
            f"{s.answered} of {s.seeds}",
            s.reason,
        ]
        for s in found
    ]
    titles = ["CO at", "instead", "mIoU of CO", "bpp needed", "bits saved", "seeds", "note"]
    return Table(titles, rows, (0, 1, 6))


def saved_sentence(found: Sequence[Saved]) -> str:
    """The saving by RO (or AO, or CC) at the highest rate that has one; why there is none; or
    nothing."""
    if not found:
        return ""
    first = found[0].point.pair
    own = [s for s in found if s.point.pair == first]
    known = [s for s in own if s.saved is not None]
    if not known:
        bounded = [s for s in own if s.at_least is not None]
        if not bounded:
            return f"No saving of {first} at the mIoU of CO can be stated: {own[-1].reason}."
        best = max(bounded, key=lambda s: s.at_least or 0.0)
        return (
            f"{first} is better than CO at {best.context.where(best.codec)} already at the lowest "
            f"rate studied: it saves {number(100 * (best.at_least or 0), 0)} % of the bits at "
            "least."
        )
    best = max(known, key=lambda s: s.context.rate(s.codec))
    assert best.saved is not None
    more = "of the bits" if best.saved.mean >= 0 else "more bits"
    verb = "saves" if best.saved.mean >= 0 else "needs"
    size = best.saved if best.saved.mean >= 0 else -best.saved
    spread = ""
    if size.has_interval:
        low, high = (number(100 * value, 0) for value in (size.low, size.high))
        spread = f" (95 % interval {low} to {high} %)"
    seeds = "one seed" if best.seeds == 1 else f"{best.seeds} seeds"
    return (
        f"For the {points(best.level)} points that CO reaches at {best.context.where(best.codec)}, "
        f"{first} {verb} {number(100 * size.mean, 0)} %{spread} {more}: "
        f"{number(best.rate, 3)} bpp suffice ({seeds})."
    )


def _saved(context: Context, point: Point, codec: str, family: Sequence[str]) -> Saved:
    reference = context.seeds(REFERENCE, codec)
    anchor = context.rate(codec)
    lowest = min(context.rate(c) for c in family if context.has(point, c))
    rates: list[float] = []
    reasons: list[str] = []
    above = 0
    for seed, level in reference.items():
        try:
            rates.append(rate_at(_curve(context, point, family, seed), float(level)))
        except InputError as error:
            above += isinstance(error, AboveCurveError)
            reasons.append(str(error).replace("the curve", point.name))
    complete = len(rates) == len(reference)
    bounded = above == len(reference) and lowest < anchor
    return Saved(
        context,
        point,
        codec,
        level=float(reference.mean()),
        rate=sum(rates) / len(rates) if complete else None,
        saved=student([1 - rate / anchor for rate in rates]) if complete else None,
        at_least=1 - lowest / anchor if bounded else None,
        seeds=len(reference),
        answered=len(rates),
        reason="; ".join(dict.fromkeys(reasons)),
    )


def _curve(context: Context, point: Point, family: Sequence[str], seed: Any) -> Curve:
    rates, scores = [], []
    for codec in family:
        values = context.seeds(point, codec)
        if seed in values.index:
            rates.append(context.rate(codec))
            scores.append(float(values.loc[seed]))
    cleaned = curve(rates, scores)
    if len(cleaned) < MINIMUM_POINTS <= len(rates):
        raise InputError("the curve does not rise with the rate")
    return cleaned


def _percent(saved: Saved) -> str:
    if saved.saved is None:
        return MISSING if saved.at_least is None else f"over {number(100 * saved.at_least, 0)} %"
    text = f"{number(100 * saved.saved.mean, 0)} %"
    if not saved.saved.has_interval:
        return text
    low, high = (number(100 * value, 0) for value in (saved.saved.low, saved.saved.high))
    return f"{text} [{low}, {high}]"
