"""A table of text that a report and a document both have."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ratewise.metrics.paired import Estimate
from ratewise.report.text import MISSING, markdown, number


@dataclass(frozen=True)
class Table:
    """Titles and rows of text; the columns ``words`` are text, the others numbers.

    The first column names what several rows one after the other have in common.
    """

    titles: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: Collection[int] = (0, 1)

    def markdown(self) -> str:
        """The table as Markdown."""
        return markdown(self.titles, self.rows, self.words)


def signed_estimate(estimate: Estimate | None) -> str:
    """A difference in points with its interval: ``+4.8 [+4.1, +5.5]``; one seed: ``+4.8``."""
    if estimate is None:
        return MISSING
    text = signed(estimate.mean)
    if not estimate.has_interval:
        return text
    return f"{text} [{signed(estimate.low)}, {signed(estimate.high)}]"


def in_words(estimate: Estimate) -> str:
    """The size of a difference in points with its interval, as a sentence has it:
    ``4.8 points (95 % interval 4.1 to 5.5)``. The interval is that of the size."""
    if not estimate.has_interval:
        return f"{number(100 * abs(estimate.mean))} points"
    size = estimate if estimate.mean >= 0 else -estimate
    low, high = number(100 * size.low), number(100 * size.high)
    return f"{number(100 * size.mean)} points (95 % interval {low} to {high})"


def signed(value: float, digits: int = 1) -> str:
    """A difference in points with its sign."""
    text = number(100 * value, digits)
    return f"+{text}" if value > 0 and text.strip("0.") else text


def seeds_in_words(counts: Sequence[int]) -> str:
    """What intervals rest on: ``4 seeds``, ``2 to 4 seeds``, ``one seed``."""
    least, most = min(counts), max(counts)
    if most == 1:
        return "one seed"
    return f"{most} seeds" if least == most else f"{least} to {most} seeds"
