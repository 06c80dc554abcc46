"""Images to bytes and back with a packed model.

::

    x ── g_a ── y ────────┐
                │         ├── latent coder ── bytes ── latent coder ── ŷ ── g_s ── x̂
               h_a ── z ──┘

Only the transforms (g_a, h_a, g_s) are in floats, and no bit of them decides what the other side
reads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from torch import Tensor

from ratewise.errors import CodecError, ImageError
from ratewise.images import Image, check_image
from ratewise.neural import bitstream
from ratewise.neural.bitstream import Header
from ratewise.neural.latent_coder import LatentCoder
from ratewise.neural.transforms import Transforms
from ratewise.neural.weights import PackedModel

_Item = TypeVar("_Item")
_Made = TypeVar("_Made")

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
        return of_one_size(images, shape_of, self._files)

    def decode(self, data: Sequence[bytes]) -> list[Image]:
        """The image in each of the files ``data``.

        Raises :class:`CodecError` for a file of another model, which names the fingerprints of
        both, and for one that is cut short or altered.
        """
        files = [self._opened(one) for one in data]
        return of_one_size(files, lambda file: (file[0].height, file[0].width), self._images)

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

    def _files(self, images: Sequence[Image]) -> list[bytes]:
        """Files of images of one size."""
        height, width = shape_of(images[0])
        payloads = self.payloads(self._transforms.analysis(np.stack(images)), height, width)
        header = self._header(width, height)
        return [bitstream.write(header, payload) for payload in payloads]

    def _images(self, files: Sequence[tuple[Header, bytes]]) -> list[Image]:
        """Images of opened files of one size."""
        height, width = files[0][0].height, files[0][0].width
        y_hat = self.latents([payload for _, payload in files], height, width)
        return list(self._transforms.synthesis(y_hat, height, width))

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


def shape_of(image: Image) -> tuple[int, int]:
    """Height and width."""
    return image.shape[0], image.shape[1]


def of_one_size(
    items: Sequence[_Item],
    size: Callable[[_Item], tuple[int, int]],
    work: Callable[[Sequence[_Item]], Sequence[_Made]],
) -> list[_Made]:
    """What ``work`` makes of ``items``, in their order.

    It is given items of one size ``(height, width)`` together, as many as hold
    :data:`_BATCH_PIXELS`, and gives as many results.
    """
    same: dict[tuple[int, int], list[int]] = {}
    for i, item in enumerate(items):
        same.setdefault(size(item), []).append(i)
    made: dict[int, _Made] = {}
    for (height, width), positions in same.items():
        at_once = max(1, _BATCH_PIXELS // (height * width))
        for begin in range(0, len(positions), at_once):
            batch = positions[begin : begin + at_once]
            made |= dict(zip(batch, work([items[i] for i in batch]), strict=True))
    return [made[i] for i in range(len(items))]
