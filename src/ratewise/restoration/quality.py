"""How good images are beside their originals, before and after restoration."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ratewise.images import Image
from ratewise.metrics.distortion import decibels, ms_ssim, psnr
from ratewise.restoration.pairs import Pairs
from ratewise.restoration.restorer import Restorer


@dataclass(frozen=True)
class Quality:
    """Means over some images.

    ``psnr`` and ``ms_ssim_db`` are in dB; ``ms_ssim_db`` is None where all images are too small
    for it. ``perceptual`` is the perceptual index (lower is better), None without one.
    """

    psnr: float
    ms_ssim_db: float | None
    perceptual: float | None


@dataclass(frozen=True)
class BeforeAndAfter:
    """Images of one codec as they were compressed, and restored."""

    codec: str
    compressed: Quality
    restored: Quality


def before_and_after(
    restorer: Restorer,
    pairs: Pairs,
    indices: Sequence[int],
    perceptual: Callable[[Image], float] | None = None,
) -> list[BeforeAndAfter]:
    """The quality of images ``indices`` in each compressed version of ``pairs``.

    The versions are those of ``restorer.trained_for``, in that order.
    """
    found = []
    for codec, store in zip(restorer.trained_for, pairs.compressed, strict=True):
        compressed, restored = [], []
        for index in indices:
            original, image = pairs.originals.image(index), store.image(index)
            compressed.append(_scores(original, image, perceptual))
            restored.append(_scores(original, restorer.restore(image), perceptual))
        found.append(BeforeAndAfter(codec, _quality(compressed), _quality(restored)))
    return found


_Scores = tuple[float, float, float]


def _scores(original: Image, image: Image, perceptual: Callable[[Image], float] | None) -> _Scores:
    similarity = decibels(ms_ssim(original, image))
    return psnr(original, image), similarity, perceptual(image) if perceptual else math.nan


def _quality(scores: Sequence[_Scores]) -> Quality:
    distortion, similarity, perception = (_mean(values) for values in zip(*scores, strict=True))
    return Quality(math.nan if distortion is None else distortion, similarity, perception)


def _mean(values: Iterable[float]) -> float | None:
    """Over those that are there, None without any."""
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else None
