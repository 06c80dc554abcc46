"""Custom filters beside those of a trained codec (CAwF, Katakol et al., 2021).

Every layer inside a transform gets some feature maps more, behind the source's::

    source maps ──────── source filters (frozen) ──┬──> source maps
         │  ╲                                      │
         │   ╲___ custom filters ──> custom maps   │
         │                              │          │
         └── custom maps ── custom filters, 0 at the start

GDN normalises the two apart. As long as the filters from custom maps to source maps are 0, the wide
network computes what the source does; leaving the custom parameters out gives the source back at
any time.

What is the paper's: the source's parameters stay as they are, embedded in the adapted codec; a
small number of custom parameters is added, and only these are learned. Where exactly they go is not
known here (its text is not at hand), so this is ours: maps beside each inner layer of g_a and g_s,
and a fifth as many of h_a and h_s (where as many would take half of the parameters, and gain less);
custom filters of 3x3 in layers of 5x5, which buy more maps for the same number of parameters; a
bias of each source map; and the density of z. That z and y keep their numbers of maps
is ours too: the tables and the range coder stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ratewise.neural.models import Architecture, CompressionModel, Custom

TRANSFORMS = ("g_a", "g_s", "h_a", "h_s")

_IMAGE_MAPS_OF_A_HYPER_MAP = 5

Masks = dict[str, Tensor]
"""For each parameter of a wide network, which of its numbers are custom."""


def widened(source: CompressionModel, custom: Custom, kernel: int = 3) -> CompressionModel:
    """``source`` with ``custom`` maps in its inner layers; it computes the same.

    New filters that lead to source maps are 0, those to custom maps random, from torch's
    generator, within their middle ``kernel`` by ``kernel``.
    """
    wide = CompressionModel(source.architecture, custom)
    narrow = dict(source.named_parameters())
    masks = custom_masks(wide, kernel)
    with torch.no_grad():
        for name, parameter in wide.named_parameters():
            own = narrow[name]
            parameter.mul_(masks[name])
            if parameter.ndim == 4:
                outputs = 1 if _is_transposed(wide, name) else 0
                parameter.narrow(outputs, 0, own.shape[outputs]).zero_()
            parameter[tuple(slice(0, side) for side in own.shape)] = own
    return wide


def custom_masks(wide: CompressionModel, kernel: int = 3, *, prior: bool = True) -> Masks:
    """Which numbers of ``wide`` are custom: they alone are learned, and stored.

    ``kernel`` is the side of custom filters in layers of 5x5: 5, or 3 (their middle). Without
    ``prior`` h_s and the density of z keep to the source: the entropy model is frozen.
    """
    narrow = dict(CompressionModel(wide.architecture).named_parameters())
    masks = {}
    for name, parameter in wide.named_parameters():
        part = name.split(".")[0]
        mask = torch.ones(parameter.shape, dtype=torch.bool)
        if part in TRANSFORMS:
            own = narrow[name].shape
            if not name.endswith("bias"):
                mask[tuple(slice(0, side) for side in own)] = False
            if name.endswith("gamma"):
                mask[: own[0]] = False
                mask[:, : own[1]] = False
            if name.endswith("beta"):
                mask[: own[0]] = False
            if parameter.ndim == 4:
                mask &= _middle(parameter.shape[-1], kernel)
        if name.endswith("quantiles") or (part in ("h_s", "prior") and not prior):
            mask[:] = False
        masks[name] = mask
    return masks


def size(masks: Mapping[str, Tensor]) -> int:
    """How many numbers are custom."""
    return sum(int(mask.sum()) for mask in masks.values())


def maps_for(
    architecture: Architecture, share: float, kernel: int = 3, *, prior: bool = True
) -> Custom:
    """The most maps whose custom numbers are at most ``share`` of the source's parameters."""
    total = sum(p.numel() for p in CompressionModel(architecture).parameters())
    image = 0
    while _size_of(architecture, _maps(image + 1), kernel, prior) <= share * total:
        image += 1
    return _maps(image)


def _maps(image: int) -> Custom:
    return Custom(image, image // _IMAGE_MAPS_OF_A_HYPER_MAP)


def _size_of(architecture: Architecture, custom: Custom, kernel: int, prior: bool) -> int:
    with torch.device("meta"):
        wide = CompressionModel(architecture, custom)
    return size(custom_masks(wide, kernel, prior=prior))


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
