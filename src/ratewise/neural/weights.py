"""A model ready to code with: its transforms in floats, everything else in integers; one file.

A trained network is packed once (:func:`pack`); what :func:`load` gives needs no further step.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ratewise.errors import CodecError, InputError
from ratewise.images import Image
from ratewise.neural.bitstream import FINGERPRINT_BYTES
from ratewise.neural.integer import IntegerLayer
from ratewise.neural.models import Architecture, CompressionModel
from ratewise.neural.quantise import quantise
from ratewise.neural.tables import (
    MEAN_UNIT,
    Tables,
    factorised_tables,
    gaussian_tables,
    scale_thresholds,
)
from ratewise.neural.transforms import Transforms
from ratewise.training.weights import apply_weights, load_weights, save_weights

FORMAT = "ratewise packed codec 1"

_TRANSFORMS = ("g_a", "g_s", "h_a")
_PARTS = ("frequencies", "lengths", "firsts")
_LAYER = ("weight", "padding", "bias", "steps")
_HYPER_LAYERS = 3
_DENSITY = "density."


@dataclass(frozen=True, eq=False)
class PackedModel:
    """What encoder and decoder of one model share.

    ``floats`` holds the weights of g_a, g_s and (of hyperpriors) h_a, float32 or float16.
    ``prior`` are the tables of z, or of y without a hyperprior, one for each feature map, around
    ``medians`` (int32, in ``1 / MEAN_UNIT``). Hyperpriors have tables of Gaussians too, the
    ``thresholds`` between their scales, and the ``layers`` of h_s. ``header`` says how the model
    was made; it changes nothing.
    """

    architecture: Architecture
    header: Mapping[str, Any]
    floats: Mapping[str, Tensor]
    prior: Tables
    medians: NDArray[np.int32]
    gaussian: Tables | None = None
    thresholds: NDArray[np.int32] | None = None
    layers: tuple[IntegerLayer, ...] = ()
    density: Mapping[str, Tensor] = field(default_factory=dict)
    source: bytes | None = None
    """The fingerprint of the model that this is an adaptation of."""
    adaptation: bytes = b""
    """The fingerprint of the adaptation, unless the source decodes what this codes."""

    @property
    def has_hyperprior(self) -> bool:
        """Whether y is coded with scales that z tells."""
        return self.gaussian is not None

    @cached_property
    def fingerprint(self) -> bytes:
        """Four bytes of a SHA-256 over architecture and every number that is coded with.

        An adapted model has its source's; :attr:`adaptation` tells it apart.
        """
        if self.source is not None:
            return self.source
        return fingerprint_of(asdict(self.architecture), self.tensors())

    def network(self) -> CompressionModel:
        """A network with the transforms' weights, in float32, on the CPU.

        It has no h_s and no numbers in its prior: what they said is in the integers.
        """
        custom = self.floats["g_a.0.weight"].shape[0] - self.architecture.N
        with torch.device("meta"):
            network = CompressionModel(self.architecture, max(0, custom))
        network.h_s = None
        transforms = _transforms(network)
        transforms.to_empty(device="cpu")
        state = {key: value.float() for key, value in self.floats.items()}
        apply_weights(transforms, state, "packed codec")
        return network.eval().requires_grad_(False)

    def tensors(self) -> dict[str, Tensor]:
        """Every number that is coded with, by name."""
        arrays = {"medians": self.medians}
        arrays |= {f"prior.{part}": getattr(self.prior, part) for part in _PARTS}
        if self.gaussian is not None and self.thresholds is not None:
            arrays |= {f"gaussian.{part}": getattr(self.gaussian, part) for part in _PARTS}
            arrays["thresholds"] = self.thresholds
        found = {key: torch.from_numpy(value) for key, value in arrays.items()}
        for number, layer in enumerate(self.layers):
            found |= {f"h_s.{number}.{part}": getattr(layer, part) for part in _LAYER}
        return found | {key: value.contiguous() for key, value in self.floats.items()}

    def save(self, path: Path) -> None:
        """Write the model as one safetensors file; same model and header, same bytes."""
        about = {"format": FORMAT, "architecture": asdict(self.architecture)}
        density = {f"{_DENSITY}{key}": value for key, value in self.density.items()}
        save_weights(path, self.tensors() | density, {**self.header, **about})


def fingerprint_of(about: Any, tensors: Mapping[str, Tensor]) -> bytes:
    """Four bytes of a SHA-256 over ``about`` (JSON-able) and all ``tensors``."""
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for key, value in sorted(tensors.items()):
        array = value.contiguous().numpy()
        array = array.astype(array.dtype.newbyteorder("<"), copy=False)
        digest.update(f"{key} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.digest()[:FINGERPRINT_BYTES]


def pack(
    model: CompressionModel,
    calibration: Sequence[Image],
    header: Mapping[str, Any] | None = None,
    *,
    half: bool = False,
) -> PackedModel:
    """``model`` ready to code with.

    ``calibration`` are a few images like those to be coded (``uint8 (H, W, 3)``), on which the
    ranges of h_s's activations are found; models without a hyperprior need none. ``half`` stores
    the transforms' weights in float16. Raises :class:`InputError` for weights that are not finite
    (or too large for float16), and for no calibration images where they are needed.
    """
    state = {key: value.detach().cpu() for key, value in model.state_dict().items()}
    kind = torch.float16 if half else torch.float32
    floats = {
        key: value.to(kind) for key, value in state.items() if key.split(".")[0] in _TRANSFORMS
    }
    _check_finite(floats, "the model")
    prior, medians = factorised_tables(model.prior)
    common = (model.architecture, dict(header or {}), floats, prior, medians)
    density = {key: value.float() for key, value in state.items() if key.startswith("prior.")}
    if model.h_s is None:
        return PackedModel(*common, density=density)
    if not calibration:
        raise InputError("packing a model with a hyperprior needs calibration images: none given")
    z = calibration_symbols(PackedModel(*common), calibration)
    layers = quantise(model.h_s, medians, z, means=model.architecture.kind == "msh")
    return PackedModel(*common, gaussian_tables(), scale_thresholds(), tuple(layers), density)


def load(path: Path) -> PackedModel:
    """The model in a file that :meth:`PackedModel.save` wrote.

    Raises :class:`InputError`, which names the file, if it is missing or damaged, holds something
    else (a training's weights, which must be packed first), or numbers that cannot be.
    """
    tensors, header = load_weights(path)
    if header.get("format") != FORMAT:
        raise InputError(
            f"{path}: is no packed codec (a training's weights must be packed before they code)"
        )
    try:
        architecture = Architecture(**header["architecture"])
        model = _assembled(architecture, header, tensors)
        _check_complete(model, tensors)
    except KeyError as error:
        raise InputError(f"{path}: the packed codec lacks {error.args[0]!r}") from None
    except TypeError:
        raise InputError(f"{path}: the packed codec's architecture is damaged") from None
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return model


def _assembled(
    architecture: Architecture, header: dict[str, Any], tensors: dict[str, Tensor]
) -> PackedModel:
    def table(name: str) -> Tables:
        return Tables(*(tensors[f"{name}.{part}"].numpy() for part in _PARTS))

    floats = {key: v for key, v in tensors.items() if key.split(".")[0] in _TRANSFORMS}
    about = {key: v for key, v in header.items() if key not in ("format", "architecture")}
    common = (architecture, about, floats, table("prior"), tensors["medians"].numpy())
    density = {k.removeprefix(_DENSITY): v for k, v in tensors.items() if k.startswith(_DENSITY)}
    if architecture.kind == "factorized":
        return PackedModel(*common, density=density)
    layers = tuple(
        IntegerLayer(*(tensors[f"h_s.{number}.{part}"] for part in _LAYER))
        for number in range(_HYPER_LAYERS)
    )
    thresholds = tensors["thresholds"].numpy()
    return PackedModel(*common, table("gaussian"), thresholds, layers, density)


def _check_complete(model: PackedModel, tensors: Mapping[str, Tensor]) -> None:
    """That all parts are of the architecture's shapes, finite, and no others are there."""
    density = {f"{_DENSITY}{key}" for key in model.density}
    unknown = sorted(tensors.keys() - model.tensors().keys() - density)
    if unknown:
        raise InputError(f"the packed codec has an unknown part {unknown[0]!r}")
    if any(value.dtype not in (torch.float16, torch.float32) for value in model.floats.values()):
        raise InputError("the packed codec has weights that are neither float32 nor float16")
    _check_finite(model.floats, "the packed codec")
    _check_finite(model.density, "the packed codec")
    model.network()
    N, M = model.architecture.N, model.architecture.M
    maps = M if model.architecture.kind == "factorized" else N
    medians = model.medians
    if len(model.prior) != maps or medians.dtype != np.int32 or medians.shape != (maps,):
        raise InputError(f"the packed codec's tables are not of {maps} feature maps")
    if int(np.abs(medians.astype(np.int64)).max()) > 1 << 22:
        raise InputError(f"the packed codec's medians are beyond {(1 << 22) // MEAN_UNIT}")
    if model.gaussian is None or model.thresholds is None:
        return
    order = model.thresholds
    if order.dtype != np.int32 or order.shape != (len(model.gaussian) - 1,):
        raise InputError("the packed codec's thresholds do not fit its tables")
    if not (np.diff(order) > 0).all() or len(model.gaussian) > 256:
        raise InputError("the packed codec's thresholds do not rise, or are too many")
    widths = [(layer.weight.shape[1], layer.weight.shape[0]) for layer in model.layers]
    wanted = _hyper_widths(model.architecture)
    kernels = [layer.weight.shape[-1] for layer in model.layers]
    if widths != wanted or kernels != [5, 5, 3]:
        raise InputError(f"the packed codec's h_s is not of the widths {wanted}")


def _hyper_widths(architecture: Architecture) -> list[tuple[int, int]]:
    N, M = architecture.N, architecture.M
    if architecture.kind == "hyperprior":
        return [(N + 1, N), (N, N), (N, M)]
    return [(N + 1, M), (M, M * 3 // 2), (M * 3 // 2, M * 2)]


def _check_finite(floats: Mapping[str, Tensor], where: str) -> None:
    for key, value in floats.items():
        if not torch.isfinite(value).all():
            raise InputError(f"{where} has weights that are not finite, in {key!r}")


def calibration_symbols(model: PackedModel, images: Sequence[Image]) -> list[Tensor]:
    """Symbols of z of ``images``, ``(n, N, h, w)`` each."""
    transforms = Transforms(model.network(), device="cpu", precision="fp32")
    centre = torch.from_numpy(model.medians)[:, None, None] / MEAN_UNIT
    try:
        return [
            torch.round(transforms.hyper_analysis(transforms.analysis(image[None])) - centre)
            for image in images
        ]
    except CodecError as error:
        raise InputError(f"calibration of the packed codec: {error}") from None


def _transforms(network: CompressionModel) -> nn.ModuleDict:
    found = {name: getattr(network, name) for name in _TRANSFORMS}
    return nn.ModuleDict({name: module for name, module in found.items() if module is not None})
