"""The hyper-decoder h_s in integers: what it says of y is the same on every machine.

An encoder and a decoder must choose the same table for every symbol of y, though a convolution in
floats differs in its last bits between devices, thread counts, precisions and batches. Here
weights, activations and biases are integers, small enough that every sum is exact in whatever
arithmetic a matrix product uses (Ballé, Johnston and Minnen, 2019, "Integer networks"):

- weights and activations are ``32 high + low`` with ``high`` within ±127 and ``low`` within ±16,
  and a matrix product takes one digit of each: inputs are exact in int8, bfloat16, TF32. The
  product of two low digits is left out;
- no sum of a product reaches 2 ** 24, so float32 holds each exactly, in any order of summation;
- convolutions are matrix products of shifted copies, so no Winograd or Fourier form comes in;
- between layers, a number of 32 bits times one of 20 is exact in float64, scaled by a power of two
  too, and so is the floor.

``docs/formats/neural.md`` has the arithmetic as a specification.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ratewise.errors import InputError

DIGIT = 32
"""What a high digit counts in."""

_LARGEST_HIGH = 127

LARGEST = DIGIT * _LARGEST_HIGH
"""Largest magnitude of weights and activations."""

SYMBOL = DIGIT
"""What a step of z counts in h_s; beyond ± 127 steps h_s sees no further."""

CONSTANT = 64 * DIGIT
"""The value of the first layer's last input, inside the image; it brings the medians in."""

LARGEST_SCALE = (1 << 18) - 1
"""Scales are cut to 0 .. this; in ``1 / SCALE_UNIT``."""

LARGEST_MEAN = 1 << 23
"""Means are cut to within ± this; in ``1 / MEAN_UNIT``."""

_DIGIT_BITS = 5

_ROWS = 2048
"""Positions that one matrix product takes, which bounds the memory of large images."""

_EXACT32, _EXACT64 = 1 << 24, 1 << 53


