"""Images to bytes and back with a packed model.

::

    x ── g_a ── y ────────┐
                │         ├── latent coder ── bytes ── latent coder ── ŷ ── g_s ── x̂
               h_a ── z ──┘

Only the transforms (g_a, h_a, g_s) are in floats, and no bit of them decides what the other side
reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from torch import Tensor

from ratewise.errors import CodecError, ImageError
from ratewise.images import Image, check_image
from ratewise.neural import bitstream
from ratewise.neural.bitstream import Header
from ratewise.neural.latent_coder import LatentCoder
from ratewise.neural.transforms import Transforms
from ratewise.neural.weights import PackedModel

_BATCH_PIXELS = 1 << 22
"""Images of one size are coded together up to so many pixels."""


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
        self._latents = LatentCoder(model.entropy, self._transforms.device)

    # ----- whole images -------------------------------------------------------------------------

    def encode(self, images: Sequence[Image]) -> list[bytes]:
        """A file for each of ``images``, ``uint8 (H, W, 3)`` of any sizes.

        Raises :class:`CodecError` for what is no such image or is too large, and if the model
        gives latents that are not finite.
        """
        for image in images:
            check_codable(image)
        files: dict[int, bytes] = {}
        for batch in batches_of_one_size([(image.shape[0], image.shape[1]) for image in images]):
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
        for batch in batches_of_one_size([(header.height, header.width) for header, _ in files]):
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
        z = self._transforms.hyper_analysis(y) if self.model.has_hyperprior else None
        return self._latents.payloads(y, z, height, width)

    def latents(self, payloads: Sequence[bytes], height: int, width: int) -> Tensor:
        """y_hat float32 ``(n, M, h, w)`` of n payloads of images of ``height`` and ``width``.

        Raises :class:`CodecError` where a payload's symbols are not those that were written.
        """
        return self._latents.latents(payloads, height, width)

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
        least = self._latents.least_bytes(header.height, header.width)
        if len(payload) < least:
            raise CodecError(
                f"the data of the learned codec is cut short: {len(payload)} bytes cannot hold "
                f"{header.width}x{header.height} pixels"
            )
        return header, payload


def _named(header: Header) -> str:
    """A model by its fingerprints and kind."""
    adapted = f", adapted by {header.adaptation.hex()}" if header.adaptation else ""
    return f"{header.fingerprint.hex()} ({header.kind}{adapted})"


def check_codable(image: Image) -> None:
    """Raise :class:`CodecError` for what no learned codec's file can hold."""
    try:
        height, width = check_image(image).shape[:2]
    except ImageError as error:
        raise CodecError(f"learned codec: {error}") from None
    bitstream.check_size(width, height)


def batches_of_one_size(sizes: Sequence[tuple[int, int]]) -> Iterator[list[int]]:
    """Positions of equal sizes together, as many as :data:`_BATCH_PIXELS` allows."""
    same: dict[tuple[int, int], list[int]] = {}
    for i, size in enumerate(sizes):
        same.setdefault(size, []).append(i)
    for (height, width), positions in same.items():
        at_once = max(1, _BATCH_PIXELS // (height * width))
        for begin in range(0, len(positions), at_once):
            yield positions[begin : begin + at_once]
