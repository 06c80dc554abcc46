"""The training images that are held out to choose weights, and what cannot do without them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ratewise.errors import InputError
from ratewise.training.settings import OptimiserSettings, TrainingSettings

_STREAM = 0x484F_4C44  # names the random stream, so that other uses of a seed differ


def split_indices(indices: Sequence[int], share: float, seed: int) -> tuple[list[int], list[int]]:
    """The images to train on and those held out, each ascending and not empty if ``share`` > 0.

    Raises :class:`InputError` if none is left to train on.
    """
    count = len(indices)
    if share == 0:
        return list(indices), []
    if count < 2:
        raise InputError(f"holdout = {share} of {count} training image(s) leaves none to train on")
    size = min(count - 1, max(1, round(share * count)))
    order = np.random.default_rng([_STREAM, seed]).permutation(count)
    held = sorted(indices[int(i)] for i in order[:size])
    return sorted(indices[int(i)] for i in order[size:]), held


def check_selection(optimiser: OptimiserSettings, training: TrainingSettings, share: float) -> None:
    """A plateau and early stopping watch a metric, which only held-out images give."""
    if share > 0:
        return
    if optimiser.schedule.kind == "plateau":
        raise InputError("schedule = plateau needs held-out images: set holdout above 0")
    if training.stop_after is not None:
        raise InputError("stop_after needs held-out images: set holdout above 0")
