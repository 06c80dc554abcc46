"""Layers computed in strips of rows: what a transform's tensors cost in memory, and how often.

A :class:`Stage` is the output of a layer whose rows are computed when they are asked for, from the
rows that it needs of what is below it: a stage too, or a tensor that is there (:class:`Given`).
Strips are asked for from the top down, so a stage keeps its last rows, which the next strip of
the stage above needs again; nothing is computed twice, and strips have no seams.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Layer:
    """A strided convolution ``down`` or ``up`` by 2, and the GDN (or, upwards, IGDN) after it."""

    weight: Tensor
    bias: Tensor
    beta: Tensor | None
    gamma: Tensor | None
    up: bool

    @property
    def width(self) -> int:
        return self.weight.shape[1 if self.up else 0]

    def run(self, source: Source, a: int, b: int, out: Tensor) -> None:
        """Rows ``a`` to ``b`` of the output, into ``out`` ``(N, b - a, W, C)``; ``a`` even if up.

        An output row of the transposed convolution at 2i - 2 + k has input row i under row k of
        the kernel, so two rows need their own input row and one on each side.
        """
        if self.up:
            odd = (b - a) % 2
            x = source.take(a // 2 - 1, (b + odd) // 2 + 1).permute(0, 3, 1, 2)
            x = F.conv_transpose2d(x, self.weight, self.bias, 2, (4, 2), (1 - odd, 1))
        else:
            x = source.take(2 * a - 2, 2 * b + 1).permute(0, 3, 1, 2)
            x = F.conv2d(x, self.weight, self.bias, 2, (0, 2))
        out = out.permute(0, 3, 1, 2)
        if self.gamma is None:
            out.copy_(x)
            return
        norm = F.conv2d(x * x, self.gamma, self.beta)
        torch.mul(x, norm.sqrt_() if self.up else norm.rsqrt_(), out=out)


class Source(Protocol):
    """Rows of a tensor ``(N, height, *shape[1:])``, where ``shape`` is ``(N, W, C)``."""

    height: int
    shape: tuple[int, int, int]

    def take(self, first: int, end: int) -> Tensor:
        """Rows ``first`` to ``end``, zeros where the tensor has none; each call begins later."""


class Given:
    """Rows of a tensor that is there."""

    def __init__(self, tensor: Tensor, dtype: torch.dtype) -> None:
        n, self.height, width, depth = tensor.shape
        self.shape = (n, width, depth)
        self._tensor, self._dtype = tensor, dtype

    def take(self, first: int, end: int) -> Tensor:
        inside = self._tensor[:, max(first, 0) : min(end, self.height)]
        if inside.shape[1] == end - first:
            return inside.to(self._dtype)
        n, width, depth = self.shape
        rows = inside.new_zeros((n, end - first, width, depth), dtype=self._dtype)
        start = max(-first, 0)
        rows[:, start : start + inside.shape[1]] = inside
        return rows


class Stage:
    """Rows of a layer's output, computed as they are asked for; the last ones are kept."""

    def __init__(self, source: Source, layer: Layer) -> None:
        n, width, _ = source.shape
        self._source, self._layer = source, layer
        self.height = source.height * 2 if layer.up else math.ceil(source.height / 2)
        self.shape = (n, width * 2 if layer.up else math.ceil(width / 2), layer.width)
        self._kept: Tensor | None = None
        self._start = self._end = 0

    @property
    def row_bytes(self) -> int:
        return math.prod(self.shape) * self._layer.weight.element_size()

    def compute(self, a: int, b: int, out: Tensor) -> None:
        """Rows ``a`` to ``b`` into ``out``, without keeping any."""
        self._layer.run(self._source, a, b, out)

    def take(self, first: int, end: int) -> Tensor:
        # Rows of a transposed convolution come in pairs
        full = end + end % 2 if self._layer.up else end
        n, width, depth = self.shape
        weight = self._layer.weight
        rows = torch.empty(
            (n, full - first, width, depth), dtype=weight.dtype, device=weight.device
        )
        begin = max(first, 0)
        if begin > first:
            rows[:, : begin - first] = 0
        if self._kept is not None and self._end > begin:
            rows[:, begin - first : self._end - first] = self._kept[:, begin - self._start :]
            begin = self._end
        stop = max(min(full, self.height), begin)
        if stop > begin:
            self.compute(begin, stop, rows[:, begin - first : stop - first])
        rows[:, stop - first :] = 0
        self._kept, self._start, self._end = rows[:, : stop - first], first, stop
        return rows[:, : end - first]
