"""What a trained segmentation model computes on the way to its masks: a layer, and the scores."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ratewise.errors import InputError
from ratewise.images import Image
from ratewise.tasks.batching import model_input
from ratewise.tasks.segmentation import SegmentationModel, encoder, initial_model
from ratewise.tasks.segmentation_settings import SegmentationSettings
from ratewise.training.device import resolve_device

SHALLOW = "shallow"
"""The encoder's features at a quarter of the image's sides: DeepLabv3+ takes its details there."""

_SHALLOW_STRIDE = 4


@dataclass(frozen=True)
class LayerAverages:
    """The average activation of each channel of a layer; its sides are ``1 / stride`` of the
    image's."""

    values: list[float]
    stride: int


def class_scores(model: nn.Module, image: Image, device: str) -> NDArray[np.float32]:
    """The logits ``float32 (C, H, W)`` of one image ``uint8 (H, W, 3)``; ``model`` is on
    ``device`` and in ``eval()``."""
    with torch.inference_mode():
        logits: Tensor = model(model_input([image], device))
    found: NDArray[np.float32] = logits[0].float().cpu().numpy()
    return found


def channel_averages(
    model: SegmentationModel, images: Iterable[Image], layer: str = SHALLOW, device: str = "auto"
) -> LayerAverages:
    """The average activation per channel over all places of all ``images``.

    ``layer`` is :data:`SHALLOW` or the name of a part of the network, such as
    ``encoder.layer1``. Raises :class:`InputError` for a part that is not there or gives no
    ``(N, C, H, W)``, and without images.
    """
    on = resolve_device(device)
    model = model.to(on).eval()
    total: NDArray[np.float64] | None = None
    places, stride = 0, 1
    with _watched(model, layer) as seen, torch.inference_mode():
        for image in images:
            model(model_input([image], on))
            features = _features(seen.pop(), layer)
            sums = features.double().sum((0, 2, 3)).cpu().numpy()
            total = sums if total is None else total + sums
            places += features.shape[-2] * features.shape[-1]
            stride = max(1, round(image.shape[1] / features.shape[-1]))
    if total is None:
        raise InputError("there are no images to look at")
    return LayerAverages([float(value) for value in total / places], stride)


def check_layer(
    settings: SegmentationSettings, classes: int, layer: str, *, base: Path = Path()
) -> None:
    """Raise the :class:`InputError` of :func:`channel_averages` for a layer that is not there."""
    if layer != SHALLOW:
        plain = settings.model_copy(update={"encoder_weights": None})
        _part(initial_model(plain, classes, seed=0, base=base), layer)


@contextmanager
def _watched(model: SegmentationModel, layer: str) -> Iterator[list[Any]]:
    """A list that the outputs of a layer are put into as the model runs."""
    seen: list[Any] = []
    part = encoder(model) if layer == SHALLOW else _part(model, layer)
    handle = part.register_forward_hook(lambda module, inputs, output: seen.append(output))
    try:
        yield seen
    finally:
        handle.remove()


def _part(model: SegmentationModel, layer: str) -> nn.Module:
    parts: dict[str, nn.Module] = dict(model.network.named_modules())
    found = next(
        (
            parts[key]
            for key in (layer, f"encoder.{layer}", f"encoder.model.{layer}")
            if key in parts
        ),
        None,
    )
    if found is None or not layer:
        some = [key for key in parts if key and key.count(".") < 3]
        raise InputError(
            f"analysis.features.layer: the network has no part {layer!r} (allowed: {SHALLOW}, or "
            f"one of its parts, such as {', '.join(some[:8])})"
        )
    return found


def _features(output: Any, layer: str) -> Tensor:
    if layer == SHALLOW:
        # ERFNet's encoder gives its last features alone
        stages = [x for x in ([output] if isinstance(output, Tensor) else output) if x.shape[1] > 0]
        deep = [x for x in stages if stages[0].shape[-1] >= _SHALLOW_STRIDE * x.shape[-1]]
        output = (deep or stages[-1:])[0]
    if not isinstance(output, Tensor) or output.ndim != 4:
        raise InputError(f"analysis.features.layer: {layer!r} gives no maps of features")
    return output
