"""Custom filters of h_s in integers, beside a source whose integers stay as they are.

Where the source's rows get inputs from custom maps, their filters are rounded to the steps that
these rows count in already. So a layer whose custom filters are 0 gives the source's integers, and
all of it is as exact as :mod:`ratewise.neural.integer`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from ratewise.errors import InputError
from ratewise.neural.adaptation.unpacking import ACTIVATION_UNIT, float_layers, row_units
from ratewise.neural.integer import CONSTANT, DIGIT, LARGEST, SYMBOL, IntegerLayer
from ratewise.neural.models import CompressionModel
from ratewise.neural.quantise import activation_ranges, integer_layer, through_zero_points
from ratewise.neural.tables import MEAN_UNIT
from ratewise.neural.weights import PackedModel

_PARTS = ("columns", "bias", "padding", "rows", "row_bias", "row_steps")


def custom_integers(
    source: PackedModel, wide: CompressionModel, symbols: Sequence[Tensor], kernel: int
) -> dict[str, Tensor]:
    """The custom part of each layer of h_s of ``wide``, which was trained beside ``source``.

    ``symbols`` of z of calibration images ``(n, N, h, w)`` show the ranges of custom activations.
    Names are ``h_s.<layer>.<part>``: ``columns`` int16 (source rows, width, k, k) what source rows
    get of custom inputs, ``bias`` int64 what their biases gain, ``padding`` int16 the zero points
    of the custom inputs; ``rows``, ``row_bias``, ``row_steps`` the custom rows, over all inputs, as
    :class:`ratewise.neural.integer.IntegerLayer` has them. Kernels of custom filters are cut to
    their middle ``kernel``. Raises :class:`InputError` if weights are not finite.
    """
    assert wide.h_s is not None
    h_s = wide.h_s.float().cpu()
    if not all(torch.isfinite(value).all() for value in h_s.state_dict().values()):
        raise InputError("h_s of the adapted model has weights that are not finite")
    before = float_layers(source.layers)
    slope = next(m.negative_slope for m in h_s if isinstance(m, nn.LeakyReLU))
    centre = torch.from_numpy(source.medians).double() / MEAN_UNIT
    ranges = activation_ranges(h_s, [(z + centre[:, None, None]).float() for z in symbols])
    found: dict[str, Tensor] = {}
    scale_in = zero_in = torch.zeros(0, dtype=torch.float64)  # of custom inputs
    for number, layer in enumerate(source.layers):
        convolution = h_s[2 * number]
        assert isinstance(convolution, nn.Conv2d | nn.ConvTranspose2d)
        assert convolution.bias is not None
        weight = convolution.weight.detach().double()
        weight = weight.transpose(0, 1) if layer.doubles else weight
        bias = convolution.bias.detach().double()
        rows, inputs = layer.weight.shape[0], weight.shape[1] - len(scale_in)
        units = row_units(layer)
        columns = weight[:rows, inputs:] * (scale_in * DIGIT)[:, None, None]
        columns = torch.round(columns / units[:, None, None, None])
        columns = columns.clamp(-LARGEST, LARGEST).to(torch.int16)
        padding = zero_in.to(torch.int16)
        gained = torch.round((bias[:rows] - before[f"{2 * number}.bias"].double()) / units).long()
        part = {
            "columns": columns,
            "bias": gained - _through(columns, padding, layer),
            "padding": padding,
        }
        units_in = torch.full((inputs,), 1 / ACTIVATION_UNIT if number else 1 / SYMBOL)
        own = weight[rows:] * torch.cat([units_in.double(), scale_in])[:, None, None]
        if not number:
            by_medians = own * (centre * SYMBOL / CONSTANT)[:, None, None]
            own = torch.cat([own, by_medians.sum(1, keepdim=True)], 1)
        if len(own):
            scale_in, zero_in = (value[rows:] for value in ranges[number])
            all_zero = torch.cat([layer.padding.double(), padding.double()])
            made = integer_layer(own, bias[rows:], all_zero, slope, scale_in, zero_in)
            part |= {"rows": made.weight, "row_bias": made.bias, "row_steps": made.steps}
        else:
            part |= {
                "rows": own.to(torch.int16),
                "row_bias": layer.bias.new_zeros((len(layer.bias), 0)),
                "row_steps": layer.steps.new_zeros((4, 0)),
            }
        for name in ("columns", "rows"):
            part[name] = _cut(part[name], kernel)
        found |= {f"h_s.{number}.{name}": value.contiguous() for name, value in part.items()}
    return found


def with_custom(
    source: Sequence[IntegerLayer], custom: Mapping[str, Tensor]
) -> tuple[IntegerLayer, ...]:
    """The layers of ``source`` with the custom part that :func:`custom_integers` made.

    Raises :class:`InputError` if a part is missing, of another shape, or too large to be exact.
    """
    layers = []
    for number, layer in enumerate(source):
        try:
            columns, bias, padding, rows, row_bias, row_steps = (
                custom[f"h_s.{number}.{name}"] for name in _PARTS
            )
        except KeyError as error:
            raise InputError(f"the adaptation lacks {error.args[0]!r}") from None
        side = layer.weight.shape[-1]
        try:
            columns, rows = _filled(columns, side), _filled(rows, side)
            weight = torch.cat([torch.cat([layer.weight, columns], 1), rows], 0)
            layers.append(
                IntegerLayer(
                    weight,
                    torch.cat([layer.padding, padding]),
                    torch.cat([layer.bias + bias, row_bias], 1),
                    torch.cat([layer.steps, row_steps], 1),
                )
            )
        except InputError as error:  # parts of another shape, or too large to be exact
            raise InputError(f"the adaptation's part of layer {number} of h_s: {error}") from None
        except (RuntimeError, IndexError) as error:
            raise InputError(
                f"the adaptation's part of layer {number} of h_s does not fit its source"
            ) from error
    outputs = [layer.weight.shape[0] for layer in layers[:-1]]
    inputs = [layer.weight.shape[1] for layer in layers[1:]]
    if outputs != inputs or len(layers[-1].weight) != len(source[-1].weight):
        raise InputError("the adaptation's layers of h_s do not fit each other")
    return tuple(layers)


def _through(columns: Tensor, padding: Tensor, layer: IntegerLayer) -> Tensor:
    if not len(padding):
        return torch.zeros_like(layer.bias)
    return through_zero_points(columns, padding)


def _cut(weight: Tensor, kernel: int) -> Tensor:
    margin = max(0, (weight.shape[-1] - kernel) // 2)
    return weight[:, :, margin : weight.shape[-2] - margin, margin : weight.shape[-1] - margin]


def _filled(weight: Tensor, side: int) -> Tensor:
    """``weight`` with zeros around it, so that its kernel has ``side``."""
    own = weight.shape[-1]
    if own > side or own % 2 != side % 2:
        raise InputError(f"a filter of {own} numbers a side does not fit a layer of {side}")
    margin = (side - own) // 2
    return nn.functional.pad(weight, (margin,) * 4)
