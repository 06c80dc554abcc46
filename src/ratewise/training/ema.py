"""An exponential moving average of weights.

After update t (from 1) the average a of the weights w is ``d a + (1 - d) w`` with
``d = min(decay, (1 + t) / (10 + t))``, so that a short run is not held back by its first
weights. It starts as a copy of the weights. Floating-point buffers (the statistics of batch norm)
are averaged like parameters, so that they belong to the averaged weights; integer buffers
(counters) are copied.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


def decay_at(decay: float, update: int) -> float:
    """The decay of update ``update`` (counted from 1)."""
    return min(decay, (1 + update) / (10 + update))


class Ema:
    """The moving average of the state of some modules."""

    def __init__(self, modules: Mapping[str, nn.Module], decay: float) -> None:
        self._decay = decay
        self._updates = 0
        self._live: dict[str, dict[str, Tensor]] = {
            name: dict(module.state_dict()) for name, module in modules.items()
        }
        self._average = {
            name: {key: value.detach().clone() for key, value in state.items()}
            for name, state in self._live.items()
        }
        pairs = [
            (self._average[name][key], value)
            for name, state in self._live.items()
            for key, value in state.items()
        ]
        self._floats = [pair for pair in pairs if pair[0].is_floating_point()]
        self._lists = [average for average, _ in self._floats], [live for _, live in self._floats]
        self._others = [pair for pair in pairs if not pair[0].is_floating_point()]

    @torch.no_grad()
    def update(self) -> None:
        """Take the weights after one more step into the average."""
        self._updates += 1
        weight = 1 - decay_at(self._decay, self._updates)
        if self._floats:
            torch._foreach_lerp_(*self._lists, weight)
        for average, value in self._others:
            average.copy_(value)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The modules hold the average inside this block, and their own weights after it."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for average, value in (*self._floats, *self._others):
            kept = value.clone()
            value.copy_(average)
            average.copy_(kept)

    def state_dict(self) -> dict[str, object]:
        """The average and the number of updates, for a checkpoint."""
        return {"updates": self._updates, "average": self._average}

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """Go on from :meth:`state_dict`. Raises KeyError or TypeError if it does not fit."""
        saved = state["average"]
        updates = state["updates"]
        if not isinstance(saved, dict) or not isinstance(updates, int):
            raise TypeError("not the state of a moving average")
        for name, tensors in self._average.items():
            for key, average in tensors.items():
                average.copy_(saved[name][key])
        self._updates = updates
