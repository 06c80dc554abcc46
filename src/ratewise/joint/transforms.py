"""The networks of a joint model, run without gradients: images to latents, latents to maps.

The image's synthesis runs in strips (:class:`ratewise.neural.transforms.Transforms`); the rest is
PyTorch's layers, in bfloat16 where the processor computes in it. What is exact and what is not is
as for the other learned codecs: latents and logits differ a little between devices and precisions,
symbols do not.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ratewise.errors import CodecError
from ratewise.joint.enhancement import Enhancement
from ratewise.joint.network import JointModel, padded
from ratewise.neural.transforms import STRIDE, Transforms

_STRIP_PIXELS = 1 << 19
"""Of a picture that is enhanced at once."""


class JointTransforms:
    """What ``model`` computes, on one device.

    ``device`` and ``precision`` are those of :class:`ratewise.neural.transforms.Transforms`.
    Weights are copied.
    """

    def __init__(self, model: JointModel, device: str = "auto", precision: str = "auto") -> None:
        self.picture = Transforms(model.image, device, precision)
        self.device, self.dtype = self.picture.device, self.picture.dtype
        own = copy.deepcopy(model).eval().requires_grad_(False)
        with torch.no_grad():
            first = next(own.image.g_a.parameters())
            first.div_(255)  # pixels enter as integers, which bfloat16 holds
        self._model = own.to(self.device, self.dtype).to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def analysis(self, images: NDArray[np.uint8]) -> tuple[Tensor, Tensor | None]:
        """y and s, float32 ``(n, M or K, h, w)``, of ``uint8 (n, H, W, 3)``; no s if not segmented.

        Raises :class:`CodecError` for values that are not finite.
        """
        pixels = torch.from_numpy(np.ascontiguousarray(images)).to(self.device)
        x = padded(pixels.permute(0, 3, 1, 2).float(), STRIDE).to(self.dtype)
        features, y = self._model.features(x.contiguous(memory_format=torch.channels_last))
        if self._model.aggregation is None:
            return _finite(y), None
        s = self._model.aggregation(features, y.to(self.dtype)).float()
        return _finite(y), _finite(s)

    def hyper_analysis(self, y: Tensor) -> Tensor:
        """z of y."""
        return self.picture.hyper_analysis(y)

    @torch.inference_mode()
    def semantic_hyper_analysis(self, s: Tensor) -> Tensor:
        """z of s."""
        semantic = self._model.semantic
        assert semantic is not None
        assert semantic.h_a is not None
        return _finite(semantic.h_a(self._ready(s)).float())

    @torch.inference_mode()
    def logits(self, s_hat: Tensor, height: int, width: int) -> Tensor:
        """The segmentation map ``(n, classes, height, width)`` of ŝ, in the working precision."""
        assert self._model.decoder is not None
        found: Tensor = self._model.decoder(self._ready(s_hat))[..., :height, :width]
        return found

    @torch.inference_mode()
    def enhanced(self, pictures: NDArray[np.uint8], logits: Tensor) -> NDArray[np.uint8]:
        """``pictures`` ``uint8 (n, H, W, 3)`` improved by the map ``(n, classes, H, W)``."""
        module = self._model.enhancement
        assert module is not None
        out = np.empty_like(pictures)
        for first, last, begin, end in _strips(pictures.shape, module):
            part = torch.from_numpy(np.ascontiguousarray(pictures[:, first:last])).to(self.device)
            x = part.permute(0, 3, 1, 2).float()
            s = logits[:, :, first:last]
            added = module.added(self._ready(x / 255), self._ready(s)).float()
            drawn = (x + 255 * added).round_().clamp_(0, 255).to(torch.uint8)
            rows = drawn.permute(0, 2, 3, 1)[:, begin - first : end - first]
            out[:, begin:end] = rows.cpu().numpy()
        return out

    def _ready(self, x: Tensor) -> Tensor:
        x = x.to(self.device, self.dtype)
        return x.contiguous(memory_format=torch.channels_last)


def _strips(shape: tuple[int, ...], module: Enhancement) -> Iterator[tuple[int, int, int, int]]:
    """Rows to compute on, and those of them that are kept, so that strips have no seams."""
    height = shape[1]
    rows = max(1, _STRIP_PIXELS // (shape[0] * shape[2]))
    for begin in range(0, height, rows):
        end = min(begin + rows, height)
        yield max(0, begin - module.reach), min(height, end + module.reach), begin, end


def _finite(latent: Tensor) -> Tensor:
    if not torch.isfinite(latent).all():
        raise CodecError(
            "the joint model gave values that are not finite: the weights do not suit the data"
        )
    return latent
