"""The symbols of a latent to bytes and back, with integers alone.

::

    y ── minus means ── round ── symbols of y ──┐
                                                ├── ans ── bytes
    z ── minus medians ── round ── symbols of z ┘
                                   │
                       integer h_s ┴─ tables and means of y

Nothing here is in floats that decides what the other side reads.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ratewise.errors import CodecError
from ratewise.neural import ans, bitstream
from ratewise.neural.ans import Symbols
from ratewise.neural.entropy import EntropyModel
from ratewise.neural.integer import HyperSynthesis, indices_of_scales
from ratewise.neural.tables import MEAN_UNIT
from ratewise.neural.transforms import STRIDE

_Latent = tuple[NDArray[np.uint8], NDArray[np.int32] | int]


class LatentCoder:
    """Codes latents of one position for 16x16 pixels with ``model``, on ``device``."""

    def __init__(self, model: EntropyModel, device: torch.device | str = "cpu") -> None:
        self.model = model
        self._prior = ans.Models(model.prior)
        self._medians = torch.from_numpy(model.medians).float() / MEAN_UNIT
        if model.gaussian is not None and model.thresholds is not None:
            self._gaussian = ans.Models(model.gaussian)
            self._indices = indices_of_scales(torch.from_numpy(model.thresholds)).to(device)
            self._h_s = HyperSynthesis(model.layers, device)

    def payloads(self, y: Tensor, z: Tensor | None, height: int, width: int) -> list[bytes]:
        """The coded symbols of y ``(n, M, h, w)`` of n images of ``height`` and ``width``.

        ``z`` is what h_a makes of y; None without a hyperprior. Raises :class:`CodecError` for
        latents that are not finite.
        """
        if z is not None:
            z = z.permute(0, 2, 3, 1).float().cpu()
            z_symbols = _symbols(z - self._medians)
            coded = [self._prior_part(symbols) for symbols in z_symbols]
            latents = self._conditions(z_symbols, y.shape[2:])
        y = y.permute(0, 2, 3, 1).float().cpu()
        payloads = []
        for n in range(len(y)):
            if z is None:
                symbols = _symbols(y[n] - self._medians)
                parts = [self._prior_part(symbols)]
            else:
                indices, means = latents[n]
                symbols = _symbols(y[n] - torch.as_tensor(means) / MEAN_UNIT)
                parts = [coded[n], ans.Part(self._gaussian, indices.ravel(), symbols.ravel())]
            check = bitstream.checksum(height, width, *(part.symbols for part in parts))
            payloads.append(ans.encode(parts, check))
        return payloads

    def latents(self, payloads: Sequence[bytes], height: int, width: int) -> Tensor:
        """y_hat float32 ``(n, M, h, w)`` of n payloads of images of ``height`` and ``width``.

        Raises :class:`CodecError` where a payload's symbols are not those that were written.
        """
        M, h, w = self.model.architecture.M, -(-height // STRIDE), -(-width // STRIDE)
        decoders = [ans.Decoder(payload) for payload in payloads]
        if self.model.gaussian is None:
            taken = [[self._prior_symbols(one, h, w)] for one in decoders]
            added = [self.model.medians] * len(decoders)
        else:
            sides = -(-h // 4), -(-w // 4)
            taken = [[self._prior_symbols(one, *sides)] for one in decoders]
            found = self._conditions(np.stack([z for (z,) in taken]), (h, w))
            added = []
            for decoder, symbols, (indices, means) in zip(decoders, taken, found, strict=True):
                flat = decoder.take(self._gaussian, indices.ravel())
                symbols.append(flat.reshape(h, w, M))
                added.append(np.asarray(means))
        for decoder, symbols in zip(decoders, taken, strict=True):
            if decoder.check() != bitstream.checksum(height, width, *symbols):
                raise CodecError(
                    "the data of the learned codec is cut short or altered: "
                    "its symbols do not fit their checksum"
                )
        y_hat = np.empty((len(payloads), h, w, M), np.float32)
        for n, (symbols, more) in enumerate(zip(taken, added, strict=True)):
            np.multiply(more, np.float32(1 / MEAN_UNIT), out=y_hat[n], casting="unsafe")
            y_hat[n] += symbols[-1]
        return torch.from_numpy(y_hat).permute(0, 3, 1, 2)

    def _conditions(self, z: Symbols, sides: Sequence[int]) -> list[_Latent]:
        """For each image, table indices and means (or 0) of y, ``(h, w, M)``, of symbols of z."""
        means_too = self.model.architecture.kind == "msh"
        scales, means = self._h_s(torch.from_numpy(z), means=means_too)
        h, w = sides
        scales = scales[:, :h, :w]
        indices = self._indices.index_select(0, scales.reshape(-1)).view(scales.shape).cpu().numpy()
        if means is None:
            return [(one, 0) for one in indices]
        return list(zip(indices, means[:, :h, :w].cpu().numpy(), strict=True))

    def _prior_part(self, symbols: Symbols) -> ans.Part:
        return ans.Part(self._prior, self._map_numbers(*symbols.shape[:2]), symbols.ravel())

    def _prior_symbols(self, decoder: ans.Decoder, height: int, width: int) -> Symbols:
        numbers = self._map_numbers(height, width)
        return decoder.take(self._prior, numbers).reshape(height, width, -1)

    def _map_numbers(self, height: int, width: int) -> NDArray[np.uint16]:
        return np.tile(np.arange(len(self.model.prior), dtype=np.uint16), height * width)

    def least_bytes(self, height: int, width: int) -> int:
        """Fewer bytes than these hold no symbols of an image, whatever it shows."""
        h, w = -(-height // STRIDE), -(-width // STRIDE)
        each = float(self.model.prior.least_bits().sum())
        if self.model.gaussian is None:
            bits = each * h * w
        else:
            least = float(self.model.gaussian.least_bits().min())
            bits = each * -(-h // 4) * -(-w // 4) + least * h * w * self.model.architecture.M
        return 4 + int(bits * 0.99 / 8)


def _symbols(values: Tensor) -> Symbols:
    """``values`` rounded, within 16 bits; raises :class:`CodecError` if they are not finite."""
    if not torch.isfinite(values).all():
        raise CodecError("the learned codec's model gives latents that are not finite")
    limited = values.round().clamp_(ans.LEAST_SYMBOL, ans.LARGEST_SYMBOL)
    return limited.to(torch.int16).contiguous().numpy()
