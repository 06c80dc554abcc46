"""Which images a model of the task is trained on, and which of them as originals.

A share of the images is taken so that all shares of one seed are nested.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from ratewise.study.privileged import Frame, PrivilegedShare

_STREAM = 0x5348_4152  # names the random stream, so that other uses of a seed do not repeat it


@dataclass(frozen=True)
class TrainingImages:
    """Ascending indices of the images, and those of them that come as originals in a mixture."""

    indices: list[int]
    originals: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Prices:
    """Bytes that may be spent, that are spent before any image, and that each image takes: its
    file as it is stored (``files``), or as an original in a mixture (``originals``)."""

    limit: int
    paid: int
    files: Sequence[int]
    originals: Sequence[int]


def share_indices(count: int, share: Fraction, seed: int) -> list[int]:
    """Ascending indices of ``share`` of ``count`` images, at least one.

    The images come first in one seeded order, so a smaller share of the same seed is a subset
    of a larger one.
    """
    if share == 1:
        return list(range(count))
    wanted = max(1, round(count * share))
    return sorted(_order(count, seed)[:wanted])


def _order(count: int, seed: int) -> list[int]:
    return [int(i) for i in np.random.default_rng([_STREAM, seed]).permutation(count)]


def training_images(
    params: Mapping[str, Any], images: Sequence[Frame], prices: Prices | None = None
) -> TrainingImages:
    """The images that a train stage of these parameters uses, of all ``images`` of its stores.

    ``params["images"]`` says which come into question: with ``use`` = ``all``, ``only`` those of
    the privileged share, those ``outside`` of it, or all with the privileged ones as originals
    (``replaced``); all without the key. Of these ``params["share"]`` is taken; of a mixture, of
    either part. With ``prices`` as many are taken as they allow, perhaps none.
    """
    share, seed = Fraction(params["share"]), int(params["seed"])
    others, originals = _in_question(params.get("images"), images)
    if prices is not None:
        return _affordable(others, originals, prices, seed)
    others, originals = _of(others, share, seed), _of(originals, share, seed)
    return TrainingImages(sorted(originals + others), frozenset(originals))


def _in_question(
    rule: Mapping[str, Any] | None, images: Sequence[Frame]
) -> tuple[list[int], list[int]]:
    """The images that a rule leaves: as their store has them, and as originals in a mixture."""
    if rule is None:
        return list(range(len(images))), []
    kept = [i for i, (_, group) in enumerate(images) if group not in rule["without"]]
    if rule["use"] == "all":
        return kept, []
    inside = PrivilegedShare.from_json({"margin": 0, **rule}).members(images)
    if rule["use"] == "only":
        return inside, []
    outside = sorted(set(kept) - set(inside))
    return outside, [] if rule["use"] == "outside" else inside


def _affordable(
    others: Sequence[int], originals: Sequence[int], prices: Prices, seed: int
) -> TrainingImages:
    """The images in the seed's order up to the first that the budget does not cover.

    The two parts of a mixture are taken evenly, so that it keeps its proportion.
    """
    line = [
        ((place + 0.5) / len(part), which, part[index], price[part[index]])
        for which, (part, price) in enumerate(
            ((originals, prices.originals), (others, prices.files))
        )
        for place, index in enumerate(_order(len(part), seed))
    ]
    left, taken = prices.limit - prices.paid, []
    for _, which, index, price in sorted(line):
        if price > left:
            break
        left -= price
        taken.append((which, index))
    if prices.paid > prices.limit:
        taken = []  # where all that is left to buy were free
    return TrainingImages(
        sorted(index for _, index in taken),
        frozenset(index for which, index in taken if which == 0),
    )


def _of(indices: Sequence[int], share: Fraction, seed: int) -> list[int]:
    return [indices[i] for i in share_indices(len(indices), share, seed)] if indices else []
