"""The weights that a classifier starts from: timm's hub, a file of timm, a run of our own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ratewise.errors import InputError, first_line
from ratewise.tasks.class_names import differences
from ratewise.tasks.classification_settings import ClassificationSettings
from ratewise.tasks.timm_models import (
    create_network,
    head_name,
    imagenet_names,
    output_names,
    published,
)
from ratewise.training.weights import apply_weights, load_foreign, load_weights
from ratewise.validation import validate

FORMAT = "ratewise classification 1"
"""What the header of a weights file says that it is."""

_OURS = "ratewise "
_NETWORK = "network."

Seen = tuple[Tensor, Tensor]
"""Mean and standard deviation that images are normalised with, ``(1, 3, 1, 1)`` each."""


@dataclass(frozen=True)
class _Source:
    """Weights under timm's keys."""

    where: str
    state: dict[str, Tensor]
    names: tuple[str, ...] | None = None
    """Of the outputs, where they are known."""
    seen: Seen | None = None


def load_initial(
    network: nn.Module,
    settings: ClassificationSettings,
    names: Sequence[str],
    base: Path = Path(),
) -> Seen | None:
    """Load what ``settings.weights`` names into timm's ``network``, whose outputs are ``names``.

    The head is loaded where the outputs of the weights are known and have the same names, in
    whatever order. Else a new head stays as it is, and a restricted one takes a head of the same
    size whose outputs nobody has named. Returns what the images of a model trained here were
    normalised with. Raises :class:`InputError` for weights that cannot be had, of another model, or
    with another head than the restricted one.
    """
    source = _source(settings, base)
    own = network.state_dict()
    head = head_name(network)
    state = dict(source.state)
    found = state.get(f"{head}.weight")
    in_head = [key for key in {**own, **state} if key.startswith(f"{head}.")]
    if source.names is not None and set(source.names) == set(names):
        order = torch.tensor([source.names.index(name) for name in names])
        state.update({key: state[key][order] for key in in_head if key in state})
    elif settings.head == "new":
        for key in in_head:
            state.pop(key, None)
        state.update({key: own[key] for key in in_head if key in own})
    elif found is not None and len(found) != len(names):
        raise InputError(
            f"{source.where}: its last layer has {len(found)} outputs and the restricted head "
            f"{len(names)}: name those of the file in head_classes, or set head to new"
        )
    elif source.names is not None:
        raise InputError(
            f"{source.where}: its outputs are not those of the restricted head: "
            f"{differences(source.names, names, 'the file', 'the head')}"
        )
    counters = {key: own[key] for key in own if key.endswith("num_batches_tracked")}
    apply_weights(network, {**counters, **state}, source.where)
    return source.seen


def check_hub(settings: ClassificationSettings, outputs: int) -> None:
    """Raise an :class:`InputError` where timm has no published weights for the model."""
    create_network(settings, outputs)  # an unknown model is told first
    known = published(settings.model)
    if known is None or not known.has_weights:
        raise InputError(
            f"weights = imagenet: timm has none for {settings.model}; give a file instead"
        )
    if settings.head == "restricted" and known.num_classes != outputs:
        raise InputError(
            f"weights = imagenet: those of {settings.model} have {known.num_classes} outputs and "
            f"the restricted head {outputs}"
        )


def _source(settings: ClassificationSettings, base: Path) -> _Source:
    if settings.weights_file is None:
        return _hub(settings)
    path = base / settings.weights_file
    if path.suffix != ".safetensors":
        return _Source(str(path), load_foreign(path))
    state, header = load_weights(path)
    if not str(header.get("format", "")).startswith(_OURS):
        return _Source(str(path), state)
    return _own(path, state, header, settings)


def _hub(settings: ClassificationSettings) -> _Source:
    where = f"weights = imagenet: those of {settings.model}"
    try:
        network = create_network(settings, None, pretrained=True)
    except OSError as error:
        reason = first_line(error)
        raise InputError(f"{where} cannot be downloaded ({reason}); give a file instead") from error
    state = network.state_dict()
    names = imagenet_names()
    known = len(state[f"{head_name(network)}.weight"]) == len(names)
    return _Source(where, state, names if known else None)


def _own(
    path: Path, state: dict[str, Tensor], header: dict[str, Any], settings: ClassificationSettings
) -> _Source:
    if header["format"] != FORMAT:
        raise InputError(f"{path}: not the weights of a classifier, but {header['format']!r}")
    theirs = validate(ClassificationSettings, header["task"], f"{path} (header)")
    if _architecture(theirs.model) != _architecture(settings.model):
        raise InputError(
            f"{path}: these are the weights of model {theirs.model}, not of {settings.model}"
        )
    network = {
        key.removeprefix(_NETWORK): value
        for key, value in state.items()
        if key.startswith(_NETWORK)
    }
    names = output_names(theirs, header["labels"])
    return _Source(str(path), network, names, (state["mean"], state["std"]))


def _architecture(model: str) -> str:
    """A model's name without the tag of its published weights."""
    return model.partition(".")[0]
