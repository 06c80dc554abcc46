"""The classifier whose features the restorer's loss compares (Johnson et al. 2016)."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import timm
import torch
import torchvision
from torch import Tensor, nn

from ratewise.errors import InputError, first_line
from ratewise.restoration.settings import FeatureSettings
from ratewise.training.normalisation import Normalisation
from ratewise.training.weights import load_backbone
from ratewise.validation import suggestion

_TORCHVISION = "torchvision:"
_FLATTENED = re.compile(r"^([a-z]+)\.(\d+)\.")


class FeatureNetwork(nn.Module):
    """Features of images ``(N, 3, H, W)`` in [-1, 1], from the first stages of a classifier.

    Frozen: in evaluation mode whatever ``train`` is told, and without gradients for its weights.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, backbone: nn.Module, normalisation: Normalisation) -> None:
        super().__init__()
        self.backbone = backbone
        self.register_buffer("mean", torch.tensor(normalisation.mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(normalisation.std).view(1, 3, 1, 1))
        self.requires_grad_(False)
        self.train(False)
        self.to(memory_format=torch.channels_last)

    def train(self, mode: bool = True) -> FeatureNetwork:
        """Stays in evaluation mode."""
        super().train(False)
        return self

    def forward(self, images: Tensor) -> list[Tensor]:
        """The output of each stage, ``(N, C, h, w)``, from fine to coarse."""
        x = ((images + 1) / 2 - self.mean) / self.std
        features: list[Tensor] = self.backbone(x.contiguous(memory_format=torch.channels_last))
        return features


def feature_network(settings: FeatureSettings, base: Path) -> FeatureNetwork | None:
    """The network of ``settings`` with its weights, or None and a warning if it names none.

    Relative paths start from ``base``; nothing is downloaded. To call only where the loss gives
    the term a weight. Raises :class:`InputError` for a backbone, an option or a number of blocks
    that does not exist, and for weights that are not the backbone's.
    """
    if settings.weights is None:
        warnings.warn(
            f"features.weights is null: the loss goes without its feature term. Give a file with "
            f"ImageNet weights of {settings.backbone} to have it",
            stacklevel=2,
        )
        return None
    with torch.random.fork_rng(devices=[]):
        if settings.backbone.startswith(_TORCHVISION):
            backbone = _of_torchvision(settings)
        else:
            backbone = _of_timm(settings)
    load_backbone(
        backbone,
        base / settings.weights,
        f"features.backbone {settings.backbone}",
        # timm calls a stage 'features.0' in a classifier and 'features_0' where it gives features
        [lambda key: _FLATTENED.sub(r"\1_\2.", key)],
    )
    return FeatureNetwork(backbone, settings.normalisation)


def _of_timm(settings: FeatureSettings) -> nn.Module:
    name = settings.backbone
    if not timm.is_model(name):
        raise InputError(
            f"features.backbone = {name!r}: timm has no such model"
            f"{suggestion(name, timm.list_models())}"
        )
    options: dict[str, Any] = dict(settings.options)
    try:
        backbone: nn.Module = timm.create_model(
            name,
            pretrained=False,
            features_only=True,
            out_indices=tuple(range(settings.blocks)),
            **options,
        )
    except (AssertionError, IndexError) as error:
        raise InputError(f"features.blocks = {settings.blocks}: {name} has fewer stages") from error
    except Exception as error:  # timm raises many kinds for what does not go together
        given = f" with features.options = {options}" if options else ""
        reason = first_line(error)
        raise InputError(
            f"features.backbone = {name!r}{given} cannot be built: {reason}"
        ) from error
    return backbone


def _of_torchvision(settings: FeatureSettings) -> nn.Module:
    name = settings.backbone.removeprefix(_TORCHVISION)
    known = torchvision.models.list_models(include="vgg*")
    if name not in known:
        raise InputError(
            f"features.backbone = {settings.backbone!r}: of torchvision's models only the VGG "
            f"ones are taken{suggestion(name, known)} ({', '.join(known)}); timm has others"
        )
    if settings.options:
        raise InputError("features.options are for timm's models, not for torchvision's")
    layers = list(torchvision.models.get_model(name, weights=None).features)
    pools = [i for i, layer in enumerate(layers) if isinstance(layer, nn.MaxPool2d)]
    if settings.blocks > len(pools):
        raise InputError(f"features.blocks = {settings.blocks}: {name} has {len(pools)} stages")
    return _Vgg(layers[: pools[settings.blocks - 1]])


class _Vgg(nn.Module):
    """The layers of a VGG, under the names that torchvision gives them."""

    def __init__(self, layers: list[nn.Module]) -> None:
        super().__init__()
        self.features = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> list[Tensor]:
        """What goes into each pooling, and the last output."""
        blocks: list[Tensor] = []
        for layer in self.features:
            if isinstance(layer, nn.MaxPool2d):
                blocks.append(x)
            x = layer(x)
        return [*blocks, x]
