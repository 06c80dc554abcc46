"""timm's models as classifiers: building them, their last layer, the names of their outputs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import timm
from torch import nn

from ratewise.errors import InputError, first_line
from ratewise.tasks.classification_settings import ClassificationSettings
from ratewise.training.normalisation import Normalisation
from ratewise.validation import suggestion

_IMAGENET_OUTPUTS = 1000

_SET_ELSEWHERE = {
    *("num_classes", "in_chans", "pretrained", "pretrained_cfg", "pretrained_cfg_overlay"),
    *("checkpoint_path", "cache_dir", "features_only", "out_indices", "scriptable", "exportable"),
}
"""Parameters of timm's models that are no model options."""


def check_name(name: str) -> None:
    """Raise an :class:`InputError` for a name that timm has no model of."""
    if not timm.is_model(name):
        close = suggestion(name, timm.list_models())
        raise InputError(f"model = {name!r}: timm has no such model{close}")


def create_network(
    settings: ClassificationSettings, outputs: int | None, *, pretrained: bool = False
) -> nn.Module:
    """timm's model with ``outputs`` outputs (None: as many as it was published with).

    With ``pretrained`` its published weights are downloaded. Raises :class:`InputError` if it
    cannot be built, or :class:`OSError` if the weights cannot be had.
    """
    check_name(settings.model)
    name, options = settings.model, dict[str, Any](settings.model_options)
    for option in options:
        if option in _SET_ELSEWHERE:
            raise InputError(f"model_options: {option!r} is not set there, but by the task")
    count: dict[str, Any] = {} if outputs is None else {"num_classes": outputs}
    try:
        network: nn.Module = timm.create_model(name, pretrained=pretrained, **count, **options)
    except OSError:
        raise
    except Exception as error:  # timm raises many kinds for options that do not fit
        reason = first_line(error)
        listed = f" with model_options {options}" if options else ""
        raise InputError(f"model {name}{listed} cannot be built: {reason}") from error
    _classifier(network)
    return network


def head_name(network: nn.Module) -> str:
    """The name of the last linear layer among the parts of a timm model."""
    classifier = _classifier(network)
    names: dict[nn.Module, str] = {part: name for name, part in network.named_modules()}
    return names[classifier]


def output_names(settings: ClassificationSettings, labels: Sequence[str] = ()) -> tuple[str, ...]:
    """The names of all outputs in their order. A new head's are the data set's ``labels``.

    Raises :class:`InputError` for a restricted model whose outputs nobody has named.
    """
    if settings.head == "new":
        return tuple(labels)
    if settings.head_classes is not None:
        return tuple(settings.head_classes)
    count = _pretrained_outputs(settings.model)
    if count not in (None, _IMAGENET_OUTPUTS):
        raise InputError(
            f"model {settings.model} has {count} outputs, not the {_IMAGENET_OUTPUTS} of ImageNet: "
            "name them in head_classes, or set head to new"
        )
    return imagenet_names()


@cache
def imagenet_names() -> tuple[str, ...]:
    """The synsets of ImageNet's 1000 classes (n01440764, ...), in the order of the outputs."""
    from timm.data.imagenet_info import ImageNetInfo

    info: Any = ImageNetInfo("imagenet-1k")
    return tuple(info.label_names())


def normalisation_of(name: str) -> Normalisation:
    """What timm knows of a model's images; ImageNet's where it knows nothing."""
    known = published(name)
    if known is not None and len(known.mean) == len(known.std) == 3:
        return Normalisation(mean=known.mean, std=known.std)
    return Normalisation()


def published(name: str) -> Any:
    """What timm knows of a model's published weights, or None.

    A wrong tag is told by :func:`create_network`.
    """
    try:
        return timm.get_pretrained_cfg(name)
    except RuntimeError:
        return None


def _classifier(network: nn.Module) -> nn.Module:
    """A few models have several heads, or none."""
    classifier = getattr(network, "get_classifier", lambda: None)()
    if not isinstance(classifier, (nn.Linear, nn.Conv2d)):
        raise InputError(
            f"model {type(network).__name__} does not end in one linear layer, so it is no "
            "classifier that can be used here"
        )
    return classifier


def _pretrained_outputs(name: str) -> int | None:
    """How many outputs a model was published with; None where timm does not know."""
    known = published(name)
    return None if known is None else int(known.num_classes)
