"""A timm classifier with local weights, as the features of patch KID. Downloads nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ratewise.errors import InputError

if TYPE_CHECKING:
    from torch import nn

Triple = tuple[float, float, float]


def load_backbone(
    weights: Path | None,
    name: str = "mobilenetv2_100",
    *,
    options: Mapping[str, Any] | None = None,
    mean: Triple = (0.485, 0.456, 0.406),
    std: Triple = (0.229, 0.224, 0.225),
    device: str = "cpu",
) -> nn.Module:
    """A frozen network from ``uint8 (N, 3, h, w)`` RGB to pooled features ``(N, d)``.

    ``name`` and ``options`` are timm's; the classifier is left out. The network sees
    ``(x / 255 - mean) / std``. Raises :class:`ratewise.errors.InputError` if ``weights`` is None,
    no ``.safetensors`` file, or does not fit: without trained weights the features mean nothing.
    """
    import timm
    from safetensors.torch import load_file

    if weights is None:
        raise InputError("weights: patch KID needs a .safetensors file of a trained classifier")
    if weights.suffix != ".safetensors" or not weights.is_file():
        raise InputError(f"{weights}: must be a .safetensors file of a trained {name}")
    try:
        state = load_file(weights)
    except Exception as error:
        raise InputError(f"{weights}: cannot be read as safetensors ({error})") from error
    try:
        model: Any = timm.create_model(name, pretrained=False, **(options or {}))
    except Exception as error:  # timm raises nearly anything on a name or option it does not know
        raise InputError(f"{name}: timm cannot make this model ({error})") from error
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise InputError(f"{weights}: these are not the weights of {name}") from error
    model.reset_classifier(0)
    return _normalised(model, mean, std).to(device).eval().requires_grad_(False)


def _normalised(model: nn.Module, mean: Triple, std: Triple) -> nn.Module:
    import torch
    from torch import Tensor, nn

    class Backbone(nn.Module):
        mean: Tensor
        std: Tensor

        def __init__(self) -> None:
            super().__init__()
            self.model = model
            self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
            self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))

        def forward(self, x: Tensor) -> Tensor:
            x = (x.to(self.mean.device).float() / 255.0 - self.mean) / self.std
            features: Tensor = self.model(x)
            return features

    return Backbone()
