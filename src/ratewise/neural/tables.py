"""Integer probability tables: what symbols are coded with, the same on every machine.

They are made of floats once, when a model is packed, and stored with its weights: another
machine's ``erfc`` or ``tanh`` would make other tables, and a decoder that differs in one frequency
loses its place.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ratewise.errors import InputError

if TYPE_CHECKING:
    from ratewise.neural.priors import FactorisedPrior

PRECISION = 24
"""Frequencies of a table add up to ``2 ** PRECISION``. It is constriction's own, so no rounding
comes behind these tables; 16 bits would cost the widest of them 5 % of its mass in ones."""

TOTAL = 1 << PRECISION

SCALE_UNIT = 1 << 10
"""A scale of y as an integer counts in ``1 / SCALE_UNIT``."""

MEAN_UNIT = 1 << 10
"""A mean of y, or a median, as an integer counts in ``1 / MEAN_UNIT``."""

_WIDEST = 2048
"""Symbols on either side of the median that a table of a factorised prior holds at most."""


@dataclass(frozen=True)
class Tables:
    """Frequencies of symbols under several distributions, one table behind the other.

    Table ``i`` holds ``lengths[i]`` entries: of the symbols from ``firsts[i]`` on, and in the end
    of the escape, which stands for every symbol outside. All are int32. Raises
    :class:`InputError` where they make no tables.
    """

    frequencies: NDArray[np.int32]
    lengths: NDArray[np.int32]
    firsts: NDArray[np.int32]

    def __post_init__(self) -> None:
        for array in (self.frequencies, self.lengths, self.firsts):
            if array.dtype != np.int32 or array.ndim != 1 or array.size == 0:
                raise InputError("probability tables must be int32, in one dimension, not empty")
        if len(self.lengths) != len(self.firsts):
            raise InputError("probability tables need as many lengths as first symbols")
        if self.lengths.min() < 2 or int(self.lengths.sum(dtype=np.int64)) != len(self.frequencies):
            raise InputError("the lengths of probability tables do not add up to their entries")
        if self.firsts.min() < -(1 << 15) or np.any(self.firsts + self.lengths > 1 << 15):
            raise InputError("probability tables hold symbols outside of 16 bits")
        sums = np.add.reduceat(self.frequencies.astype(np.int64), self._starts[:-1])
        if self.frequencies.min() < 1 or np.any(sums != TOTAL):
            raise InputError(
                f"the frequencies of a probability table must be 1 or more and add up to {TOTAL}"
            )

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        return np.concatenate([[0], np.cumsum(self.lengths, dtype=np.int64)])

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: int) -> NDArray[np.int32]:
        """The frequencies of one table, the escape's last."""
        return self.frequencies[self._starts[index] : self._starts[index + 1]]

    def bits(self, indices: NDArray[np.integer], symbols: NDArray[np.integer]) -> float:
        """What ``symbols`` cost, each under the table of its index; 16 more for an escape."""
        position = symbols.astype(np.int64) - self.firsts[indices]
        escape = self.lengths[indices] - 1
        escaped = (position < 0) | (position >= escape)
        entry = self._starts[indices] + np.where(escaped, escape, position)
        cost = PRECISION - np.log2(self.frequencies[entry])
        return float(cost.sum() + 16 * escaped.sum())

    def least_bits(self) -> NDArray[np.float64]:
        """What the likeliest symbol of each table costs."""
        best = np.maximum.reduceat(self.frequencies, self._starts[:-1])
        return np.asarray(PRECISION - np.log2(best))


def gaussian_scales() -> NDArray[np.float64]:
    """The standard deviations that there are tables for, rising in logarithmic steps."""
    from ratewise.neural.priors import LARGEST_SCALE, LEAST_SCALE, SCALES

    return np.exp(np.linspace(math.log(LEAST_SCALE), math.log(LARGEST_SCALE), SCALES))


