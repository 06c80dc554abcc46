"""Restoring an image that is too large for memory: tile by tile, with the whole image's statistics.

Instance norm makes every pixel depend on the whole picture, so tiles with statistics of their own
would differ in brightness and show seams. Here every norm takes the mean and variance of the whole
image. They are found by passes over all tiles: each pass measures what arrives at the norms while
these hold what the last pass measured (in the first one, each tile's own). A pass makes one norm
more exact, since what arrives at a norm depends only on those before it, and the estimates settle
much sooner; when they do, passes end. The tiles overlap by the network's reach, so that the pixels
that are kept see the same neighbours as in the whole image.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from ratewise.restoration.norms import EPS, InstanceNorm, Moments, instance_norms
from ratewise.restoration.settings import FineNetSettings, Generator

_Statistics = tuple[Tensor, Tensor]

_GRID = 32
"""Tiles begin at multiples of this, the coarsest that a generator's layers can be."""

_NUMBERS = 3 * 64 * 2**23
"""Numbers that are in memory at once: 3 GB in bfloat16, 6 GB in float32."""

_SETTLED = 1e-3
"""Statistics that change by less than this part of a standard deviation have settled."""


def reach(settings: Generator) -> int:
    """The distance in pixels from which a generator's output depends on its input, at most.

    Instance norm is left out: its reach is the image.
    """
    if isinstance(settings, FineNetSettings):
        coarse = int(2**settings.downsamplings)
        return 6 + coarse * (2 * settings.blocks + 5)
    return settings.blocks * settings.layers + 6


def whole_up_to(settings: Generator) -> int:
    """The pixels of an image up to which it goes through a generator whole, within some gigabytes.

    FineNet holds a few maps of its first width at full resolution, the residual dense network the
    maps of all its blocks: 8 million pixels for the one of the paper, 0.8 for the other.
    """
    if isinstance(settings, FineNetSettings):
        return _NUMBERS // (3 * settings.width)
    return _NUMBERS // (2 * settings.blocks * settings.width)


@dataclass(frozen=True)
class Span:
    """A tile along one side of the image: pixels seen are ``[start, stop)``, of which
    ``[first, last)`` are kept; ``ends`` says that the image ends where the tile does."""

    start: int
    stop: int
    first: int
    last: int
    ends: bool

    def kept(self, length: int) -> slice:
        """What is kept, in a feature map of ``length`` that stands for the tile.

        A network fills an image up to whole steps of its coarsest layer. That filling is part of
        the whole image's statistics, so at the image's end all of it is kept.
        """
        step = 2 ** round(math.log2((self.stop - self.start) / length))
        first = (self.first - self.start) // step if self.first > self.start else 0
        return slice(first, None if self.ends else (self.last - self.start) // step)


@dataclass(frozen=True)
class Tile:
    """A part of an image: its rows and columns."""

    rows: Span
    columns: Span


def tiles(height: int, width: int, *, pixels: int, halo: int) -> list[Tile]:
    """Tiles of about ``pixels`` pixels with ``halo`` around them, which keep each pixel once."""
    halo = -(-halo // _GRID) * _GRID
    side = math.isqrt(pixels) // _GRID * _GRID
    step = max(2 * _GRID, side - 2 * halo)
    return [
        Tile(rows, columns)
        for rows in _spans(height, step, halo)
        for columns in _spans(width, step, halo)
    ]


def _spans(length: int, step: int, halo: int) -> Iterator[Span]:
    for first in range(0, length, step):
        last = min(length, first + step)
        stop = min(length, last + halo)
        yield Span(max(0, first - halo), stop, first, last, last == length)


@contextmanager
def whole_image_statistics(
    network: nn.Module, run: Callable[[Tile], object], parts: Sequence[Tile]
) -> Iterator[int]:
    """Within this block the norms of ``network`` hold the statistics of the image of all ``parts``.

    ``run`` sends one of the tiles through the network. Gives the number of passes over the tiles.
    """
    norms = instance_norms(network)
    passes = 0
    before: list[_Statistics] | None = None
    try:
        while passes < len(norms):
            found = _measured(norms, run, parts)
            passes += 1
            for norm, statistics in zip(norms, found, strict=True):
                norm.fixed = statistics
            if before is not None and all(map(_settled, found, before)):
                break
            before = found
        yield passes
    finally:
        for norm in norms:
            norm.fixed = None


def _measured(
    norms: Sequence[InstanceNorm], run: Callable[[Tile], object], parts: Sequence[Tile]
) -> list[_Statistics]:
    """The statistics of what arrives at each norm in one pass over the tiles."""
    found = [Moments() for _ in norms]
    try:
        for tile in parts:
            for norm, moments in zip(norms, found, strict=True):
                norm.observe = partial(_note, moments, tile)
            run(tile)
    finally:
        for norm in norms:
            norm.observe = None
    return [moments.statistics() for moments in found]


def _note(moments: Moments, tile: Tile, x: Tensor) -> None:
    moments.add(x[:, :, tile.rows.kept(x.shape[2]), tile.columns.kept(x.shape[3])])


def _settled(now: _Statistics, before: _Statistics) -> bool:
    (mean, variance), (mean_before, variance_before) = now, before
    spread = variance_before + EPS
    shift = (mean - mean_before).abs() / spread.sqrt()
    scale = (variance - variance_before).abs() / spread
    return float(torch.maximum(shift, scale).max()) < _SETTLED
