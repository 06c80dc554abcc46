"""What a budget of bytes is spent for: the distortion whose mean over the images is made least."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from ratewise.errors import CodecError, InputError
from ratewise.images import Image
from ratewise.metrics.distortion import mse
from ratewise.validation import suggestion

_LEAST_MSE = 255.0**2 * 1e-10
"""An image that is equal to its original counts as 100 dB."""


@dataclass(frozen=True)
class BudgetObjective:
    """A distortion that is added up over images, lower being better, and its one name.

    ``distortion(original, decoded)`` takes two ``uint8 (H, W, 3)`` and gives a finite number. It
    travels to worker processes, so it is a function of a module or an instance of a class of one
    that can be pickled. A store is resumed by ``name`` alone: whatever changes the distortion
    belongs in it. ``positive`` says that it is never below 0 and falls by a similar factor, not a
    similar amount, from one operating point to the next.
    """

    name: str
    distortion: Callable[[Image, Image], float]
    positive: bool = False

    def measure(self, original: Image, decoded: Image) -> float:
        """The distortion; CodecError if it is no finite number."""
        value = float(self.distortion(original, decoded))
        if not math.isfinite(value):
            raise CodecError(f"the distortion {self.name!r} of the decoded image is {value}")
        return value


def log_mse(original: Image, decoded: Image) -> float:
    """The natural logarithm of the mean squared error: its mean is least where mean PSNR is most.

    An error of 0 counts as 100 dB.
    """
    return math.log(max(mse(original, decoded), _LEAST_MSE))


OBJECTIVES = {
    "psnr": BudgetObjective("psnr", log_mse),
    "mse": BudgetObjective("mse", mse, positive=True),
}


def find_objective(name: str) -> BudgetObjective:
    """The objective of that name; InputError if there is none."""
    if name not in OBJECTIVES:
        raise InputError(
            f"objective = {name!r}: unknown{suggestion(name, OBJECTIVES)} "
            f"(allowed: {', '.join(OBJECTIVES)})"
        )
    return OBJECTIVES[name]
