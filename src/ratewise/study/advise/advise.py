"""The advice: what to collect for a budget, or for an accuracy, and what the study cannot say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ratewise.errors import InputError
from ratewise.study.advise.cost import cost_points, pareto_front, reference_cost, size_text
from ratewise.study.advise.options import (
    RATE,
    STUDIED,
    Option,
    learning_curves,
    rate_options,
    studied,
)

if TYPE_CHECKING:
    import pandas as pd

_ALTERNATIVES = 5


@dataclass(frozen=True)
class Question:
    """One of ``budget`` (bytes), ``percent`` (of OO's bytes) and ``accuracy`` (0 to 1).

    ``images``: how many images the user can collect, where the study has its own number; costs
    and numbers of images are scaled to it. ``margin`` (0 to 1): by so much an estimate must lie
    above ``accuracy``. ``test`` is the channel that models are used on.
    """

    budget: float | None = None
    percent: float | None = None
    accuracy: float | None = None
    images: int | None = None
    margin: float = 0.0
    test: str = "O"
    auxiliary: bool = False


@dataclass(frozen=True)
class Advice:
    """The answer; ``best`` is None where the study has none.

    ``covered`` says whether the question lies within what was studied; ``alternatives`` are the
    next best, each another configuration, codec or kind of estimate; ``front`` is the
    Pareto front of the studied points. ``whole`` is OO's cost in bytes, if it was studied. Costs
    and images are the user's. ``notes`` are sentences about how far the answer carries.
    """

    best: Option | None
    covered: bool
    alternatives: tuple[Option, ...]
    front: tuple[Option, ...]
    whole: float | None
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "best": None if self.best is None else self._described(self.best),
            "covered": self.covered,
            "alternatives": [self._described(option) for option in self.alternatives],
            "front": [self._described(option) for option in self.front],
            "notes": list(self.notes),
        }

    def percent(self, option: Option) -> float | None:
        """An option's cost in per cent of OO's."""
        return 100 * option.cost / self.whole if self.whole else None

    def _described(self, option: Option) -> dict[str, Any]:
        values = {name: getattr(option, name) for name in ("configuration", "codec", "bpp")}
        return values | {
            "images": round(option.images),
            "bytes": round(option.cost),
            "percent": self.percent(option),
            "accuracy": option.accuracy,
            "std": option.std,
            "models": option.seeds,
            "basis": option.basis,
        }


def advise(results: pd.DataFrame, question: Question) -> Advice:
    """The answer of a study's result rows to a question.

    Raises :class:`InputError` for a question that is none, for no results, for a test channel that
    was not studied, and for a percentage where there is no OO.
    """
    _check(question)
    everything = cost_points(results, auxiliary=question.auxiliary)
    if not everything:
        raise InputError("no configuration has a result yet, so there is nothing to advise from")
    points = [point for point in everything if point.test == question.test]
    if not points:
        allowed = ", ".join(dict.fromkeys(point.test for point in everything))
        raise InputError(
            f"no configuration was tested on channel {question.test!r} (allowed: {allowed})"
        )
    own = reference_cost(everything)
    if question.percent is not None and own is None:
        raise InputError(
            "a cost in per cent is of OO's bytes, and the study has no OO on all originals: give "
            "a budget in bytes"
        )
    most = max(sample.images for point in everything for sample in point.samples)
    scale = 1.0 if question.images is None else question.images / most
    curves = learning_curves(points)
    known = studied(points)
    estimated = [option for curve in curves for option in curve.options()] + rate_options(points)
    asked = _limited(question, own, scale)
    ranked = _ranked(asked, [*known, *estimated])
    covered, notes = _coverage(asked, known, own, scale)
    if ranked:
        notes += _closeness(ranked, asked)
        notes += _what_it_rests_on(known, curves=bool(curves))
    if question.images is not None:
        notes.append(
            f"Costs and numbers of images are scaled from the study's {most:,} to "
            f"{question.images:,} images; the accuracies are the study's own."
        )
    prepare = str(results["prepare"].iloc[0]) if "prepare" in results else ""
    notes.append(f"Bytes are those of the study's images as prepared{prepare and f' ({prepare})'}.")
    return Advice(
        _scaled(ranked[0], scale) if ranked else None,
        covered,
        tuple(_scaled(option, scale) for option in _others(ranked)),
        tuple(_scaled(option, scale) for option in pareto_front(known)),
        None if own is None else own * scale,
        tuple(notes),
    )


def parse_accuracy(text: str) -> float:
    """An accuracy from 0 to 1, of ``0.70``, ``70`` or ``70%``. Raises :class:`InputError`.

    Under 1 it is a fraction, over 1 points; 1 itself could be either, and is refused.
    """
    try:
        value = float(text.removesuffix("%"))
    except ValueError:
        value = float("nan")
    if text.endswith("%") and 0 < value < 100:
        return value / 100
    if text.endswith("%") or value == 1 or not 0 < value < 100:
        raise InputError(
            f"accuracy {text!r} is not known: write a fraction below 1 (0.70) or points between 1 "
            "and 100 (70)"
        )
    return value if value < 1 else value / 100


def parse_percent(text: str) -> float:
    """A cost in per cent of OO's bytes, of ``2%`` or ``2``. Raises :class:`InputError`."""
    try:
        value = float(text.removesuffix("%"))
    except ValueError:
        value = float("nan")
    if not 0 < value <= 1000:
        raise InputError(f"cost {text!r} is not known: write per cent of OO's bytes, such as 2%")
    return value


def _check(question: Question) -> None:
    given = [question.budget, question.percent, question.accuracy]
    if sum(value is not None for value in given) != 1:
        raise InputError("ask for one of a budget, a cost and an accuracy")
    if any(value is not None and value <= 0 for value in given):
        raise InputError("a budget, a cost or an accuracy must be over 0")
    if question.margin and question.accuracy is None:
        raise InputError("a margin goes with an accuracy")
    if question.margin < 0:
        raise InputError("a margin cannot be below 0")


@dataclass(frozen=True)
class _Asked:
    """The question on the study's own scale: at most so many bytes, or at least so accurate."""

    limit: float | None
    target: float


def _limited(question: Question, own: float | None, scale: float) -> _Asked:
    if question.accuracy is not None:
        return _Asked(None, question.accuracy + question.margin)
    if question.percent is not None:
        return _Asked((own or 0.0) * question.percent / 100, 0.0)
    return _Asked((question.budget or 0.0) / scale, 0.0)


def _ranked(asked: _Asked, options: Sequence[Option]) -> list[Option]:
    """The options that meet what is asked, best first; of equals the studied one."""
    if asked.limit is not None:
        meeting = [option for option in options if option.cost <= asked.limit]
        return sorted(meeting, key=lambda o: (-o.accuracy, o.cost, o.basis != STUDIED))
    meeting = [option for option in options if option.accuracy >= asked.target]
    return sorted(meeting, key=lambda o: (o.cost, -o.accuracy, o.basis != STUDIED))


def _others(ranked: Sequence[Option]) -> list[Option]:
    seen: set[tuple[str, str, str]] = set()
    others = []
    for option in ranked:
        codec = option.family if option.basis == RATE else option.codec
        key = (option.configuration, codec, option.basis)
        if key not in seen:
            seen.add(key)
            others.append(option)
    return others[1 : _ALTERNATIVES + 1]


def _coverage(
    asked: _Asked, known: Sequence[Option], own: float | None, scale: float
) -> tuple[bool, list[str]]:
    """Whether what is asked lies within what was studied, and a sentence if it does not."""

    def priced(option: Option) -> str:
        share = f" ({100 * option.cost / own:.3g} % of OO's bytes)" if own else ""
        return f"{_named(option)} at {size_text(option.cost * scale)}{share}"

    cheapest, dearest = (choose(known, key=lambda o: o.cost) for choose in (min, max))
    if asked.limit is not None:
        if asked.limit < cheapest.cost:
            return False, [
                f"The study does not cover so little: the cheapest that it studied is "
                f"{priced(cheapest)}."
            ]
        if asked.limit > dearest.cost:
            return False, [
                f"The study does not cover so much: the dearest that it studied is "
                f"{priced(dearest)}, and what more data would buy is not known."
            ]
        return True, []
    best = max(known, key=lambda o: o.accuracy)
    if best.accuracy < asked.target:
        return False, [
            f"Nothing in the study reaches it: the most accurate is {priced(best)} with "
            f"{_score(best)} points."
        ]
    if cheapest.accuracy >= asked.target:
        return False, [
            f"The cheapest that was studied, {priced(cheapest)}, reaches it already; what is "
            "cheaper still was not studied."
        ]
    return True, []


def _closeness(ranked: Sequence[Option], asked: _Asked) -> list[str]:
    """A sentence where the spread leaves the answer open."""
    best, others = ranked[0], _others(ranked)
    if asked.limit is None and best.accuracy - best.std < asked.target:
        return ["It lies less than one standard deviation above what was asked."]
    rivals = [o for o in others if (o.configuration, o.family) != (best.configuration, best.family)]
    if asked.limit is None or not rivals:
        return []
    gap, spread = best.accuracy - rivals[0].accuracy, (best.std**2 + rivals[0].std ** 2) ** 0.5
    if gap < spread:
        return [f"{_named(rivals[0])} is within the spread of it: the choice is not settled."]
    return []


def _what_it_rests_on(known: Sequence[Option], *, curves: bool) -> list[str]:
    notes = []
    if max(option.seeds for option in known) == 1:
        notes.append("One seed per point: the spread between seeds is not known.")
    if not curves:
        notes.append(
            "No configuration was studied with three or more numbers of images, so there is no "
            "learning curve: numbers of images are only those that were studied."
        )
    return notes


def _named(option: Option) -> str:
    return f"{option.configuration} ({option.codec}, {option.images:.0f} images)"


def _score(option: Option) -> str:
    spread = "" if option.std != option.std else f" ± {100 * option.std:.1f}"
    return f"{100 * option.accuracy:.1f}{spread}"


def _scaled(option: Option, scale: float) -> Option:
    return replace(option, cost=option.cost * scale, images=option.images * scale)
