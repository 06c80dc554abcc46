"""Encoding an image and decoding it again, where both its bytes and its distortion are wanted."""

from __future__ import annotations

from collections.abc import Sequence

from ratewise.codecs.base import Codec
from ratewise.errors import CodecError
from ratewise.images import Image


def round_trip(codec: Codec, image: Image) -> tuple[bytes, Image]:
    """The file of ``image``, ``uint8 (H, W, 3)``, and the image decoded from it.

    Raises :class:`CodecError` where the codec cannot, or decodes to another shape.
    """
    data = codec.encode(image)
    return data, _checked(codec, image, codec.decode(data))


def round_trips(codec: Codec, images: Sequence[Image]) -> list[tuple[bytes, Image]]:
    """:func:`round_trip` of each image, coded together where the codec can."""
    files = codec.encode_batch(images)
    decoded = codec.decode_batch(files)
    return [
        (file, _checked(codec, image, back))
        for image, file, back in zip(images, files, decoded, strict=True)
    ]


def _checked(codec: Codec, image: Image, decoded: Image) -> Image:
    if decoded.shape != image.shape:
        raise CodecError(f"{codec.spec}: decodes to shape {decoded.shape}, not {image.shape}")
    return decoded
