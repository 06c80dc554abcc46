"""Every random choice of a run from its seed and a place in the run, never from earlier draws.

So a resumed run needs no saved generator, and the number of workers does not matter.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


class Purpose(IntEnum):
    """What the numbers are drawn for: no two purposes share a stream."""

    ORDER = 1
    SAMPLE = 2
    STEP = 3
    VALIDATION = 4


def generator(purpose: Purpose, seed: int, *place: int) -> np.random.Generator:
    """The generator of ``purpose`` at ``place``, such as (epoch, index)."""
    return np.random.default_rng(_sequence(purpose, seed, *place))


def seed_torch(device: torch.device, purpose: Purpose, seed: int, *place: int) -> None:
    """Set torch's global generators, of the CPU and of ``device``, to ``place``."""
    import torch

    # Not torch.manual_seed: it also queues a call, with its traceback, for every kind of device
    # that is not in use, and the queue grows with each step.
    number = torch_seed(purpose, seed, *place)
    torch.default_generator.manual_seed(number)
    if device.type == "cuda":
        torch.cuda.manual_seed(number)


def torch_seed(purpose: Purpose, seed: int, *place: int) -> int:
    """A 63-bit seed for a generator of torch at ``place``."""
    state = _sequence(purpose, seed, *place).generate_state(1, np.uint64)
    return int(state[0] >> np.uint64(1))


def _sequence(purpose: Purpose, seed: int, *place: int) -> np.random.SeedSequence:
    # The length goes in too: SeedSequence takes (1, 2) and (1, 2, 0) for the same.
    return np.random.SeedSequence([int(purpose), len(place), seed, *place])
