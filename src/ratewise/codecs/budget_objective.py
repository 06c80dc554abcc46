"""What a budget of bytes is spent for: the distortion whose mean over the images is made least."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from ratewise.errors import CodecError, InputError
from ratewise.images import Image
from ratewise.metrics.distortion import mse
from ratewise.validation import suggestion

_LEAST_MSE = 255.0**2 * 1e-10
"""An image that is equal to its original counts as 100 dB."""


class Objective(Protocol):
    """A distortion that is added up over images, lower being better. It travels to workers."""

    @property
    def name(self) -> str:
        """What a store's ``rate_control`` calls it."""
        ...

    @property
    def model(self) -> str | None:
        """The SHA-256 of the weights of the model that it asks, None without one."""
        ...

    @property
    def positive(self) -> bool:
        """Whether it is never below 0 and falls by a similar factor from point to point."""
        ...

    @property
    def monotone(self) -> bool:
        """Whether it can be counted on to fall from one operating point to the next better one."""
        ...

    @property
    def batch(self) -> int:
        """How many decoded versions of an image it is best asked about together."""
        ...

    def measure(self, original: Image, decoded: Sequence[Image]) -> list[float]:
        """The distortion of each decoded version of ``original``, all ``uint8 (H, W, 3)``."""
        ...


@dataclass(frozen=True)
class BudgetObjective:
    """An :class:`Objective` that is a function of two images, and its one name.

    ``distortion(original, decoded)`` takes two ``uint8 (H, W, 3)`` and gives a finite number. It
    travels to worker processes, so it is a function of a module or an instance of a class of one
    that can be pickled. A store is resumed by ``name`` alone: whatever changes the distortion
    belongs in it. ``positive`` says that it is never below 0 and falls by a similar factor, not a
    similar amount, from one operating point to the next.
    """

    name: str
    distortion: Callable[[Image, Image], float]
    positive: bool = False

    @property
    def model(self) -> None:
        """None."""

    @property
    def monotone(self) -> bool:
        """True."""
        return True

    @property
    def batch(self) -> int:
        """One at a time."""
        return 1

    def measure(self, original: Image, decoded: Sequence[Image]) -> list[float]:
        """The distortion of each decoded version."""
        return [float(self.distortion(original, image)) for image in decoded]


def finite(objective: Objective, original: Image, decoded: Sequence[Image]) -> list[float]:
    """What ``objective`` measures; CodecError if one of the values is no finite number."""
    values = objective.measure(original, decoded)
    for value in values:
        if not math.isfinite(value):
            raise CodecError(f"the distortion {objective.name!r} of the decoded image is {value}")
    return values


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
