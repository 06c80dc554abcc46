"""Adaptations of small codecs, made without training, and pictures to adapt to."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from codec_examples import make_network, make_texture
from torch import Tensor, nn

from ratewise.images import Image
from ratewise.neural.adaptation.adaptation import (
    Adaptation,
    custom_numbers,
    custom_structure,
    tables_of,
)
from ratewise.neural.adaptation.custom import Layout, custom_masks, widened
from ratewise.neural.adaptation.integers import custom_integers
from ratewise.neural.adaptation.low_rank import convolutions
from ratewise.neural.adaptation.unpacking import unpacked
from ratewise.neural.models import Architecture, CompressionModel, Custom, estimated_bpp
from ratewise.neural.tables import factorised_tables
from ratewise.neural.training.objective import distortion_of
from ratewise.neural.training.patches import to_tensor
from ratewise.neural.weights import PackedModel, calibration_symbols, pack

LAMBDA = 0.01


def small_source(seed: int = 0) -> PackedModel:
    """An untrained msh codec of N = 8 and M = 12 that says its lambda."""
    header = {"lambda": LAMBDA, "distortion": "mse"}
    return pack(make_network("msh", 8, 12, seed), pictures(4), header)


def trained_source() -> PackedModel:
    """A msh codec of N = 8 and M = 12, trained for a few seconds on smooth pictures."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = CompressionModel(Architecture("msh", 8, 12))
        x = torch.stack([to_tensor(image) for image in pictures(8, height=64, width=64)])
        optimiser = torch.optim.Adam(model.parameters(), 5e-3)
        for _ in range(150):
            coded = model(x)
            loss = LAMBDA * distortion_of(coded, x, "mse") + estimated_bpp(coded)
            optimiser.zero_grad()
            (loss + model.prior.quantile_loss() / 100).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
    return pack(model, pictures(4), {"lambda": LAMBDA, "distortion": "mse"}, half=True)


def pictures(count: int, first: int = 0, height: int = 64, width: int = 96) -> list[Image]:
    """Smooth random pictures."""
    return [make_texture(first + i, height, width) for i in range(count)]


def layout(width: int, kernel: int = 3) -> Layout:
    """As many custom maps everywhere, and custom filters beside some layers' own."""
    return Layout(Custom(width, width), ("g_s.6", "g_a.1", "g_a.2", "g_s.3"), kernel=kernel)


def moved(
    source: PackedModel, layout: Layout, strength: float = 0.05, seed: int = 0
) -> CompressionModel:
    """``source`` widened, its custom numbers moved at random as a training would move them."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        wide = widened(unpacked(source), layout)
        masks = custom_masks(wide, layout)
        with torch.no_grad():
            for name, parameter in wide.named_parameters():
                if not name.startswith("prior"):
                    parameter += strength * torch.randn_like(parameter) * masks[name]
    return wide


def stored(
    source: PackedModel,
    wide: CompressionModel,
    layout: Layout,
    about: Mapping[str, Any] | None = None,
    calibration: Sequence[Image] = (),
    mixed: Mapping[str, Tensor] | None = None,
) -> Adaptation:
    """The cawf adaptation that ``wide``, of ``layout``, is of ``source``."""
    structure = custom_structure(layout)
    numbers = custom_numbers(wide, source, layout) | dict(mixed or {})
    outside = Adaptation(source.fingerprint, "cawf", structure, numbers, {}).applied(source)
    symbols = calibration_symbols(outside, calibration or pictures(2))
    numbers |= custom_integers(source, wide, symbols, layout.kernel)
    numbers |= tables_of(factorised_tables(wide.prior)[0])
    return Adaptation(source.fingerprint, "cawf", structure, numbers, dict(about or {}))


def random_cawf(source: PackedModel, seed: int = 0, width: int = 2, kernel: int = 3) -> Adaptation:
    """A cawf adaptation of ``source`` with random custom numbers, one of them of each kind."""
    own = layout(width, kernel)
    wide = moved(source, own, seed=seed)
    mixing = dataclasses.replace(own, mixed=("g_s",), rank=2)
    generator = torch.Generator().manual_seed(seed)
    mixed = {}
    for name, layer in convolutions(wide, mixing.mixed):
        rows, columns = layer.weight.shape[0], layer.weight[0].numel()
        mixed[f"{name}.A"] = torch.randn(2, columns, generator=generator).half() / 20
        mixed[f"{name}.B"] = torch.randn(rows, 2, generator=generator).half() / 20
    return stored(source, wide, mixing, {"name": f"r{seed}"}, mixed=mixed)


def decoder_finetune(source: PackedModel, bias: float, name: str = "other") -> Adaptation:
    """A finetune adaptation whose pictures are brighter by ``bias`` of the whole range."""
    key = "g_s.6.bias"
    tensors = {key: source.floats[key] + bias}
    return Adaptation(source.fingerprint, "finetune", {}, tensors, {"name": name})


def encoder_finetune(source: PackedModel, strength: float = 0.1) -> Adaptation:
    """A finetune adaptation with another encoder alone."""
    generator = torch.Generator().manual_seed(5)
    tensors = {
        key: value + strength * value.abs().mean() * torch.randn(value.shape, generator=generator)
        for key, value in source.floats.items()
        if key.startswith(("g_a", "h_a")) and key.endswith("weight")
    }
    return Adaptation(source.fingerprint, "finetune", {}, tensors, {"name": "encoder"})


def with_tensors(adaptation: Adaptation, **changes: Tensor) -> Adaptation:
    """``adaptation`` with other tensors; ``__`` in a name stands for a dot."""
    named = {key.replace("__", "."): value for key, value in changes.items()}
    return dataclasses.replace(adaptation, tensors={**adaptation.tensors, **named})


@dataclass(frozen=True)
class Drawn:
    """Photographs of a domain of its own: bright stripes, which random weights know nothing of."""

    count: int
    height: int = 80
    width: int = 100

    def __len__(self) -> int:
        return self.count

    @property
    def repeats(self) -> list[int]:
        return [1] * self.count

    def load(self, index: int) -> Image:
        y, x = np.mgrid[: self.height, : self.width]
        waves = [np.sin((x * (c + 1) + y * (index + 1)) / 9) for c in range(3)]
        return (127 + 120 * np.stack(waves, axis=2)).astype(np.uint8)

    def fingerprint(self) -> str:
        return str(self)
