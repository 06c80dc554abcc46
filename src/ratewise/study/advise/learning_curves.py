"""Accuracy as a function of the number of training images, and of the rate.

A learning curve is the power law ``a - b n^-c`` (0 <= a <= 1, b >= 0, 0.05 <= c <= 3): accuracy
rises with the number of images n towards ``a``, with errors that fall as n^-c. It is fitted by
least squares; its uncertainty is that of the least-squares covariance, s^2 (J'J)^-1 with s^2 the
residual variance, carried to a prediction by the delta method. That takes the models as
independent, though those of one seed share their images: the interval is rather too narrow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ratewise.errors import InputError

Values = NDArray[np.float64]

MIN_SIZES = 3
"""How many different numbers of images a curve needs: it has three parameters."""

MIN_RATES = 3
"""How many operating points it takes to interpolate between them."""

_C = (0.05, 3.0)


@dataclass(frozen=True)
class LearningCurve:
    """``a - b n^-c``, fitted to ``count`` models that saw ``low`` to ``high`` images.

    ``covariance (3, 3)`` is that of (a, b, c), zero for one that lies on its bound, and
    ``spread`` the standard deviation of single models about the curve; both are NaN where there
    are no more models than parameters.
    """

    a: float
    b: float
    c: float
    covariance: Values
    spread: float
    low: float
    high: float
    count: int

    @property
    def errors(self) -> tuple[float, float, float]:
        """Standard errors of a, b and c."""
        a, b, c = np.sqrt(np.diag(self.covariance))
        return float(a), float(b), float(c)

    def accuracy(self, images: ArrayLike, *, extrapolate: bool = False) -> Values:
        """The accuracy with so many images.

        Raises :class:`InputError` outside ``low`` to ``high``, unless told to ``extrapolate``.
        """
        n = np.asarray(images, dtype=np.float64)
        outside = n[(n < self.low) | (n > self.high)]
        if outside.size and not extrapolate:
            raise InputError(
                f"{outside.flat[0]:g} images are outside of the {self.low:g} to {self.high:g} that "
                "the learning curve was fitted on"
            )
        return np.asarray(self.a - self.b * n**-self.c)

    def std(self, images: ArrayLike) -> Values:
        """Standard deviation of one model about the prediction: the curve's own uncertainty and
        the spread of models about it."""
        n = np.asarray(images, dtype=np.float64)
        power = n**-self.c
        slopes = np.stack([np.ones_like(n), -power, self.b * power * np.log(n)], axis=-1)
        curve = np.einsum("...i,ij,...j->...", slopes, self.covariance, slopes)
        return np.asarray(np.sqrt(np.maximum(curve, 0) + self.spread**2))


def fit_learning_curve(images: Sequence[float], accuracies: Sequence[float]) -> LearningCurve:
    """The power law through models: their numbers of training images and their accuracies (0-1).

    Raises :class:`InputError` for fewer than three different numbers of images.
    """
    from scipy.optimize import least_squares

    n, y = (np.asarray(values, dtype=np.float64) for values in (images, accuracies))
    if len(np.unique(n)) < MIN_SIZES:
        raise InputError(
            f"a learning curve needs at least {MIN_SIZES} different numbers of images, and there "
            f"are {len(np.unique(n))}"
        )
    middle = float(np.exp(np.log(n).mean()))  # about which b is fitted, for a well-scaled problem
    scaled = n / middle

    def residuals(p: Values) -> Values:
        return np.asarray(p[0] - p[1] * scaled ** -p[2] - y)

    low, high = np.array([0.0, 0.0, _C[0]]), np.array([1.0, np.inf, _C[1]])
    starts = [_linear(scaled, y, c) for c in np.geomspace(*_C, 40)]
    start = min(starts, key=lambda p: float(np.sum(residuals(p) ** 2)))
    inside = np.clip(start, low + 1e-9, np.minimum(high, 1e9) - 1e-9)
    fitted = least_squares(residuals, inside, bounds=(low, high), xtol=1e-12, ftol=1e-12)
    a, b, c = (float(value) for value in fitted.x)
    factor = middle**c
    # (a, b', c) -> (a, b, c) with b = b' middle^c
    change = np.array([[1, 0, 0], [0, factor, b * factor * np.log(middle)], [0, 0, 1]])
    free = len(y) - 3
    variance = float(np.sum(fitted.fun**2)) / free if free > 0 else float("nan")
    covariance = change @ (variance * _inverse(fitted)) @ change.T
    return LearningCurve(
        a, b * factor, c, covariance, float(np.sqrt(variance)), float(n.min()), float(n.max()),
        len(y),
    )  # fmt: skip


@dataclass(frozen=True)
class RateCurve:
    """Values at ``bpp`` (ascending), interpolated over the logarithm of the rate.

    Accuracy by a monotone cubic (PCHIP, which does not overshoot), its standard deviation,
    cost and number of images linearly.
    """

    bpp: Values
    values: Values
    stds: Values
    costs: Values
    images: Values

    def at(self, bpp: ArrayLike) -> tuple[Values, Values, Values, Values]:
        """Accuracy, its standard deviation, cost and images at rates within those studied."""
        from scipy.interpolate import PchipInterpolator

        rates = np.asarray(bpp, dtype=np.float64)
        outside = rates[(rates < self.bpp[0]) | (rates > self.bpp[-1])]
        if outside.size:
            raise InputError(
                f"{outside.flat[0]:g} bpp is outside of the {self.bpp[0]:g} to {self.bpp[-1]:g} "
                "bpp that were studied"
            )
        x, known = np.log(rates), np.log(self.bpp)
        others = (np.interp(x, known, y) for y in (self.stds, self.costs, self.images))
        std, cost, images = (np.asarray(other) for other in others)
        return np.asarray(PchipInterpolator(known, self.values)(x)), std, cost, images


def _linear(scaled: Values, y: Values, c: float) -> Values:
    """The best (a, b', c) for a fixed c."""
    design = np.stack([np.ones_like(scaled), -(scaled**-c)], axis=1)
    a, b = np.linalg.lstsq(design, y, rcond=None)[0]
    return np.array([a, b, c])


def _inverse(fitted: Any) -> Values:
    """(J'J)^-1 over the parameters that are not on their bounds, zero elsewhere."""
    free = np.flatnonzero(fitted.active_mask == 0)
    jacobian = fitted.jac[:, free]
    whole = np.zeros((3, 3))
    whole[np.ix_(free, free)] = np.linalg.pinv(jacobian.T @ jacobian)
    return whole
