"""Choosing a share of the training images so that all shares of one seed are nested."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

_STREAM = 0x5348_4152  # names the random stream, so that other uses of a seed do not repeat it


def share_indices(count: int, share: Fraction, seed: int) -> list[int]:
    """Ascending indices of ``share`` of ``count`` images, at least one.

    The images come first in one seeded order, so a smaller share of the same seed is a subset
    of a larger one.
    """
    if share == 1:
        return list(range(count))
    order = np.random.default_rng([_STREAM, seed]).permutation(count)
    wanted = max(1, round(count * share))
    return sorted(int(index) for index in order[:wanted])
