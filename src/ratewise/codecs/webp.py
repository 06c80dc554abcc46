"""WebP (lossy, VP8) through libwebp."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from ratewise.codecs.base import OperatingPoint
from ratewise.codecs.chunks import riff_chunks
from ratewise.codecs.pillow import PillowCodec


class WebpCodec(PillowCodec):
    """Lossy WebP, always 4:2:0. ``method`` is the encoder's effort, 6 the slowest."""

    title: ClassVar[str] = "WebP"
    pillow_format: ClassVar[str] = "WEBP"
    codec_name: ClassVar[str] = "webp"
    file_suffix: ClassVar[str] = ".webp"
    feature: ClassVar[tuple[str, str]] = ("webp", "libwebp")
    largest_side: ClassVar[int] = 16383
    point: ClassVar[OperatingPoint | None] = OperatingPoint("quality", 0, 100, True)

    quality: int = Field(75, ge=0, le=100)
    method: int = Field(4, ge=0, le=6)

    def save_options(self) -> dict[str, Any]:
        """The keyword arguments of Pillow's ``save``."""
        return {"quality": self.quality, "method": self.method}

    @classmethod
    def recognises(cls, data: bytes) -> bool:
        """Whether ``data`` begins like a RIFF file of type WEBP."""
        return data[:4] == b"RIFF" and data[8:12] == b"WEBP"

    @classmethod
    def _split(cls, data: bytes) -> dict[str, int]:
        image = (b"VP8 ", b"VP8L", b"ALPH")
        return {
            "pixels": sum(stop - start for kind, start, stop in riff_chunks(data) if kind in image)
        }
