"""Custom filters beside those of a trained codec (CAwF, Katakol et al., 2021).

The source's parameters stay as they are, embedded in the adapted codec. Custom ones are added, and
these alone are learned. They are of two forms, and what leads to source maps is 0 at the start::

    source maps ──┬── source filters (frozen) ────┬──> source maps
                  ├── custom filters, 0 at start ─┤
                  │                               │
                  └── custom filters ──> custom maps ── custom filters, 0 at start ──> ...

- *Filters* beside a layer's own, between the source's maps. Beside GDN they are what is added to
  its beta and gamma.
- *Maps*: a layer inside a transform gets some feature maps more, behind the source's. GDN
  normalises the two apart.

So the adapted network begins as the source, and leaving the custom numbers out gives the source
back at any time.

What is the paper's: the source's parameters stay; a small number of custom parameters is added, and
only these are learned. Where exactly they go is not known here (its text is not at hand), so this
is ours. The form ``filters`` spends them on filters of g_a and g_s, layer by layer
(:data:`IN_ORDER`), as far as whole layers go; what is left buys maps. The form ``maps`` buys maps
alone: as many of each inner layer of g_a and g_s, and a fifth as many of h_a and h_s (where as many
would take half of the parameters, and gain less). Custom filters are of 3x3 in layers of 5x5, which
buys more of them. In both, biases of source maps and the density of z are custom, too. That z and y
keep their numbers of maps is ours as well: the tables and the range coder stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate, count
from typing import Literal

import torch
from torch import Tensor, nn

from ratewise.neural.models import Architecture, CompressionModel, Custom

TRANSFORMS = ("g_a", "g_s", "h_a", "h_s")

IN_ORDER = (
    ("g_s.4",),
    ("g_a.2",),
    ("g_s.2",),
    ("g_s.6", "g_a.0"),
    ("g_s.5", "g_a.1"),
    ("g_s.3", "g_a.3"),
    ("g_a.4",),
    ("g_s.0",),
    ("g_a.6",),
    ("g_s.1", "g_a.5"),
)
"""Layers of g_a and g_s in the order in which they get custom filters; those of a line together.

Convolutions first whose change a fine-tuned codec can spare least, near the picture; then what
costs little, which without them gains less than maps do; then what is deep inside.
"""

NO_MAPS = Custom()

_IMAGE_MAPS_OF_A_HYPER_MAP = 5

Form = Literal["filters", "maps"]

Masks = dict[str, Tensor]
"""For each parameter of a wide network, which of its numbers are custom."""


@dataclass(frozen=True)
class Layout:
    """Where custom numbers are.

    ``maps`` are those that layers have more, ``beside`` the layers of g_a and g_s with custom
    filters between the source's maps, ``kernel`` the side of custom filters in layers of 5x5: 5,
    or 3 (their middle).
    """

    maps: Custom = NO_MAPS
    beside: tuple[str, ...] = ()
    kernel: int = 3


def widened(source: CompressionModel, layout: Layout) -> CompressionModel:
    """``source`` with the custom numbers of ``layout``; it computes the same.

    New filters that lead to source maps are 0, those to custom maps random, from torch's
    generator, within their middle ``kernel`` by ``kernel``.
    """
    wide = CompressionModel(source.architecture, layout.maps)
    narrow = dict(source.named_parameters())
    masks = custom_masks(wide, layout)
    with torch.no_grad():
        for name, parameter in wide.named_parameters():
            own = narrow[name]
            parameter.mul_(masks[name])
            if parameter.ndim == 4:
                outputs = 1 if _is_transposed(wide, name) else 0
                parameter.narrow(outputs, 0, own.shape[outputs]).zero_()
            parameter[tuple(slice(0, side) for side in own.shape)] = own
    return wide


def custom_masks(wide: CompressionModel, layout: Layout, *, prior: bool = True) -> Masks:
    """Which numbers of ``wide``, a network with the maps of ``layout``, are custom.

    They alone are learned, and stored. Without ``prior`` h_s and the density of z keep to the
    source: the entropy model is frozen.
    """
    narrow = dict(CompressionModel(wide.architecture).named_parameters())
    masks = {}
    for name, parameter in wide.named_parameters():
        layer, _, kind = name.rpartition(".")
        part = name.split(".")[0]
        mask = torch.ones(parameter.shape, dtype=torch.bool)
        if part in TRANSFORMS:
            own = narrow[name].shape
            if kind == "gamma":
                mask[: own[0]] = False
                mask[:, : own[1]] = False
            if kind != "bias":
                mask[tuple(slice(0, side) for side in own)] = layer in layout.beside
            if parameter.ndim == 4:
                mask &= _middle(parameter.shape[-1], layout.kernel)
        if kind == "quantiles" or (part in ("h_s", "prior") and not prior):
            mask[:] = False
        masks[name] = mask
    return masks


def size(masks: Mapping[str, Tensor]) -> int:
    """How many numbers are custom."""
    return sum(int(mask.sum()) for mask in masks.values())


def layout_for(
    architecture: Architecture,
    share: float,
    *,
    form: Form = "filters",
    kernel: int = 3,
    prior: bool = True,
) -> Layout:
    """The largest layout whose custom numbers are at most ``share`` of the source's parameters.

    Where nothing fits, the empty one: biases and density alone.
    """
    most = share * sum(p.numel() for p in CompressionModel(architecture).parameters())

    def fits(layout: Layout) -> bool:
        with torch.device("meta"):
            wide = CompressionModel(architecture, layout.maps)
        return size(custom_masks(wide, layout, prior=prior)) <= most

    beside: tuple[str, ...] = ()
    if form == "filters":
        chosen = accumulate(IN_ORDER, initial=beside)
        beside = _largest((Layout(NO_MAPS, layers, kernel) for layers in chosen), fits).beside
    maps = (Custom(image, image // _IMAGE_MAPS_OF_A_HYPER_MAP) for image in count())
    return _largest((Layout(more, beside, kernel) for more in maps), fits)


def _largest(layouts: Iterator[Layout], fits: Callable[[Layout], bool]) -> Layout:
    """The last one, from the smallest on, before one that does not fit; the first in any case."""
    best = next(layouts)
    for layout in layouts:
        if not fits(layout):
            break
        best = layout
    return best


def learn_only(model: nn.Module, masks: Mapping[str, Tensor]) -> None:
    """Let gradients reach the numbers of ``masks`` alone; the others never move."""
    for name, parameter in model.named_parameters():
        mask = masks[name]
        if not mask.any():
            parameter.requires_grad_(False)
        elif not mask.all():
            parameter.register_hook(_Masked(mask))  # type: ignore[no-untyped-call]


class _Masked:
    """Takes a gradient to 0 where nothing is to be learned."""

    def __init__(self, mask: Tensor) -> None:
        self._mask = mask

    def __call__(self, gradient: Tensor) -> Tensor:
        self._mask = self._mask.to(gradient.device)
        return gradient * self._mask


def _is_transposed(model: nn.Module, name: str) -> bool:
    return isinstance(model.get_submodule(name.rpartition(".")[0]), nn.ConvTranspose2d)


def _middle(side: int, kernel: int) -> Tensor:
    """``(side, side)``: True in the middle ``kernel`` by ``kernel``."""
    margin = max(0, (side - kernel) // 2)
    row = torch.zeros(side, dtype=torch.bool)
    row[margin : side - margin] = True
    return row[:, None] & row[None, :]