@dataclass(frozen=True)
class IntegerLayer:
    """A convolution with its activation, in integers.

    ``weight`` int16 ``(out, in, k, k)``: with k = 3 an ordinary convolution, with k = 5 a
    transposed one that doubles the sides. ``padding`` int16 ``(in,)`` is what lies outside of the
    image. ``bias`` int64 ``(phases, out)`` has a row for each parity of output position (row,
    column), in the order 00, 01, 10, 11, or one row for k = 3. ``steps`` int64 ``(4, out)`` holds
    p, n, q and s. With the digits H and L of weights and h and l of activations, sums over inputs
    and taps, ``t = 32 sum(H h) + sum(L h) + sum(H l) + bias``, and the layer makes
    ``floor((max(p t, n t) + q) / 2 ** s)`` of it, cut to the range of what it is.

    Raises :class:`InputError` where shapes or sizes are such that sums may not be exact.
    """

    weight: Tensor
    padding: Tensor
    bias: Tensor
    steps: Tensor

    def __post_init__(self) -> None:
        shape = tuple(self.weight.shape)
        kernel = shape[-1] if len(shape) == 4 else 0
        out, phases = shape[0] if shape else 0, {3: 1, 5: 4}.get(kernel, 0)
        wanted = [
            (self.weight, torch.int16, (out, shape[1] if len(shape) > 1 else 0, kernel, kernel)),
            (self.padding, torch.int16, (shape[1] if len(shape) > 1 else 0,)),
            (self.bias, torch.int64, (phases, out)),
            (self.steps, torch.int64, (4, out)),
        ]
        if (
            not phases
            or 0 in shape
            or any(t.dtype != d or tuple(t.shape) != s for t, d, s in wanted)
        ):
            raise InputError("a layer of the integer hyper-decoder has parts of another shape")
        p, n, q, s = self.steps
        # A product of digits that count is at most this often the product of the numbers
        total = self.weight.long().abs().sum((1, 2, 3)) * (LARGEST // DIGIT + DIGIT)
        total = total + self.bias.clamp(-_EXACT64, _EXACT64).abs().amax(0)
        fits = (
            int(self.weight.long().abs().max()) <= LARGEST
            and int(self.padding.long().abs().max()) <= LARGEST
            and int(n.min()) >= 0
            and bool((n <= p).all())
            and int(p.max()) <= 1 << 20
            and int(total.max()) < 1 << 31
            and int(s.min()) >= 0
            and int(s.max()) <= 52
            and int(q.min()) > -1 << 52
            and int(q.max()) < 1 << 52
        )
        if not fits:
            raise InputError("a layer of the integer hyper-decoder is too large to be exact")

    @property
    def doubles(self) -> bool:
        """Whether the layer doubles the sides."""
        return self.weight.shape[-1] == 5


class HyperSynthesis:
    """h_s of integer ``layers``, on ``device``. It has no state beside them."""

    def __init__(self, layers: Sequence[IntegerLayer], device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self._layers = [_Prepared(layer, self.device) for layer in layers]

    def __call__(self, z: Tensor, *, means: bool) -> tuple[Tensor, Tensor | None]:
        """From symbols of z ``(n, h, w, N)``, any integers, to scales and means of y.

        Both are int32 ``(n, 4 h, 4 w, M)``, in ``1 / SCALE_UNIT`` and ``1 / MEAN_UNIT``. Without
        ``means`` all outputs are scales.
        """
        inside = z.to(self.device).clamp(-_LARGEST_HIGH, _LARGEST_HIGH).to(torch.int16) * SYMBOL
        constant = inside.new_full((*inside.shape[:3], 1), CONSTANT)
        x = torch.cat([inside, constant], dim=-1)
        with torch.inference_mode(), torch.autocast(self.device.type, enabled=False):
            for layer in self._layers[:-1]:
                x = layer(x, torch.int16, -LARGEST, LARGEST)
            out = self._layers[-1](x, torch.int32, -LARGEST_MEAN, LARGEST_MEAN)
        if not means:
            return out.clamp(0, LARGEST_SCALE), None
        half = out.shape[-1] // 2
        return out[..., :half].clamp(0, LARGEST_SCALE), out[..., half:]


class _Prepared:
    """A layer with its weights as the matrices of its phases."""

    def __init__(self, layer: IntegerLayer, device: torch.device) -> None:
        self.doubles = layer.doubles
        self.padding = layer.padding.to(device)
        self.width_out = layer.weight.shape[0]
        weight = layer.weight.to(device)
        powers = torch.tensor([2.0 ** -int(s) for s in layer.steps[3]], dtype=torch.float64)
        # Whole numbers of at most 53 bits, times a power of two: as exact as the numbers
        self.positive, self.negative, self.offset = (layer.steps[:3] * powers).to(device)
        self.linear = bool((layer.steps[0] == layer.steps[1]).all())
        self.phases = [
            _Phase(weight, down, right, bias)
            for (down, right), bias in zip(
                _PARITIES if self.doubles else [(_EVERY, _EVERY)],
                layer.bias.to(device, torch.int32),
                strict=True,
            )
        ]

    def __call__(self, x: Tensor, kind: torch.dtype, least: int, largest: int) -> Tensor:
        """The layer's output ``(n, H, W, out)`` of ``x`` int16 ``(n, h, w, in)``."""
        n, h, w, width = x.shape
        rows, across = n * (h + 2) * (w + 2), w + 2
        # One row per position with a margin of 1, and some behind the last that nobody uses
        padded = self.padding.repeat(rows + 2 * across + 2, 1)
        grid = padded[:rows].view(n, h + 2, across, width)
        grid[:, 1:-1, 1:-1] = x
        high, low = digits(padded)
        factor = 2 if self.doubles else 1
        out = torch.empty((n, factor * h, factor * w, self.width_out), dtype=kind, device=x.device)
        flat = torch.empty((rows, self.width_out), dtype=kind, device=x.device)
        for number, phase in enumerate(self.phases):
            for begin in range(0, rows, _ROWS):
                end = min(begin + _ROWS, rows)
                total = phase.sums(high, low, begin, end, across).double()
                flat[begin:end] = self._stepped(total).floor_().clamp_(least, largest)
            kept = flat.view(n, h + 2, across, self.width_out)[:, :h, :w]
            out[:, number // 2 :: factor, number % 2 :: factor] = kept
        return out

    def _stepped(self, total: Tensor) -> Tensor:
        """``(max(p t, n t) + q) / 2 ** s``, exactly."""
        stepped = torch.addcmul(self.offset, total, self.positive)
        if self.linear:
            return stepped
        return torch.maximum(stepped, torch.addcmul(self.offset, total, self.negative))


# Taps of a kernel of 5, and how far behind (by 0, 1, 2) the margin's corner they look, for output
# positions of even and odd parity: out[2 u + a] = sum_k x[u + (a + 2 - k) / 2] w[k].
_EVEN, _ODD = ((0, 2), (2, 1), (4, 0)), ((1, 2), (3, 1))
_PARITIES = [(_EVEN, _EVEN), (_EVEN, _ODD), (_ODD, _EVEN), (_ODD, _ODD)]
_EVERY = ((0, 0), (1, 1), (2, 2))

_Taps = tuple[tuple[int, int], ...]


class _Phase:
    """The matrix of the taps that output positions of one parity see."""

    def __init__(self, weight: Tensor, down: _Taps, right: _Taps, bias: Tensor) -> None:
        taps = [((i, j), (below, beside)) for i, below in down for j, beside in right]
        self.shifts = [shift for _, shift in taps]
        self.bias = bias
        whole = torch.cat([weight[:, :, i, j].T for (i, j), _ in taps])
        self.high, self.low = (digit.contiguous() for digit in digits(whole))
        self.groups = self._exact_groups(weight.shape[1])

    def _exact_groups(self, width: int) -> list[tuple[int, int]]:
        """Ranges of rows, as few as can be, over which no sum reaches 2 ** 24."""
        groups, begin, sums = [], 0, torch.zeros_like(self.high[0], dtype=torch.int64)
        for end in range(0, len(self.high), width):
            more = self.high[end : end + width].long().abs().sum(0) * _LARGEST_HIGH
            if end > begin and int((sums + more).max()) >= _EXACT32:
                groups.append((begin, end))
                begin, sums = end, torch.zeros_like(sums)
            if int(more.max()) >= _EXACT32:
                raise InputError("a layer of the integer hyper-decoder is too wide to be exact")
            sums = sums + more
        return [*groups, (begin, len(self.high))]

    def sums(self, high: Tensor, low: Tensor, begin: int, end: int, across: int) -> Tensor:
        """Sums over the taps, with the bias, for positions ``begin`` to ``end``, in int32."""
        by_high, by_low = (
            torch.cat([x[begin + i * across + j : end + i * across + j] for i, j in self.shifts], 1)
            for x in (high, low)
        )
        total = self._product(by_high, self.high).mul_(DIGIT)
        total += self._product(by_high, self.low)
        total += self._product(by_low, self.high)
        return total.add_(self.bias)

    def _product(self, rows: Tensor, matrix: Tensor) -> Tensor:
        """``rows`` times ``matrix``, both int8 digits, in int32."""
        if rows.device.type == "cpu" and fast_int8():
            return torch._int_mm(rows, matrix)
        products = (rows[:, a:b].float() @ matrix[a:b].float() for a, b in self.groups)
        return functools.reduce(
            torch.add, (product.round().to(torch.int32) for product in products)
        )


def digits(values: Tensor) -> tuple[Tensor, Tensor]:
    """High and low digits of int16 ``values`` within ± :data:`LARGEST`, int8."""
    high = torch.bitwise_right_shift(values + DIGIT // 2, _DIGIT_BITS)
    return high.to(torch.int8), (values - DIGIT * high).to(torch.int8)


@functools.cache
def fast_int8() -> bool:
    """Whether this CPU multiplies int8 matrices fast and exactly through PyTorch.

    Both kernels give the same sums. Without VNNI instructions an int8 product is slow, or
    saturates at 16 bits, so it is tried on the largest numbers.
    """
    supported = getattr(torch.cpu, "_is_vnni_supported", None)
    product = getattr(torch, "_int_mm", None)
    if supported is None or product is None or not supported():
        return False
    signs = np.random.default_rng(0).choice(
        np.array([-_LARGEST_HIGH, _LARGEST_HIGH], np.int8), (99, 640)
    )
    signs[:9] = _LARGEST_HIGH
    a, b = torch.from_numpy(signs), torch.from_numpy(signs[:72].T.copy())
    try:
        return torch.equal(product(a, b), (a.double() @ b.double()).int())
    except RuntimeError:
        return False


def indices_of_scales(thresholds: Tensor) -> Tensor:
    """The table index, uint8, of each scale from 0 to :data:`LARGEST_SCALE`.

    It is the count of the rising ``thresholds`` that are not larger than the scale.
    """
    scales = torch.arange(LARGEST_SCALE + 1, dtype=torch.int32)
    return torch.bucketize(scales, thresholds.cpu(), right=True).to(torch.uint8)
