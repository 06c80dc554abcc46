"""A packed codec as a network that learns: its integers as floats again.

A packed codec has no float h_s any more. Its integer layers say all the same what they compute:
with a_in the inputs around their zero points, row o gives

    a_out = p / 2**s * (W a_in / 32 + b)          (n instead of p below 0)

up to roundings. What an inner activation counts in is free; here it is :data:`ACTIVATION_UNIT`.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ratewise.errors import InputError
from ratewise.neural.integer import DIGIT, SYMBOL, IntegerLayer
from ratewise.neural.models import CompressionModel
from ratewise.neural.quantise import through_zero_points
from ratewise.neural.tables import MEAN_UNIT, SCALE_UNIT
from ratewise.neural.weights import PackedModel

ACTIVATION_UNIT = 1024.0
"""Steps of an integer activation inside h_s that are 1 in the float twin."""

assert SCALE_UNIT == MEAN_UNIT == ACTIVATION_UNIT  # so that the last layer is like the others


def unpacked(packed: PackedModel) -> CompressionModel:
    """The network that ``packed`` stands for, in float32, every parameter trainable.

    Its h_s gives what the integers give, up to their rounding. Raises :class:`InputError` for a
    codec without a mean-scale hyperprior, and one that was packed without its density.
    """
    if packed.architecture.kind != "msh":
        raise InputError(
            f"a codec of kind {packed.architecture.kind} cannot be adapted: only msh can"
        )
    if not packed.density:
        raise InputError(
            "the packed codec lacks the density that its tables were made of, which adapting "
            "starts from: pack its training's weights anew"
        )
    model = packed.architecture.build()
    state = {key: value.float() for key, value in (*packed.floats.items(), *packed.density.items())}
    state |= {f"h_s.{key}": value for key, value in float_layers(packed.layers).items()}
    try:
        model.load_state_dict(state)
    except RuntimeError:
        raise InputError("the packed codec's numbers do not fit its architecture") from None
    return model


def float_layers(layers: Sequence[IntegerLayer]) -> dict[str, Tensor]:
    """The weights and biases of h_s, under the names of its modules (``0.weight``, ``2.bias``)."""
    state: dict[str, Tensor] = {}
    for number, layer in enumerate(layers):
        unit_in = ACTIVATION_UNIT if number else float(SYMBOL)
        weight = layer.weight.double() * (unit_in * row_units(layer) / DIGIT)[:, None, None, None]
        if not number:
            weight = weight[:, :-1]  # the last input only brings the medians in
        bias = (layer.bias + through_zero_points(layer.weight, layer.padding)).double().mean(0)
        if layer.doubles:
            weight = weight.transpose(0, 1)
        state[f"{2 * number}.weight"] = weight.float().contiguous()
        state[f"{2 * number}.bias"] = (bias * row_units(layer)).float()
    return state


def row_units(layer: IntegerLayer) -> Tensor:
    """What 1 in the sum of each row is in its output, in floats: ``(out,)`` float64."""
    return layer.steps[0].double() / 2.0 ** layer.steps[3].double() / ACTIVATION_UNIT
