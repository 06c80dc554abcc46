"""The integers that a latent is coded with: tables, medians, and the integer h_s.

They are all that encoder and decoder must agree on, and all that decides a file's symbols.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ratewise.errors import InputError
from ratewise.neural.integer import IntegerLayer
from ratewise.neural.models import Architecture
from ratewise.neural.priors import FactorisedPrior
from ratewise.neural.quantise import quantise
from ratewise.neural.tables import (
    MEAN_UNIT,
    Tables,
    factorised_tables,
    gaussian_tables,
    scale_thresholds,
)

_PARTS = ("frequencies", "lengths", "firsts")
_LAYER = ("weight", "padding", "bias", "steps")
_HYPER_LAYERS = 3
_MOST_TABLES = 256


@dataclass(frozen=True, eq=False)
class EntropyModel:
    """What the latent y of a model of ``architecture`` is coded with.

    ``prior`` are the tables of z, or of y without a hyperprior, one for each feature map, around
    ``medians`` (int32, in ``1 / MEAN_UNIT``). Hyperpriors have tables of Gaussians too, the
    ``thresholds`` between their scales, and the ``layers`` of h_s.
    """

    architecture: Architecture
    prior: Tables
    medians: NDArray[np.int32]
    gaussian: Tables | None = None
    thresholds: NDArray[np.int32] | None = None
    layers: tuple[IntegerLayer, ...] = ()

    def tensors(self) -> dict[str, Tensor]:
        """Every number, by name."""
        arrays = {"medians": self.medians}
        arrays |= {f"prior.{part}": getattr(self.prior, part) for part in _PARTS}
        if self.gaussian is not None and self.thresholds is not None:
            arrays |= {f"gaussian.{part}": getattr(self.gaussian, part) for part in _PARTS}
            arrays["thresholds"] = self.thresholds
        found = {key: torch.from_numpy(value) for key, value in arrays.items()}
        for number, layer in enumerate(self.layers):
            found |= {f"h_s.{number}.{part}": getattr(layer, part) for part in _LAYER}
        return found

    @classmethod
    def from_tensors(
        cls, architecture: Architecture, tensors: Mapping[str, Tensor]
    ) -> EntropyModel:
        """What :meth:`tensors` gave, among other tensors; KeyError for what is missing."""

        def table(name: str) -> Tables:
            return Tables(*(tensors[f"{name}.{part}"].numpy() for part in _PARTS))

        prior, medians = table("prior"), tensors["medians"].numpy()
        if architecture.kind == "factorized":
            return cls(architecture, prior, medians)
        layers = tuple(
            IntegerLayer(*(tensors[f"h_s.{number}.{part}"] for part in _LAYER))
            for number in range(_HYPER_LAYERS)
        )
        thresholds = tensors["thresholds"].numpy()
        return cls(architecture, prior, medians, table("gaussian"), thresholds, layers)

    def check(self) -> None:
        """Raise :class:`InputError` for parts that do not fit the architecture or each other."""
        N, M = self.architecture.N, self.architecture.M
        maps = M if self.architecture.kind == "factorized" else N
        medians = self.medians
        if len(self.prior) != maps or medians.dtype != np.int32 or medians.shape != (maps,):
            raise InputError(f"the packed codec's tables are not of {maps} feature maps")
        if int(np.abs(medians.astype(np.int64)).max()) > 1 << 22:
            raise InputError(f"the packed codec's medians are beyond {(1 << 22) // MEAN_UNIT}")
        if self.gaussian is None or self.thresholds is None:
            return
        order = self.thresholds
        if order.dtype != np.int32 or order.shape != (len(self.gaussian) - 1,):
            raise InputError("the packed codec's thresholds do not fit its tables")
        if not (np.diff(order) > 0).all() or len(self.gaussian) > _MOST_TABLES:
            raise InputError("the packed codec's thresholds do not rise, or are too many")
        widths = [(layer.weight.shape[1], layer.weight.shape[0]) for layer in self.layers]
        wanted = _hyper_widths(self.architecture)
        kernels = [layer.weight.shape[-1] for layer in self.layers]
        if widths != wanted or kernels != [5, 5, 3]:
            raise InputError(f"the packed codec's h_s is not of the widths {wanted}")


def make_entropy_model(
    architecture: Architecture,
    prior: FactorisedPrior,
    h_s: nn.Sequential | None,
    symbols: Callable[[NDArray[np.int32]], Sequence[Tensor]],
) -> EntropyModel:
    """The integers that stand for a trained ``prior`` and ``h_s``.

    ``symbols`` gives symbols of z of a few images, ``(n, N, h, w)`` each, around the medians that
    it is given: the ranges of h_s's activations are found on them. It is not called without h_s.
    """
    tables, medians = factorised_tables(prior)
    if h_s is None:
        return EntropyModel(architecture, tables, medians)
    layers = quantise(h_s, medians, symbols(medians), means=architecture.kind == "msh")
    return EntropyModel(
        architecture, tables, medians, gaussian_tables(), scale_thresholds(), tuple(layers)
    )


def _hyper_widths(architecture: Architecture) -> list[tuple[int, int]]:
    N, M = architecture.N, architecture.M
    if architecture.kind == "hyperprior":
        return [(N + 1, N), (N, N), (N, M)]
    return [(N + 1, M), (M, M * 3 // 2), (M * 3 // 2, M * 2)]
