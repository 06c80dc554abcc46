"""Images to bytes and back with a packed model.

::

    x ── g_a ── y ── minus means ── round ── symbols of y ──┐
                │                                           ├── ans ── bytes
               h_a ── z ── minus medians ── round ── symbols of z
                                                      │
                                          integer h_s ┴─ tables and means of y

Only the transforms (g_a, h_a, g_s) are in floats, and no bit of them decides what the other side
reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ratewise.errors import CodecError, ImageError
from ratewise.images import Image, check_image
from ratewise.neural import ans, bitstream
from ratewise.neural.ans import Symbols
from ratewise.neural.bitstream import Header
from ratewise.neural.integer import HyperSynthesis, indices_of_scales
from ratewise.neural.tables import MEAN_UNIT
from ratewise.neural.transforms import STRIDE, Transforms
from ratewise.neural.weights import PackedModel

_BATCH_PIXELS = 1 << 22
"""Images of one size are coded together up to so many pixels."""

_Latent = tuple[NDArray[np.uint8], NDArray[np.int32] | int]


class NeuralCoder:
    """Codes images with ``model``.

    ``device`` and ``precision`` are those of :class:`ratewise.neural.transforms.Transforms`: they
    change pixels by a level here and there, and nothing that a file's symbols depend on.
    """

    def __init__(
        self, model: PackedModel, *, device: str = "auto", precision: str = "auto"
    ) -> None:
        self.model = model
        self._transforms = Transforms(model.network(), device, precision)
        self._prior = ans.Models(model.prior)
        self._medians = torch.from_numpy(model.medians).float() / MEAN_UNIT
        if model.gaussian is not None and model.thresholds is not None:
            self._gaussian = ans.Models(model.gaussian)
            indices = indices_of_scales(torch.from_numpy(model.thresholds))
            self._indices = indices.to(self._transforms.device)
            self._h_s = HyperSynthesis(model.layers, self._transforms.device)

    # ----- whole images -------------------------------------------------------------------------

    def encode(self, images: Sequence[Image]) -> list[bytes]:
        """A file for each of ``images``, ``uint8 (H, W, 3)`` of any sizes.

        Raises :class:`CodecError` for what is no such image or is too large, and if the model
        gives latents that are not finite.
        """
        for image in images:
            _check(image)
        files: dict[int, bytes] = {}
        for batch in _batches([(image.shape[0], image.shape[1]) for image in images]):
            height, width = images[batch[0]].shape[:2]
            y = self._transforms.analysis(np.stack([images[i] for i in batch]))
            header = self._header(width, height)
            for i, payload in zip(batch, self.payloads(y, height, width), strict=True):
                files[i] = bitstream.write(header, payload)
        return [files[i] for i in range(len(images))]

    def decode(self, data: Sequence[bytes]) -> list[Image]:
        """The image in each of the files ``data``.

        Raises :class:`CodecError` for a file of another model, which names the fingerprints of
        both, and for one that is cut short or altered.
        """
        files = [self._opened(one) for one in data]
        images: dict[int, Image] = {}
        for batch in _batches([(header.height, header.width) for header, _ in files]):
            height, width = files[batch[0]][0].height, files[batch[0]][0].width
            y_hat = self.latents([files[i][1] for i in batch], height, width)
            pictures = self._transforms.synthesis(y_hat, height, width)
            images |= dict(zip(batch, pictures, strict=True))
        return [images[i] for i in range(len(data))]

    def header_size(self, data: bytes) -> int:
        """Bytes of the header of the file ``data``; raises :class:`CodecError`."""
        return len(data) - len(self._opened(data)[1])

    # ----- latents ------------------------------------------------------------------------------

    def payloads(self, y: Tensor, height: int, width: int) -> list[bytes]:
        """The coded symbols of y ``(n, M, h, w)`` of n images of ``height`` and ``width``."""
        if self.model.has_hyperprior:
            z = self._transforms.hyper_analysis(y).permute(0, 2, 3, 1).float().cpu()
            z_symbols = _symbols(z - self._medians)
            coded = [self._prior_part(symbols) for symbols in z_symbols]
            latents = self._conditions(z_symbols, y.shape[2:])
        y = y.permute(0, 2, 3, 1).float().cpu()
        payloads = []
        for n in range(len(y)):
            if not self.model.has_hyperprior:
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
        if not self.model.has_hyperprior:
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

    # ----- files --------------------------------------------------------------------------------

    def _header(self, width: int, height: int) -> Header:
        model = self.model
        kind = model.architecture.kind
        return Header(kind, model.fingerprint, width, height, model.adaptation)

    def _opened(self, data: bytes) -> tuple[Header, bytes]:
        """Header and payload of a file of this model that may hold an image of its size."""
        header, payload = bitstream.read(data)
        own = self._header(header.width, header.height)
        adapted = header.fingerprint == own.fingerprint and header.adaptation
        if adapted and not own.adaptation:
            raise CodecError(
                f"the data was coded with the adaptation {header.adaptation.hex()} of the model "
                f"{own.fingerprint.hex()}, which is not at hand "
                f"({header.kind}:adaptations=PATH, a file or folder of them)"
            )
        if header != own:
            raise CodecError(
                f"the data was coded with the model {_named(header)}, not with this one, "
                f"{_named(own)}"
            )
        least = self._least_bytes(header.height, header.width)
        if len(payload) < least:
            raise CodecError(
                f"the data of the learned codec is cut short: {len(payload)} bytes cannot hold "
                f"{header.width}x{header.height} pixels"
            )
        return header, payload

    def _least_bytes(self, height: int, width: int) -> int:
        """Fewer bytes than these hold no symbols of an image, whatever it shows."""
        h, w = -(-height // STRIDE), -(-width // STRIDE)
        each = float(self.model.prior.least_bits().sum())
        if self.model.gaussian is None:
            bits = each * h * w
        else:
            least = float(self.model.gaussian.least_bits().min())
            bits = each * -(-h // 4) * -(-w // 4) + least * h * w * self.model.architecture.M
        return 4 + int(bits * 0.99 / 8)


def _named(header: Header) -> str:
    """A model by its fingerprints and kind."""
    adapted = f", adapted by {header.adaptation.hex()}" if header.adaptation else ""
    return f"{header.fingerprint.hex()} ({header.kind}{adapted})"


def _check(image: Image) -> None:
    try:
        height, width = check_image(image).shape[:2]
    except ImageError as error:
        raise CodecError(f"learned codec: {error}") from None
    bitstream.check_size(width, height)


def _symbols(values: Tensor) -> Symbols:
    """``values`` rounded, within 16 bits; raises :class:`CodecError` if they are not finite."""
    if not torch.isfinite(values).all():
        raise CodecError("the learned codec's model gives latents that are not finite")
    limited = values.round().clamp_(ans.LEAST_SYMBOL, ans.LARGEST_SYMBOL)
    return limited.to(torch.int16).contiguous().numpy()


def _batches(sizes: Sequence[tuple[int, int]]) -> Iterator[list[int]]:
    """Positions of equal sizes together, as many as :data:`_BATCH_PIXELS` allows."""
    same: dict[tuple[int, int], list[int]] = {}
    for i, size in enumerate(sizes):
        same.setdefault(size, []).append(i)
    for (height, width), positions in same.items():
        at_once = max(1, _BATCH_PIXELS // (height * width))
        for begin in range(0, len(positions), at_once):
            yield positions[begin : begin + at_once]
