"""How many bits a sample of an image file has: Pillow drops those beyond 8 without a word."""

from __future__ import annotations

import struct
from typing import Any

from PIL import Image as PillowImage

HEAD = 65536
"""How many bytes from the start of a file are looked at."""

_TIFF_BITS_PER_SAMPLE = 258
_JPEG2000_SIZE = b"\xff\x4f\xff\x51"
_AV1_CONFIGURATION = b"av1C"


def bits_per_sample(picture: PillowImage.Image, head: bytes) -> int:
    """The largest depth of a sample in bits, 8 where nothing says otherwise.

    ``picture`` was opened but need not be loaded; ``head`` is the start of its file. Knows PNG,
    TIFF, JPEG 2000 and AVIF; the other formats that are read here have 8 bits at most, or tell
    by Pillow's mode.
    """
    if picture.format == "PNG":
        return head[24] if len(head) > 24 else 8
    if picture.format == "TIFF":
        bits: Any = getattr(picture, "tag_v2", {}).get(_TIFF_BITS_PER_SAMPLE, 8)
        return max(bits) if isinstance(bits, tuple) else int(bits)
    if picture.format in ("JPEG2000", "JP2", "J2K"):
        return _jpeg2000(head)
    if picture.format == "AVIF":
        return _avif(head)
    return 8


def _jpeg2000(head: bytes) -> int:
    """The components' depths in the SIZ marker segment (ISO/IEC 15444-1, A.5.1)."""
    start = head.find(_JPEG2000_SIZE)
    if start < 0 or len(head) < start + 42:
        return 8
    (components,) = struct.unpack_from(">H", head, start + 40)
    depths = head[start + 42 : start + 42 + 3 * components : 3]
    return max(((depth & 0x7F) + 1 for depth in depths), default=8)


def _avif(head: bytes) -> int:
    """``high_bitdepth`` and ``twelve_bit`` of each AV1 configuration (AV1-ISOBMFF, 2.3.3)."""
    deepest, at = 8, head.find(_AV1_CONFIGURATION)
    while 0 <= at < len(head) - 6:
        flags = head[at + 6]
        if flags & 0x40:
            deepest = max(deepest, 12 if flags & 0x20 else 10)
        at = head.find(_AV1_CONFIGURATION, at + 4)
    return deepest
