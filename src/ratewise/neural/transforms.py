"""The transforms of a trained codec, run for speed: images to latents and back.

On a CPU the layers are short work for its matrix units, and moving their outputs through memory
takes longer than computing them. So the two layers at full and half resolution run together, in
strips of a few rows that stay in a core's cache: a stage keeps the last rows that the next strip of
the stage above needs again, and nothing is computed twice. The largest tensor ever held is the one
at a quarter of the resolution, which also bounds memory: see :data:`STRIP_BYTES`.

What is exact: every output is the sum that the trained network writes down, and strips have no
seams. Sums are formed in another order than in training, so float32 results differ in the last
bits. With bfloat16 the weights and what passes between layers have 8 significant bits. Pixels enter
as integers, which bfloat16 holds exactly; what leaves is rounded to 8 bits before the last layer's
bias is added in float32, which is half a level at most for values within 128 of that bias. Beside
a codec's own error this is little: ``benchmarks/neural.py`` prints what it costs in PSNR.

Latents of two devices or precisions differ a little, pictures by a level here and there. That is
why only an encoder uses :meth:`Transforms.analysis`, and why scales are computed in integers
elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from ratewise.errors import CodecError, InputError
from ratewise.neural.layers import Gdn
from ratewise.neural.models import CompressionModel
from ratewise.neural.strips import Given, Layer, Source, Stage
from ratewise.training.device import resolve_device, resolve_precision

STRIDE = 16
"""Pixels of an image, each way, that a position of y stands for."""

STRIP_BYTES = {"cpu": 3 << 19, "cuda": 1 << 30}
"""What a strip of the widest stage may take, on a CPU for each thread: most of a core's cache."""

_GROUP_PIXELS = 1 << 18
"""Images are transformed together on a CPU while they have no more pixels than this in all."""


