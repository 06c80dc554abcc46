"""JPEG (ITU-T T.81) through libjpeg-turbo."""

from __future__ import annotations

import re
from typing import Any, ClassVar, Literal

from pydantic import Field

from ratewise.codecs.base import OperatingPoint
from ratewise.codecs.pillow import PillowCodec

_TABLES = {0xDB, 0xC4}  # DQT, DHT
_BARE = {0x01, *range(0xD0, 0xD9)}  # TEM, RST0-7, SOI: markers without a length
_SOS, _EOI = 0xDA, 0xD9
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")


class JpegCodec(PillowCodec):
    """JPEG with the tables of its quality, as Pillow's ``save(quality=...)`` writes it."""

    title: ClassVar[str] = "JPEG"
    pillow_format: ClassVar[str] = "JPEG"
    codec_name: ClassVar[str] = "jpeg"
    file_suffix: ClassVar[str] = ".jpg"
    feature: ClassVar[tuple[str, str]] = ("jpg", "libjpeg")
    largest_side: ClassVar[int] = 65500  # libjpeg's limit; the format's own is 65535
    point: ClassVar[OperatingPoint | None] = OperatingPoint("quality", 1, 100, True)

    quality: int = Field(75, ge=1, le=100)
    subsampling: Literal["420", "422", "444"] = "420"
    progressive: bool = False
    optimize: bool = False

    @classmethod
    def libraries(cls) -> dict[str, str]:
        """Adds libjpeg-turbo, which decides the bytes where Pillow was built with it."""
        from PIL import features

        found = super().libraries()
        turbo = features.version_feature("libjpeg_turbo") if found else None
        return found | ({"libjpeg-turbo": turbo} if turbo else {})

    def save_options(self) -> dict[str, Any]:
        """The keyword arguments of Pillow's ``save``."""
        return {
            "quality": self.quality,
            "subsampling": ":".join(self.subsampling),
            "progressive": self.progressive,
            "optimize": self.optimize,
        }

    @classmethod
    def recognises(cls, data: bytes) -> bool:
        """Whether ``data`` begins with an SOI marker and another one."""
        return data.startswith(b"\xff\xd8\xff")

    @classmethod
    def _split(cls, data: bytes) -> dict[str, int]:
        tables = scan = 0
        position = 0
        while True:
            if data[position] != 0xFF:
                raise ValueError("a marker is missing")
            marker = data[position + 1]
            if marker == 0xFF:  # fill byte
                position += 1
                continue
            if marker == _EOI:
                return {"tables": tables, "scan": scan}
            start = position
            position += 2
            if marker in _BARE:
                continue
            position += int.from_bytes(data[position : position + 2], "big")
            if position > len(data) or position < start + 4:
                raise ValueError("a segment is longer than the file")
            tables += position - start if marker in _TABLES else 0
            if marker == _SOS:
                stop = _end_of_scan(data, position)
                scan += stop - position
                position = stop


def _end_of_scan(data: bytes, position: int) -> int:
    """Where the entropy-coded bytes from ``position`` end: at a marker other than RST."""
    found = _MARKER.search(data, position)
    if found is None:
        raise ValueError("the scan does not end")
    return found.start()
