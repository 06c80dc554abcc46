"""PNG: lossless; the codec of originals."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from ratewise.codecs.chunks import png_chunks
from ratewise.codecs.pillow import PillowCodec


class PngCodec(PillowCodec):
    """PNG. ``level`` is zlib's effort; pixels are the same at every level."""

    title: ClassVar[str] = "PNG"
    pillow_format: ClassVar[str] = "PNG"
    codec_name: ClassVar[str] = "png"
    file_suffix: ClassVar[str] = ".png"
    feature: ClassVar[tuple[str, str]] = ("zlib", "zlib")

    level: int = Field(6, ge=0, le=9)

    @classmethod
    def libraries(cls) -> dict[str, str]:
        """Adds zlib-ng, which decides the bytes where Pillow was built with it."""
        from PIL import features

        found = super().libraries()
        ng = features.version_feature("zlib_ng") if found else None
        return found | ({"zlib-ng": ng} if ng else {})

    def save_options(self) -> dict[str, Any]:
        """The keyword arguments of Pillow's ``save``."""
        return {"compress_level": self.level}

    @classmethod
    def recognises(cls, data: bytes) -> bool:
        """Whether ``data`` begins with PNG's signature."""
        return data.startswith(b"\x89PNG\r\n\x1a\n")

    @classmethod
    def _split(cls, data: bytes) -> dict[str, int]:
        pixels = sum(stop - start for kind, start, stop in png_chunks(data) if kind == b"IDAT")
        return {"pixels": pixels}
