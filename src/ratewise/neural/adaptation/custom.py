"""Custom filters beside those of a trained codec (CAwF, Katakol et al., 2021).

The source's parameters stay as they are, embedded in the adapted codec. Custom ones are added, and
these alone are learned. What leads to the source's maps is 0 at the start, so that the adapted
codec begins as the source; leaving the custom numbers out gives the source back at any time::

    source maps ──┬── source filters (frozen) ─────────────────────────┬──> source maps
                  ├── filters beside them, 0 at the start ─────────────┤
                  ├── a few filters ── mixed into maps, 0 at the start ┤
                  │                                                    │
                  └── filters ──> custom maps ── filters, 0 at the start ──> the next layer

- *Beside* a layer's filters are others of the same maps, of 3x3 in layers of 5x5. Beside GDN they
  are what is added to its beta and gamma.
- *Mixed* (:mod:`ratewise.neural.adaptation.low_rank`): ``rank`` filters over all of a layer's
  input, whose output is added to every source map with a weight. Few numbers reach everything.
- *Maps*: an inner layer gets some feature maps more, behind the source's. GDN normalises the two
  apart.

What is the paper's: the source's parameters stay; a small number of custom parameters is added, and
only these are learned. Where exactly they go is not known here (its text is not at hand), so this
is ours. The form ``filters`` has filters beside those of g_s near the picture, where most of the
distortion is won; mixed filters in g_a; and as many maps in h_a and h_s, where rate is won. The
form ``maps`` has maps alone: as many in each inner layer of g_a and g_s, and a fifth as many in h_a
and h_s. It is better where the filters of g_s would take more than two thirds of the size, and then
the other is the same. In both, biases of source maps and the density of z are custom, too. That z
and y keep their numbers of maps is ours as well: the tables and the range coder stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import count
from typing import Literal

import torch
from torch import Tensor, nn

from ratewise.neural.adaptation import low_rank
from ratewise.neural.models import Architecture, CompressionModel, Custom

TRANSFORMS = ("g_a", "g_s", "h_a", "h_s")

NEAR_THE_PICTURE = ("g_s.2", "g_s.3", "g_s.4", "g_s.5", "g_s.6")
"""Layers of g_s that have filters beside their own."""

_MOST_BESIDE = 2 / 3
"""Of the size, for these layers, biases and density."""

NO_MAPS = Custom()

_IMAGE_MAPS_OF_A_HYPER_MAP = 5

Form = Literal["filters", "maps"]

Masks = dict[str, Tensor]
"""For each parameter of a wide network, which of its numbers are custom."""


@dataclass(frozen=True)
class Layout:
    """Where custom numbers are.

    ``maps`` are those that layers have more; ``beside`` the layers of g_a and g_s with filters
    beside their own; ``rank`` the mixed filters of each convolution of the transforms ``mixed``.
    ``kernel`` is the side of other custom filters in layers of 5x5: 5, or 3 (their middle).
    """

    maps: Custom = NO_MAPS
    beside: tuple[str, ...] = ()
    mixed: tuple[str, ...] = ()
    rank: int = 0
    kernel: int = 3


def widened(source: CompressionModel, layout: Layout) -> CompressionModel:
    """``source`` with the custom numbers of ``layout`` but mixed filters; it computes the same.

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

    They alone are learned, and stored, beside mixed filters. Without ``prior`` h_s and the density
    of z keep to the source: the entropy model is frozen.
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


def size(architecture: Architecture, layout: Layout, *, prior: bool = True) -> int:
    """How many numbers are custom."""
    with torch.device("meta"):
        wide = CompressionModel(architecture, layout.maps)
    masks = custom_masks(wide, layout, prior=prior)
    mixed = low_rank.size(architecture, layout.rank, layout.mixed)
    return mixed + sum(int(mask.sum()) for mask in masks.values())


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
    with torch.device("meta"):
        most = share * sum(p.numel() for p in CompressionModel(architecture).parameters())

    def fits(layout: Layout, most: float = most) -> bool:
        return size(architecture, layout, prior=prior) <= most

    first = Layout(beside=NEAR_THE_PICTURE, mixed=("g_a",), kernel=kernel)
    if form == "maps" or not fits(first, _MOST_BESIDE * most):
        images = count()
        return _largest((Layout(_maps(image), kernel=kernel) for image in images), fits)
    # One filter more, one map more, one filter more
    steps = ((n // 2, (n + 1) // 2) for n in count())
    grown = (replace(first, maps=Custom(0, hyper), rank=rank) for hyper, rank in steps)
    return _largest(grown, fits)


def _maps(image: int) -> Custom:
    return Custom(image, image // _IMAGE_MAPS_OF_A_HYPER_MAP)


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
