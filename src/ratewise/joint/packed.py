"""A joint model ready to code with: its networks in floats, its entropy models in integers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ratewise.data.classes import Classes
from ratewise.errors import InputError
from ratewise.images import Image
from ratewise.joint.architecture import FORMAT, JointArchitecture, check_format
from ratewise.joint.network import (
    JointModel,
    image_architecture,
    padded,
    semantic_architecture,
)
from ratewise.neural.entropy import EntropyModel, make_entropy_model
from ratewise.neural.models import LatentModel
from ratewise.neural.tables import MEAN_UNIT
from ratewise.neural.weights import fingerprint_of
from ratewise.training.weights import apply_weights, load_weights, save_weights
from ratewise.validation import validate

_IMAGE, _SEMANTIC = "image", "semantic"
_COUNTED = "num_batches_tracked"
"""Ends the names of what batch norm counts and nothing depends on."""


@dataclass(frozen=True, eq=False)
class PackedJoint:
    """What encoder and decoder of one joint model share.

    ``floats`` are the networks' numbers, under the names of :class:`JointModel`, float32 or (all
    but the statistics of batch norm) float16. ``semantic`` is None where the model does not
    segment. ``header`` says how the model was made; it changes nothing.
    """

    architecture: JointArchitecture
    classes: Classes
    header: Mapping[str, Any]
    floats: Mapping[str, Tensor]
    image: EntropyModel
    semantic: EntropyModel | None

    @cached_property
    def fingerprint(self) -> bytes:
        """Four bytes of a SHA-256 over architecture, classes and every number."""
        about = [self.architecture.to_json(), list(self.classes.names)]
        return fingerprint_of(about, self.tensors())

    def tensors(self) -> dict[str, Tensor]:
        """Every number that is coded with, by name."""
        found = {f"{_IMAGE}.{key}": value for key, value in self.image.tensors().items()}
        if self.semantic is not None:
            more = self.semantic.tensors()
            found |= {f"{_SEMANTIC}.{key}": value for key, value in more.items()}
        return found | {key: value.contiguous() for key, value in self.floats.items()}

    def network(self) -> JointModel:
        """The network with its float parts, in float32, on the CPU; its h_s and priors are empty.

        What these said is in the integers.
        """
        with torch.device("meta"):  # nothing is allocated before all shapes fit
            model = JointModel(self.architecture, len(self.classes))
        for latent in _latents(model):
            latent.h_s = None
            latent.prior = torch.nn.Module()  # type: ignore[assignment]
        state = {key: value.float() for key, value in self.floats.items()}
        own = model.state_dict()
        state |= {key: torch.zeros(own[key].shape) for key in own if key.endswith(_COUNTED)}
        apply_weights(model, state, "packed joint codec", assign=True)
        return model.eval().requires_grad_(False)

    def save(self, path: Path) -> None:
        """Write the model as one safetensors file; same model and header, same bytes."""
        about = {
            "format": FORMAT,
            "architecture": self.architecture.to_json(),
            "classes": self.classes.to_dict(),
        }
        save_weights(path, self.tensors(), {**self.header, **about})


def pack(
    model: JointModel,
    classes: Classes,
    calibration: Sequence[Image],
    header: Mapping[str, Any] | None = None,
    *,
    half: bool = False,
) -> PackedJoint:
    """``model`` ready to code with.

    ``calibration`` are a few images (``uint8 (H, W, 3)``), on which the ranges of both h_s's
    activations are found. ``half`` stores weights in float16. Raises :class:`InputError` for
    weights that are not finite, no calibration images, and a model without a bitstream.
    """
    if not model.architecture.has_bitstream:
        raise InputError("a joint model without quantisation has no bitstream: it cannot be packed")
    if not calibration:
        raise InputError("packing a joint model needs calibration images: none given")
    floats = {}
    for key, value in model.state_dict().items():
        if ".h_s." in key or ".prior." in key or key.endswith(_COUNTED):
            continue
        statistic = key.endswith(("running_mean", "running_var"))
        floats[key] = value.detach().cpu().to(torch.float16 if half and not statistic else None)
        if not torch.isfinite(floats[key]).all():
            raise InputError(f"the joint model has weights that are not finite, in {key!r}")
    latents = _latents_of(model, calibration)
    entropies = [
        make_entropy_model(
            latent.architecture, latent.prior, latent.h_s, _symbols_around(latent, values)
        )
        for latent, values in zip(_latents(model), latents, strict=True)
    ]
    semantic = entropies[1] if len(entropies) > 1 else None
    return PackedJoint(
        model.architecture, classes, dict(header or {}), floats, entropies[0], semantic
    )


def load(path: Path) -> PackedJoint:
    """The model in a file that :meth:`PackedJoint.save` wrote.

    Raises :class:`InputError`, which names the file, if it is missing or damaged, or holds
    something else.
    """
    tensors, header = load_weights(path)
    check_format(path, header)
    try:
        return _assembled(path, tensors, header)
    except KeyError as error:
        raise InputError(f"{path}: the packed joint codec lacks {error.args[0]!r}") from None
    except InputError:  # says what is wrong
        raise
    except (TypeError, ValueError, AttributeError):
        raise InputError(f"{path}: the packed joint codec's header is damaged") from None


def _assembled(path: Path, tensors: dict[str, Tensor], header: dict[str, Any]) -> PackedJoint:
    architecture = validate(JointArchitecture, header["architecture"], f"{path} (header)")
    classes = Classes.from_dict(header["classes"])
    about = {k: v for k, v in header.items() if k not in ("format", "architecture", "classes")}
    try:
        image = EntropyModel.from_tensors(image_architecture(architecture), _under(_IMAGE, tensors))
        semantic = None
        if architecture.segmentation:
            semantic = EntropyModel.from_tensors(
                semantic_architecture(architecture), _under(_SEMANTIC, tensors)
            )
        known = PackedJoint(architecture, classes, about, {}, image, semantic).tensors()
        floats = {key: value for key, value in tensors.items() if key not in known}
        for key, value in floats.items():
            if value.dtype not in (torch.float16, torch.float32):
                raise InputError(f"{key!r} is neither float32 nor float16")
            if not torch.isfinite(value).all():
                raise InputError(f"{key!r} is not finite")
            if key.endswith("running_var") and (value < 0).any():
                raise InputError(f"{key!r} is a variance below 0")
        for entropy in (image, semantic):
            if entropy is not None:
                entropy.check()
        packed = PackedJoint(architecture, classes, about, floats, image, semantic)
        packed.network()  # names what does not fit
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return packed


def _under(name: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        key.removeprefix(f"{name}."): value
        for key, value in tensors.items()
        if key.startswith(f"{name}.")
    }


def _latents(model: JointModel) -> list[LatentModel]:
    return [model.image, *([] if model.semantic is None else [model.semantic])]


@torch.no_grad()
def _latents_of(model: JointModel, images: Sequence[Image]) -> list[list[Tensor]]:
    """z of y, and z of s, of each of ``images``."""
    was_training = model.training
    model.eval()
    found: list[list[Tensor]] = [[] for _ in _latents(model)]
    device = next(model.parameters()).device
    for image in images:
        x = torch.from_numpy(image.copy()).to(device).permute(2, 0, 1)[None].float() / 255
        features, y = model.features(padded(x))
        latents = [y]
        if model.semantic is not None and model.aggregation is not None:
            latents.append(model.aggregation(features, y).float())
        for latent, value, zs in zip(_latents(model), latents, found, strict=True):
            assert latent.h_a is not None
            zs.append(latent.h_a(value).float().cpu())
    model.train(was_training)
    return found


def _symbols_around(latent: LatentModel, zs: Sequence[Tensor]) -> Any:
    """What gives symbols of ``zs`` around medians."""

    def symbols(medians: NDArray[np.int32]) -> list[Tensor]:
        centre = torch.from_numpy(medians)[:, None, None] / MEAN_UNIT
        return [torch.round(z - centre) for z in zs]

    return symbols