def gaussian_tables() -> Tables:
    """A table of a centred Gaussian, rounded, for each of :func:`gaussian_scales`."""
    from ratewise.neural.priors import TAIL_MASS

    tables, firsts = [], []
    for scale in gaussian_scales():
        half = 0
        while 2 * _upper_tail((half + 0.5) / scale) > TAIL_MASS:
            half += 1
        # Tails of the upper side, whose differences keep their digits far out
        tails = np.array([_upper_tail((k - 0.5) / scale) for k in range(half + 2)])
        side = tails[:-1] - tails[1:]
        tables.append(_integers(np.concatenate([side[:0:-1], side, [2 * tails[-1]]])))
        firsts.append(-half)
    return _joined(tables, firsts)


def scale_thresholds() -> NDArray[np.int32]:
    """Where the next table begins to fit a scale better than the last, in ``1 / SCALE_UNIT``.

    The index of a scale is the count of thresholds that are not larger. They lie at the geometric
    means of neighbouring scales, about where the costs of both tables are equal.
    """
    scales = gaussian_scales()
    return np.asarray(np.ceil(np.sqrt(scales[:-1] * scales[1:]) * SCALE_UNIT), np.int32)


def factorised_tables(prior: FactorisedPrior) -> tuple[Tables, NDArray[np.int32]]:
    """A table for each feature map of ``prior``, and the medians in ``1 / MEAN_UNIT``, int32.

    Symbol k stands for the values within half a step of ``median + k``. Raises
    :class:`InputError` if the prior is not finite.
    """
    import copy

    import torch

    from ratewise.neural.priors import TAIL_MASS

    exact = copy.deepcopy(prior).cpu().double().requires_grad_(False)
    medians = torch.round(exact.medians.reshape(-1, 1, 1) * MEAN_UNIT)
    edges = torch.arange(-_WIDEST, _WIDEST + 2, dtype=torch.float64) - 0.5
    logits = exact.logits(medians / MEAN_UNIT + edges)[:, 0].numpy()
    if not (np.isfinite(logits).all() and np.abs(medians.numpy()).max() < 1 << 22):
        raise InputError("the factorised prior of the model is not finite")
    below, above = _sigmoid(logits), _sigmoid(-logits)
    # Far out, the difference of two sigmoids near 0 is exact and of two near 1 is not
    mass = np.where(logits[:, 1:] < 0, below[:, 1:] - below[:, :-1], above[:, :-1] - above[:, 1:])
    tables, firsts = [], []
    for i in range(prior.width):
        low = int(np.count_nonzero(below[i, :_WIDEST] <= TAIL_MASS / 2))
        low = max(0, low - 1)
        high = int(np.count_nonzero(above[i, _WIDEST + 1 :] > TAIL_MASS / 2)) + _WIDEST + 1
        high = min(high, len(edges) - 1)
        escape = below[i, low] + above[i, high]
        tables.append(_integers(np.append(mass[i, low:high], escape)))
        firsts.append(low - _WIDEST)
    return _joined(tables, firsts), medians.reshape(-1).numpy().astype(np.int32)


def _upper_tail(x: float) -> float:
    return 0.5 * math.erfc(x * math.sqrt(0.5))


def _sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    small = np.exp(-np.abs(x))
    return np.asarray(np.where(x < 0, small, 1.0) / (1 + small))


def _integers(mass: NDArray[np.float64]) -> NDArray[np.int64]:
    """Frequencies after ``mass``, at least 1 each; the likeliest takes what rounding leaves."""
    share = np.maximum(mass, 0) / np.maximum(mass, 0).sum()
    frequencies = np.floor(share * (TOTAL - len(mass))).astype(np.int64) + 1
    frequencies[np.argmax(share)] += TOTAL - frequencies.sum()
    return np.asarray(frequencies)


def _joined(tables: list[NDArray[np.int64]], firsts: list[int]) -> Tables:
    return Tables(
        np.concatenate(tables).astype(np.int32),
        np.array([len(table) for table in tables], np.int32),
        np.array(firsts, np.int32),
    )
