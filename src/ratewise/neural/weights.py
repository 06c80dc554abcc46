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
from ratewise.neural.entropy import EntropyModel, make_entropy_model
from ratewise.neural.integer import IntegerLayer
from ratewise.neural.models import Architecture, CompressionModel, Custom
from ratewise.neural.tables import MEAN_UNIT, Tables
from ratewise.neural.transforms import Transforms
from ratewise.training.weights import apply_weights, load_weights, save_weights

MOST_CUSTOM = 1024
"""Maps that an adaptation may add to each layer."""

FORMAT = "ratewise packed codec 1"

_TRANSFORMS = ("g_a", "g_s", "h_a")
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
    def entropy(self) -> EntropyModel:
        """What y is coded with."""
        return EntropyModel(
            self.architecture,
            self.prior,
            self.medians,
            self.gaussian,
            self.thresholds,
            self.layers,
        )

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
        return _network(self.architecture, self.floats)

    def tensors(self) -> dict[str, Tensor]:
        """Every number that is coded with, by name."""
        found = self.entropy.tensors()
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
    density = {key: value.float() for key, value in state.items() if key.startswith("prior.")}
    if model.h_s is not None and not calibration:
        raise InputError("packing a model with a hyperprior needs calibration images: none given")
    given = dict(header or {})

    def symbols(medians: NDArray[np.int32]) -> list[Tensor]:
        return symbols_of(_network(model.architecture, floats), medians, calibration)

    entropy = make_entropy_model(model.architecture, model.prior, model.h_s, symbols)
    return _packed(entropy, given, floats, density)


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
    floats = {key: v for key, v in tensors.items() if key.split(".")[0] in _TRANSFORMS}
    about = {key: v for key, v in header.items() if key not in ("format", "architecture")}
    density = {k.removeprefix(_DENSITY): v for k, v in tensors.items() if k.startswith(_DENSITY)}
    return _packed(EntropyModel.from_tensors(architecture, tensors), about, floats, density)


def _packed(
    entropy: EntropyModel,
    header: Mapping[str, Any],
    floats: Mapping[str, Tensor],
    density: Mapping[str, Tensor],
) -> PackedModel:
    return PackedModel(
        entropy.architecture,
        header,
        floats,
        entropy.prior,
        entropy.medians,
        entropy.gaussian,
        entropy.thresholds,
        entropy.layers,
        density,
    )


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
    model.entropy.check()


def _check_finite(floats: Mapping[str, Tensor], where: str) -> None:
    for key, value in floats.items():
        if not torch.isfinite(value).all():
            raise InputError(f"{where} has weights that are not finite, in {key!r}")


def calibration_symbols(model: PackedModel, images: Sequence[Image]) -> list[Tensor]:
    """Symbols of z of ``images``, ``(n, N, h, w)`` each."""
    return symbols_of(model.network(), model.medians, images)


def symbols_of(
    network: CompressionModel, medians: NDArray[np.int32], images: Sequence[Image]
) -> list[Tensor]:
    """Symbols of z of ``images`` around ``medians``, ``(n, N, h, w)`` each."""
    transforms = Transforms(network, device="cpu", precision="fp32")
    centre = torch.from_numpy(medians)[:, None, None] / MEAN_UNIT
    try:
        return [
            torch.round(transforms.hyper_analysis(transforms.analysis(image[None])) - centre)
            for image in images
        ]
    except CodecError as error:
        raise InputError(f"calibration of the packed codec: {error}") from None


def _network(architecture: Architecture, floats: Mapping[str, Tensor]) -> CompressionModel:
    """A network with transforms alone, in float32, on the CPU."""
    image, hyper = (
        _more_maps(architecture, floats.get(f"{one}.0.weight")) for one in ("g_a", "h_a")
    )
    with torch.device("meta"):
        network = CompressionModel(architecture, Custom(image, hyper))
    network.h_s = None
    transforms = _transforms(network)
    transforms.to_empty(device="cpu")
    apply_weights(transforms, {key: v.float() for key, v in floats.items()}, "packed codec")
    return network.eval().requires_grad_(False)


def _more_maps(architecture: Architecture, weight: Tensor | None) -> int:
    """The custom maps of a transform whose first layer has ``weight``."""
    if weight is None:
        return 0
    more = weight.shape[0] - architecture.N if weight.ndim == 4 else 0
    if more > MOST_CUSTOM:
        raise InputError(f"packed codec: {more} custom maps are too many ({MOST_CUSTOM} at most)")
    return max(0, more)


def _transforms(network: CompressionModel) -> nn.ModuleDict:
    found = {name: getattr(network, name) for name in _TRANSFORMS}
    return nn.ModuleDict({name: module for name, module in found.items() if module is not None})
