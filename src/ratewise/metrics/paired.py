"""What a few paired differences say about the difference behind them: Student's interval."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from ratewise.errors import InputError

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """The mean of ``count`` values and its interval; ``low`` and ``high`` are NaN for one value.

    ``std`` is the sample standard deviation, NaN for one value. ``same_sign``: all values are above
    0, or all are below it (never said of one value).
    """

    mean: float
    std: float
    low: float
    high: float
    count: int
    same_sign: bool

    @property
    def has_interval(self) -> bool:
        """Whether there are enough values for an interval."""
        return self.low == self.low

    @property
    def clear(self) -> bool:
        """Whether there is an interval, and 0 lies outside of it."""
        return self.low > 0 or self.high < 0

    def __neg__(self) -> Estimate:
        return Estimate(-self.mean, self.std, -self.high, -self.low, self.count, self.same_sign)


def student(values: Iterable[float], confidence: float = CONFIDENCE) -> Estimate | None:
    """The mean of ``values`` with Student's interval, ``mean +- t s / sqrt(n)``; None of nothing.

    The values are differences between runs of one seed each. NaNs are left out. The interval holds
    the mean of many more seeds with the given confidence if the differences are independent and
    about normal. Raises :class:`InputError` for a confidence that is not between 0 and 1.
    """
    if not 0 < confidence < 1:
        raise InputError(f"confidence {confidence} is not allowed; it is between 0 and 1")
    known = [float(value) for value in values if value == value]
    count = len(known)
    if not count:
        return None
    mean = math.fsum(known) / count
    if count == 1:
        return Estimate(mean, math.nan, math.nan, math.nan, 1, False)
    from scipy.stats import t

    std = math.sqrt(math.fsum((value - mean) ** 2 for value in known) / (count - 1))
    half = float(t.ppf(0.5 + confidence / 2, count - 1)) * std / math.sqrt(count)
    same = all(value > 0 for value in known) or all(value < 0 for value in known)
    return Estimate(mean, std, mean - half, mean + half, count, same)
