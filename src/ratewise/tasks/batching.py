"""Running a model on images of any sizes: batches of one size, device, precision, mode."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from ratewise.images import Image
from ratewise.training.device import resolve_device, resolve_precision


class BatchedModel:
    """Puts images through a model in ``eval()``, without gradients; the model's own mode stays.

    Consecutive images of one size go through it together, ``batch_size`` at most. The same images
    in the same order give the same outputs.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        device: str = "auto",
        precision: Literal["auto", "fp32", "bf16"] = "fp32",
        batch_size: int = 8,
    ) -> None:
        self._device = resolve_device(device)
        self._bfloat16 = resolve_precision(precision, self._device) == "bf16-mixed"
        self._model = model.to(self._device)
        self._batch_size = batch_size

    def outputs(self, images: Sequence[Image]) -> Iterator[Tensor]:
        """What the model gives for each batch of ``images`` (``uint8 (H, W, 3)``), in order."""
        for batch in runs_of_one_size(images, self._batch_size):
            yield self._forward(batch)

    @torch.no_grad()
    def _forward(self, images: Sequence[Image]) -> Tensor:
        pixels = model_input(images, self._device)
        modes = {module: module.training for module in self._model.modules()}
        precision = (
            torch.autocast(torch.device(self._device).type, torch.bfloat16)
            if self._bfloat16
            else nullcontext()
        )
        self._model.eval()
        try:
            with precision:
                outputs: Tensor = self._model(pixels)
        finally:
            for module, training in modes.items():
                module.training = training
        return outputs


def model_input(images: Sequence[Image], device: torch.device | str) -> Tensor:
    """Images ``uint8 (H, W, 3)`` of one size as what models take: ``(N, 3, H, W)`` in [0, 1]."""
    pixels = torch.from_numpy(np.stack(images)).to(device)
    return pixels.permute(0, 3, 1, 2).float() / 255


def runs_of_one_size(images: Sequence[Image], most: int) -> Iterator[Sequence[Image]]:
    """``images`` in consecutive parts of one size, each of ``most`` images or fewer."""
    start = 0
    while start < len(images):
        stop = start + 1
        while stop < min(len(images), start + most) and images[stop].shape == images[start].shape:
            stop += 1
        yield images[start:stop]
        start = stop
