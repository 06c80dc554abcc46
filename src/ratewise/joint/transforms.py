"""The networks of a joint model, run without gradients: images to latents, latents to maps.

The image's synthesis runs in strips (:class:`ratewise.neural.transforms.Transforms`); the rest is
PyTorch's layers, in bfloat16 where the processor computes in it. What is exact and what is not is
as for the other learned codecs: latents and logits differ a little between devices and precisions,
symbols do not.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ratewise.errors import CodecError
from ratewise.joint.network import JointModel, padded
from ratewise.neural.transforms import STRIDE, Transforms

_STRIP_PIXELS = 1 << 20
"""Of maps that are made, or pictures that are enhanced, at once."""

_ANALYSIS_PIXELS = 1 << 22
"""Of an image that is analysed at once, beside the rows around it."""

_ANALYSIS_REACH = 384
"""Rows above and below, multiples of 16, that a row of s depends on: 40 of the dilated layers at an
eighth of the sides, and what the base network and the strided layers see."""

_DECODER_REACH = 6
"""Rows of ŝ above and below that a row of the map depends on."""


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

        Large images are analysed in strips. Raises :class:`CodecError` for values that are not
        finite.
        """
        ys, semantic = [], []
        n, height, width = images.shape[:3]
        rows = max(STRIDE, _ANALYSIS_PIXELS // (n * width) // STRIDE * STRIDE)
        for strip in _strips(height, rows, _ANALYSIS_REACH):
            y, s = self._analysis(images[:, strip.first : strip.last])
            kept = slice(
                (strip.begin - strip.first) // STRIDE, -(-(strip.end - strip.first) // STRIDE)
            )
            ys.append(_finite(y[:, :, kept]))
            if s is not None:
                semantic.append(_finite(s[:, :, kept]))
        return torch.cat(ys, 2), torch.cat(semantic, 2) if semantic else None

    def _analysis(self, images: NDArray[np.uint8]) -> tuple[Tensor, Tensor | None]:
        pixels = torch.from_numpy(np.ascontiguousarray(images)).to(self.device)
        x = padded(pixels.permute(0, 3, 1, 2).float()).to(self.dtype)
        features, y = self._model.features(x.contiguous(memory_format=torch.channels_last))
        if self._model.aggregation is None:
            return y, None
        return y, self._model.aggregation(features, y.to(self.dtype)).float()

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

    def masks(self, s_hat: Tensor, height: int, width: int) -> NDArray[np.uint8]:
        """The class of the largest logit of each pixel, ``uint8 (n, height, width)``, of ŝ."""
        masks = np.empty((len(s_hat), height, width), np.uint8)
        for some, strip in _parts(masks.shape, 0):
            logits = self._logits(s_hat[some], strip.begin, strip.end)[..., :width]
            masks[some, strip.begin : strip.end] = logits.argmax(1).to(torch.uint8).cpu().numpy()
        return masks

    @torch.inference_mode()
    def enhanced(self, pictures: NDArray[np.uint8], s_hat: Tensor) -> NDArray[np.uint8]:
        """``pictures`` ``uint8 (n, H, W, 3)`` improved by the map that ŝ gives."""
        module = self._model.enhancement
        assert module is not None
        out = np.empty_like(pictures)
        width = pictures.shape[2]
        for some, strip in _parts(pictures.shape, module.reach):
            rows = np.ascontiguousarray(pictures[some, strip.first : strip.last])
            x = torch.from_numpy(rows).to(self.device).permute(0, 3, 1, 2).float()
            logits = self._logits(s_hat[some], strip.first, strip.last)[..., :width]
            added = _finite(module.added(self._ready(x / 255), self._ready(logits)).float())
            drawn = (x + 255 * added).round_().clamp_(0, 255).to(torch.uint8)
            kept = slice(strip.begin - strip.first, strip.end - strip.first)
            out[some, strip.begin : strip.end] = drawn.permute(0, 2, 3, 1)[:, kept].cpu().numpy()
        return out

    @torch.inference_mode()
    def _logits(self, s_hat: Tensor, begin: int, end: int) -> Tensor:
        """Rows of the map, ``(n, classes, end - begin, 16 w)``, in the working precision."""
        assert self._model.decoder is not None
        first = max(0, begin // STRIDE - _DECODER_REACH)
        last = min(s_hat.shape[2], -(-end // STRIDE) + _DECODER_REACH)
        found: Tensor = _finite(self._model.decoder(self._ready(s_hat[:, :, first:last])))
        return found[:, :, begin - STRIDE * first : end - STRIDE * first]

    def _ready(self, x: Tensor) -> Tensor:
        x = x.to(self.device, self.dtype)
        return x.contiguous(memory_format=torch.channels_last)


class _Strip(NamedTuple):
    """Rows ``first`` to ``last`` are computed on; ``begin`` to ``end`` of them are kept."""

    first: int
    last: int
    begin: int
    end: int


def _strips(height: int, rows: int, reach: int) -> Iterator[_Strip]:
    """Strips of ``rows``, with ``reach`` more on both sides, so that they have no seams."""
    for begin in range(0, height, rows):
        end = min(begin + rows, height)
        yield _Strip(max(0, begin - reach), min(height, end + reach), begin, end)


def _parts(shape: tuple[int, ...], reach: int) -> Iterator[tuple[slice, _Strip]]:
    """Which of ``n`` maps or pictures ``(n, height, width, ...)`` are made at once, and which rows:
    several whole ones, or one of them in strips."""
    n, height, width = shape[:3]
    at_once = max(1, _STRIP_PIXELS // (height * width))
    for begin in range(0, n, at_once):
        for strip in _strips(height, max(STRIDE, _STRIP_PIXELS // width), reach):
            yield slice(begin, begin + at_once), strip


def _finite(latent: Tensor) -> Tensor:
    if not torch.isfinite(latent).all():
        raise CodecError(
            "the joint model gave values that are not finite: the weights do not suit the data"
        )
    return latent