class Transforms:
    """g_a, h_a and g_s of ``model`` on one device, without gradients.

    ``device`` is ``auto``, ``cpu`` or ``cuda``; ``precision`` is ``auto`` (bfloat16 where the
    device computes in it), ``fp32`` or ``bf16``. Weights are copied: later changes of ``model``
    have no effect. Any number of threads may share one object. Raises :class:`InputError` for a
    device that is not there and for a wrong precision.
    """

    def __init__(
        self, model: CompressionModel, device: str = "auto", precision: str = "auto"
    ) -> None:
        if precision not in ("auto", "fp32", "bf16"):
            raise InputError(f"precision = {precision!r}: must be auto, fp32 or bf16")
        self.architecture = model.architecture
        self.device = resolve_device(device)
        fast = resolve_precision(precision, self.device) == "bf16-mixed"
        self.dtype = torch.bfloat16 if fast else torch.float32
        with torch.no_grad():
            g_a, g_s = list(model.g_a), list(model.g_s)
            self._g_a = [
                self._layer(g_a[0], g_a[1], scale=1 / 255),
                self._layer(g_a[2], g_a[3]),
                self._layer(g_a[4], g_a[5]),
                self._layer(g_a[6], None),
            ]
            self._g_s = [self._layer(g_s[i], g_s[i + 1]) for i in (0, 2, 4)]
            self._to_pixels = self._last_layer(g_s[6])
            self._h_a: list[tuple[Tensor, Tensor, int]] = []
            for layer in model.h_a or ():
                if isinstance(layer, nn.Conv2d):
                    weight, bias = self._cast(layer.weight), self._cast(layer.bias)
                    self._h_a.append((weight, bias, layer.stride[0]))
        # CompressAI's activations: none after the last layer
        self._slope = 0.0 if model.architecture.kind == "hyperprior" else 0.01

    def analysis(self, images: NDArray[np.uint8] | Tensor) -> Tensor:
        """y, float32 ``(N, M, h, w)``, of uint8 RGB ``images`` ``(N, H, W, 3)``.

        Sides are padded at the bottom and right with the last row and column to multiples of
        :data:`STRIDE`; ``h`` and ``w`` are the padded sides over it. In memory the M values of a
        position lie together. Raises :class:`CodecError` if the network gives values that are not
        finite.
        """
        pixels = self._padded(images)
        with torch.inference_mode():
            parts = [self._analysis(part.to(self.device)) for part in self._groups(pixels)]
            y = torch.cat(parts).permute(0, 3, 1, 2).float()
        return self._checked(y, "analysis")

    def hyper_analysis(self, y: Tensor) -> Tensor:
        """z, float32, of ``y`` ``(N, M, h, w)``; its sides are a quarter of y's, rounded up.

        Raises :class:`CodecError` if the network gives values that are not finite.
        """
        with torch.inference_mode():
            x = y.abs() if self.architecture.kind == "hyperprior" else y
            x = x.to(self.device, self.dtype).contiguous(memory_format=torch.channels_last)
            for i, (weight, bias, stride) in enumerate(self._h_a):
                x = F.leaky_relu(x, self._slope) if i else x
                x = F.conv2d(x, weight, bias, stride, weight.shape[-1] // 2)
        return self._checked(x.float(), "hyper-analysis")

    def synthesis(
        self, y_hat: Tensor, height: int | None = None, width: int | None = None
    ) -> NDArray[np.uint8]:
        """Pictures, uint8 ``(N, 16 h, 16 w, 3)``, of ``y_hat`` ``(N, M, h, w)``.

        With ``height`` and ``width`` they are cut to these, from the top left. Raises
        :class:`CodecError` if the network gives values that are not finite.
        """
        n, _, h, w = y_hat.shape
        h, w = STRIDE * h, STRIDE * w
        height, width = min(height or h, h), min(width or w, w)
        pictures = np.empty((n, height, width, 3), np.uint8)
        group = self._group(h * w)
        with torch.inference_mode():
            for i in range(0, n, group):
                part = y_hat[i : i + group].to(self.device, self.dtype).permute(0, 2, 3, 1)
                drawn, lowest, highest = self._synthesis(part.contiguous())
                if not torch.isfinite(torch.stack([lowest, highest])).all():
                    raise CodecError(_not_finite("synthesis"))
                pictures[i : i + group] = drawn[:, :height, :width].cpu().numpy()
        return pictures

    def _analysis(self, pixels: Tensor) -> Tensor:
        source: Source = Given(pixels, self.dtype)
        for pair in (self._g_a[:2], self._g_a[2:]):
            first = Stage(source, pair[0])
            second = Stage(first, pair[1])
            source = Given(self._all_rows(second, first.row_bytes * 2), self.dtype)
        return source.take(0, source.height)

    def _synthesis(self, y_hat: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """uint8 ``(N, 16 h, 16 w, 3)``, and the extremes of what was rounded to it."""
        first = Stage(Given(y_hat, self.dtype), self._g_s[0])
        second = Stage(first, self._g_s[1])
        quarter = Given(self._all_rows(second, second.row_bytes), self.dtype)
        half = Stage(quarter, self._g_s[2])
        n, width = half.shape[0], 2 * half.shape[1]
        pictures = y_hat.new_empty((n, 2 * half.height, width, 3), dtype=torch.uint8)
        extremes: list[Tensor] = []
        weight, bias = self._to_pixels
        for a, b in self._strips(half.height, half.row_bytes):
            # In float32: bfloat16 has no more than a step of 1 for a pixel's 256 levels
            rows = half.take(a - 1, b + 1).permute(0, 3, 1, 2).float()
            # As a convolution to the four pixels of each output position: (row, column, colour)
            drawn = F.conv2d(rows, weight, None, 1, (0, 1)).permute(0, 2, 3, 1)
            extremes += torch.aminmax(drawn)
            drawn = drawn.add_(bias).round_().clamp_(0, 255)
            drawn = drawn.reshape(n, b - a, half.shape[1], 2, 2, 3).permute(0, 1, 3, 2, 4, 5)
            pictures[:, 2 * a : 2 * b].view(n, b - a, 2, half.shape[1], 2, 3).copy_(drawn)
        seen = torch.stack(extremes)
        return pictures, seen.min(), seen.max()

    def _all_rows(self, stage: Stage, row_bytes: int) -> Tensor:
        """The whole output of ``stage``, ``(N, H, W, C)``, computed in strips."""
        out = torch.empty(
            (stage.shape[0], stage.height, *stage.shape[1:]), dtype=self.dtype, device=self.device
        )
        for a, b in self._strips(stage.height, row_bytes):
            stage.compute(a, b, out[:, a:b])
        return out

    def _strips(self, height: int, row_bytes: int) -> Iterator[tuple[int, int]]:
        budget = STRIP_BYTES[self.device]
        if self.device == "cpu":
            budget *= torch.get_num_threads()
        rows = max(2, budget // row_bytes // 2 * 2)
        for a in range(0, height, rows):
            yield a, min(a + rows, height)

    def _group(self, pixels: int) -> int:
        """How many images of so many pixels go through together."""
        limit = _GROUP_PIXELS if self.device == "cpu" else STRIP_BYTES[self.device] >> 5
        return max(1, limit // pixels)

    def _groups(self, images: Tensor) -> tuple[Tensor, ...]:
        return torch.split(images, self._group(images.shape[1] * images.shape[2]))

    def _padded(self, images: NDArray[np.uint8] | Tensor) -> Tensor:
        if images.ndim != 4 or images.shape[3] != 3 or 0 in images.shape:
            raise InputError(f"images of shape {tuple(images.shape)}: must be (N, H, W, 3)")
        if images.dtype not in (torch.uint8, np.uint8):
            raise InputError(f"images of {images.dtype}: must be uint8")
        bottom, right = -images.shape[1] % STRIDE, -images.shape[2] % STRIDE
        if isinstance(images, Tensor):
            rows, columns = (
                torch.arange(side + more, device=images.device).clamp(max=side - 1)
                for side, more in zip(images.shape[1:3], (bottom, right), strict=True)
            )
            return images[:, rows][:, :, columns] if bottom or right else images
        if bottom or right:
            images = np.pad(images, ((0, 0), (0, bottom), (0, right), (0, 0)), "edge")
        writable = images.flags.writeable and images.flags.c_contiguous
        return torch.from_numpy(images if writable else images.copy())

    def _checked(self, latent: Tensor, what: str) -> Tensor:
        if not torch.isfinite(latent).all():
            raise CodecError(_not_finite(what))
        return latent

    def _cast(self, tensor: Tensor | None) -> Tensor:
        assert tensor is not None
        tensor = tensor.detach().to(self.device, self.dtype, copy=True)
        return tensor.contiguous(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor

    def _layer(self, layer: nn.Module, gdn: nn.Module | None, scale: float = 1.0) -> Layer:
        assert isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)
        beta = gamma = None
        if isinstance(gdn, Gdn):
            beta, gamma = gdn.constants()
            beta, gamma = self._cast(beta), self._cast(gamma[:, :, None, None])
        up = isinstance(layer, nn.ConvTranspose2d)
        return Layer(self._cast(layer.weight * scale), self._cast(layer.bias), beta, gamma, up)

    def _last_layer(self, layer: nn.Module) -> tuple[Tensor, Tensor]:
        assert isinstance(layer, nn.ConvTranspose2d)
        assert layer.bias is not None
        weight = as_convolution(layer.weight.detach().float() * 255).to(self.device)
        weight = weight.contiguous(memory_format=torch.channels_last)
        return weight, layer.bias.detach().float().to(self.device).repeat(4) * 255


def as_convolution(weight: Tensor) -> Tensor:
    """A 5x5 transposed convolution of stride 2 as a 3x3 convolution to four times the width.

    ``weight`` is ``(C_in, C_out, 5, 5)``, the result ``(4 * C_out, C_in, 3, 3)``; the output at
    ``[(2 * row + column) * C_out + c, i, j]`` is that of the transposed convolution (padding 2,
    output padding 1) at ``[c, 2 * i + row, 2 * j + column]``. Output 2i + row sees input i - 1 + t
    under kernel index row + 4 - 2t, where the kernel has one.
    """
    wide, narrow = weight.shape[:2]
    result = weight.new_zeros((2, 2, narrow, wide, 3, 3))
    for row in range(2):
        for column in range(2):
            for t in range(row, 3):
                for s in range(column, 3):
                    taps = weight[:, :, row + 4 - 2 * t, column + 4 - 2 * s]
                    result[row, column, :, :, t, s] = taps.T
    return result.reshape(4 * narrow, wide, 3, 3)


def _not_finite(what: str) -> str:
    return f"the {what} transform gave values that are not finite: the weights do not suit the data"
