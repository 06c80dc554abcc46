"""Advice (:mod:`ratewise.study.advise`) as sentences, and as tables of text."""

from __future__ import annotations

from ratewise.report.text import MISSING, number, points
from ratewise.study.advise.advise import Advice
from ratewise.study.advise.cost import ORIGINALS, size_text
from ratewise.study.advise.options import LEARNING, RATE, STUDIED, Option


def titles(metric: str) -> tuple[str, ...]:
    """The columns of :func:`option_row`; ``metric`` is what the study measures."""
    known = ("configuration", "codec", "bpp", "images", "to collect", "of OO")
    return (*known, metric, "models", "from")


_BASIS = {
    STUDIED: "the study",
    LEARNING: "its learning curve",
    RATE: "between two rates of the study",
}


def best_sentence(advice: Advice, metric: str) -> str:
    """What to collect, in one sentence; what there is none of, in another. ``metric`` is what the
    study measures."""
    option = advice.best
    if option is None:
        return "The study has no answer."
    how = "at a rate " if option.basis == RATE else "through "
    through = "" if option.codec == ORIGINALS else f" {how}{option.codec}"
    percent = advice.percent(option)
    share = "" if percent is None else f", {percent:.3g} % of OO's bytes"
    return (
        f"Collect {option.images:,.0f} images{through} ({option.configuration}, "
        f"{number(option.bpp, 3)} bpp): {size_text(option.cost)}{share}. "
        f"{metric}: {points(option.accuracy, option.std)} points, {_certainty(option)}."
    )


def option_row(advice: Advice, option: Option) -> list[str]:
    """One option as text, by :func:`titles`."""
    percent = advice.percent(option)
    return [
        option.configuration,
        option.codec,
        number(option.bpp, 3),
        f"{option.images:.0f}",
        size_text(option.cost),
        MISSING if percent is None else f"{percent:.3g} %",
        points(option.accuracy, option.std),
        str(option.seeds),
        _BASIS[option.basis],
    ]


def _certainty(option: Option) -> str:
    """Where the accuracy comes from, and what its spread is."""
    if option.basis == LEARNING:
        known = (
            "± the standard deviation of one more model"
            if option.std == option.std
            else ("too few for its uncertainty to be known")
        )
        return f"from a learning curve of {option.seeds} models ({known})"
    where = "measured" if option.basis == STUDIED else "interpolated between two rates"
    if option.seeds == 1:
        return f"{where} with one seed, so its spread is not known"
    return f"{where} with {option.seeds} seeds (± their standard deviation)"
