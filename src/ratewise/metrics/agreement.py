"""How well pairs of numbers agree: whether they lie on the identity line, not just on some line."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ratewise.errors import InputError

Values = Sequence[float] | NDArray[np.floating]


def concordance(reference: Values, values: Values) -> float:
    """Lin's concordance correlation coefficient, -1 to 1: 1 only on the identity line.

    ``2 s_xy / (s_x^2 + s_y^2 + (mean_x - mean_y)^2)`` with moments over n (L. Lin: A concordance
    correlation coefficient to evaluate reproducibility. Biometrics 45, 1989, eq. 4). It is
    Pearson's correlation times a factor below 1 for another mean or another spread. NaN where both
    are constant and equal. Raises :class:`InputError` for numbers that are no pairs.
    """
    x, y = _pairs(reference, values)
    covariance = float(((x - x.mean()) * (y - y.mean())).mean())
    whole = float(x.var() + y.var() + (x.mean() - y.mean()) ** 2)
    return 2 * covariance / whole if whole > 0 else math.nan


def relative_deviation(reference: Values, values: Values) -> float:
    """The mean absolute distance from the identity line, over the reference's standard deviation.

    0 for equal numbers; 1 if they are off by as much as the reference's values differ among
    themselves. NaN where the reference is constant. Raises :class:`InputError` for numbers that are
    no pairs.
    """
    x, y = _pairs(reference, values)
    spread = float(x.std())
    return float(np.abs(y - x).mean()) / spread if spread > 0 else math.nan


def _pairs(reference: Values, values: Values) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x, y = np.asarray(reference, np.float64), np.asarray(values, np.float64)
    if x.ndim != 1 or x.shape != y.shape or len(x) < 2:
        raise InputError(f"two or more pairs of numbers are needed, not {x.shape} and {y.shape}")
    return x, y
