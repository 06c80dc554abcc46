"""Integers for h_s from its floats, after training."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ratewise.errors import InputError
from ratewise.neural.integer import CONSTANT, DIGIT, LARGEST, SYMBOL, IntegerLayer, digits
from ratewise.neural.tables import MEAN_UNIT, SCALE_UNIT

_MARGIN = 3.0
"""How much wider than the calibration's range of an activation its integers reach: 13 bits leave
room, and an activation that is cut off costs far more than a coarser one."""


def quantise(
    h_s: nn.Sequential, medians: NDArray[np.int32], z: Sequence[Tensor], *, means: bool
) -> list[IntegerLayer]:
    """The integer layers that stand for ``h_s``.

    ``medians`` (``(N,)``, in ``1 / MEAN_UNIT``) are what symbols of z count from, and ``z`` are
    symbols of calibration images, ``(n, N, h, w)``: three times the range of each activation on
    them is what its integers reach.

    Raises :class:`InputError` if weights are not finite, or far too large.
    """
    if not all(torch.isfinite(value).all() for value in h_s.state_dict().values()):
        raise InputError("h_s of the model has weights that are not finite")
    centre = torch.from_numpy(medians).double() / MEAN_UNIT
    convolutions = [m for m in h_s if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    ranges = activation_ranges(h_s, [(symbols + centre[:, None, None]).float() for symbols in z])
    layers = []
    scale_in = torch.full((len(centre),), 1 / SYMBOL, dtype=torch.float64)
    zero = torch.zeros(len(centre), dtype=torch.float64)
    for number, convolution in enumerate(convolutions):
        last = number == len(convolutions) - 1
        weight = convolution.weight.detach().cpu().double()
        if isinstance(convolution, nn.ConvTranspose2d):
            weight = weight.transpose(0, 1)
        weight = weight * scale_in[:, None, None]
        assert isinstance(convolution.bias, Tensor)
        bias = convolution.bias.detach().cpu().double()
        if number == 0:
            by_medians = weight * (centre * SYMBOL / CONSTANT)[:, None, None]
            weight = torch.cat([weight, by_medians.sum(1, keepdim=True)], dim=1)
            zero = torch.cat([zero, zero[:1]])
        if last:
            scale_out = torch.full((len(weight),), 1 / SCALE_UNIT, dtype=torch.float64)
            scale_out[len(weight) // 2 if means else len(weight) :] = 1 / MEAN_UNIT
            zero_out = torch.zeros_like(scale_out)
        else:
            scale_out, zero_out = ranges[number]
        slope = _slope(h_s, convolution)
        layers.append(integer_layer(weight, bias, zero, slope, scale_out, zero_out))
        scale_in, zero = scale_out, zero_out
    return layers


def integer_layer(
    weight: Tensor,
    bias: Tensor,
    zero_in: Tensor,
    slope: float,
    scale_out: Tensor,
    zero_out: Tensor,
) -> IntegerLayer:
    """The layer of float ``weight`` ``(out, in, k, k)``, in units of its inputs' steps.

    ``zero_in`` are the inputs' zero points, ``slope`` is the activation's below 0, and outputs
    count in ``scale_out`` from ``zero_out``, ``(out,)`` each, all float64.
    """
    step = weight.abs().amax((1, 2, 3)) / LARGEST
    # A row of hardly any weight must still hold its bias in 30 bits
    step = torch.maximum(step, bias.abs() / 2**30).clamp(min=1e-12)
    integers = torch.round(weight / step[:, None, None, None]).to(torch.int16)
    # What the inputs' zero points bring in goes off again, by the arithmetic of the layer
    brought_in = through_zero_points(integers, zero_in.to(torch.int16))
    unit = step * DIGIT
    ratio = unit / scale_out
    shift = (19 - torch.floor(torch.log2(ratio))).clamp(0, 44)
    power = 2.0**shift
    steps = [ratio * power, ratio * slope * power, (zero_out + 0.5) * power, shift]
    return IntegerLayer(
        integers,
        zero_in.to(torch.int16),
        torch.round(bias / unit).long() - brought_in,
        torch.stack([torch.round(value).long() for value in steps]),
    )


def through_zero_points(weight: Tensor, zero_in: Tensor) -> Tensor:
    """What inputs at their zero points ``(in,)`` add to the sums of each row, int64.

    ``(phases, out)``, like :attr:`ratewise.neural.integer.IntegerLayer.bias`; ``weight`` is int16
    ``(out, in, k, k)``.
    """
    high, low = (digit.long() for digit in digits(weight))
    zero_high, zero_low = (digit.long()[:, None, None] for digit in digits(zero_in))
    products = ((DIGIT * high + low) * zero_high + high * zero_low).sum(1)
    if weight.shape[-1] == 3:
        return products.sum((1, 2))[None]
    parities = [products[:, a::2, b::2] for a in (0, 1) for b in (0, 1)]
    return torch.stack([parity.sum((1, 2)) for parity in parities])


def activation_ranges(h_s: nn.Sequential, z_hat: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Scale and zero point of each activation but the last, per feature map, float64.

    Three times what the activation reaches on ``z_hat`` (``(n, N, h, w)`` each) has integers.
    """
    found: list[tuple[Tensor, Tensor]] = []
    values = list(z_hat)
    modules = list(copy.deepcopy(h_s).cpu().float())
    for position, module in enumerate(modules):
        with torch.inference_mode():
            values = [module(value) for value in values]
        if isinstance(module, nn.ReLU | nn.LeakyReLU) and position < len(modules) - 1:
            least = torch.stack([value.amin((0, 2, 3)) for value in values]).amin(0).double()
            largest = torch.stack([value.amax((0, 2, 3)) for value in values]).amax(0).double()
            least, largest = least.clamp(max=0) * _MARGIN, largest.clamp(min=0) * _MARGIN
            # A map that is always 0 on the calibration images may wake up on others
            spread = torch.maximum(largest - least, (largest - least).max() / 64)
            scale = (spread / (2 * LARGEST)).clamp(min=1e-9)
            found.append((scale, torch.round(-LARGEST - least / scale)))
    return found


def _slope(h_s: nn.Sequential, convolution: nn.Module) -> float:
    """What the activation behind ``convolution`` multiplies negative numbers by."""
    modules = list(h_s)
    position = next(i for i, module in enumerate(modules) if module is convolution) + 1
    after = modules[position] if position < len(modules) else None
    if isinstance(after, nn.LeakyReLU):
        return float(after.negative_slope)
    return 0.0 if isinstance(after, nn.ReLU) else 1.0
