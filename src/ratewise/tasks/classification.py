"""The classification network around timm, its initial weights and its loss."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ratewise.errors import InputError
from ratewise.tasks.class_names import some
from ratewise.tasks.classification_settings import ClassificationSettings
from ratewise.tasks.classification_weights import check_hub, load_initial
from ratewise.tasks.timm_models import (
    check_name,
    create_network,
    head_name,
    normalisation_of,
    output_names,
)
from ratewise.training.normalisation import Normalisation
from ratewise.validation import suggestion


class ClassificationModel(nn.Module):
    """A network that normalises images and gives a score for each of its outputs.

    ::

        (N, 3, H, W) in [0, 1] -> (x - mean) / std -> network -> logits (N, K)
                                                      of_classes -> (N, C)

    ``outputs`` (C of them) says which output is each class of the data set. ``mean`` and ``std``
    are buffers, so they are saved with the weights; ``outputs`` follows from settings and classes.
    """

    mean: Tensor
    std: Tensor
    outputs: Tensor

    def __init__(
        self, network: nn.Module, normalisation: Normalisation, outputs: Sequence[int]
    ) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(normalisation.mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(normalisation.std).view(1, 3, 1, 1))
        self.register_buffer("outputs", torch.tensor(list(outputs)), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``(N, K)`` of all outputs for images ``(N, 3, H, W)`` in [0, 1]."""
        x = (images - self.mean) / self.std
        logits: Tensor = self.network(x.contiguous(memory_format=torch.channels_last))
        return logits

    def of_classes(self, logits: Tensor) -> Tensor:
        """The logits ``(N, C)`` of the data set's classes among those ``(N, K)`` of all outputs."""
        return logits.index_select(1, self.outputs)


def build_model(settings: ClassificationSettings, labels: Sequence[str]) -> ClassificationModel:
    """The model of ``settings`` for the data set's classes ``labels``, with random weights.

    Raises :class:`InputError` for an unknown model or option, and for a class that is no output.
    """
    check_name(settings.model)
    names = _known_names(settings, labels)
    network = create_network(settings, len(names))
    places = {name: index for index, name in enumerate(names)}
    normalisation = settings.normalisation or normalisation_of(settings.model)
    model = ClassificationModel(network, normalisation, [places[label] for label in labels])
    return model.to(memory_format=torch.channels_last)


def initial_model(
    settings: ClassificationSettings, labels: Sequence[str], *, seed: int, base: Path = Path()
) -> ClassificationModel:
    """The model as training starts: random weights of ``seed``, and those that ``weights`` names.

    ``base`` is the folder that a relative ``weights`` starts from. The global random state is left
    as it was. Raises :class:`InputError` like :func:`build_model`, and for weights that cannot be
    had or do not fit (see :mod:`ratewise.tasks.classification_weights`).
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = build_model(settings, labels)
        if settings.weights is not None:
            names = output_names(settings, labels)
            seen = load_initial(model.network, settings, names, base)
            if seen is not None and settings.normalisation is None:
                model.mean.copy_(seen[0])
                model.std.copy_(seen[1])
    return model


def check(settings: ClassificationSettings, labels: Sequence[str], *, base: Path = Path()) -> None:
    """Raise the :class:`InputError` that training would raise for these settings, before any work.

    Builds the model once; downloads nothing.
    """
    if settings.weights == "imagenet":
        check_hub(settings, len(output_names(settings, labels)))
        settings = settings.model_copy(update={"weights": None})
    initial_model(settings, labels, seed=0, base=base)


def head(model: ClassificationModel) -> nn.Module:
    """The last linear layer, which gives the logits."""
    part: nn.Module = model.network.get_submodule(head_name(model.network))
    return part


def classification_loss(
    logits: Tensor, targets: Tensor, sample_weights: Tensor | None = None
) -> Tensor:
    """Cross-entropy averaged over images, in nats and in float32.

    ``logits`` are ``(N, C)``, of the data set's classes; ``targets`` integers ``(N,)``.
    ``sample_weights`` ``(N,)`` multiply the share of each image without changing the divisor, so
    weights of mean 1 keep the scale of the loss.
    """
    losses = F.cross_entropy(logits.float(), targets.long(), reduction="none")
    return losses.mean() if sample_weights is None else (losses * sample_weights).mean()


def _known_names(settings: ClassificationSettings, labels: Sequence[str]) -> tuple[str, ...]:
    if not labels:
        raise InputError("the data set has no classes of whole images, which classification needs")
    names = output_names(settings, labels)
    absent = [label for label in labels if label not in set(names)]
    if absent:
        raise InputError(
            f"the data set's {some(absent)} are no output of model {settings.model}"
            f"{suggestion(absent[0], names)} (it has {len(names)}: {some(names)})"
        )
    return names
