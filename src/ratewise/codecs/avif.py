"""AVIF (AV1 still images) through libavif."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Literal

from pydantic import Field

from ratewise.codecs.base import OperatingPoint
from ratewise.codecs.chunks import boxes
from ratewise.codecs.pillow import PillowCodec
from ratewise.images import Image

_BRANDS = (b"avif", b"avis")


class AvifCodec(PillowCodec):
    """AVIF by Pillow's encoder, in one thread. ``speed`` 0 is the slowest and smallest.

    One thread, so that the bytes do not depend on the machine's cores, and so that a pool of
    processes scales.
    """

    title: ClassVar[str] = "AVIF"
    pillow_format: ClassVar[str] = "AVIF"
    codec_name: ClassVar[str] = "avif"
    file_suffix: ClassVar[str] = ".avif"
    feature: ClassVar[tuple[str, str]] = ("avif", "libavif")
    largest_side: ClassVar[int] = 32768  # libavif's own limit when it decodes
    point: ClassVar[OperatingPoint | None] = OperatingPoint("quality", 0, 100, True)

    quality: int = Field(75, ge=0, le=100)
    subsampling: Literal["420", "422", "444"] = "420"
    speed: int = Field(6, ge=0, le=10)

    @classmethod
    def libraries(cls) -> dict[str, str]:
        """Adds the AV1 encoder and decoder that libavif was built with."""
        found = super().libraries()
        if found:
            from PIL import AvifImagePlugin

            for codec in ("aom", "dav1d"):
                version = AvifImagePlugin.get_codec_version(codec)
                found |= {codec: version} if version else {}
        return found

    def decode(self, data: bytes) -> Image:
        """The image in ``data``, decoded in one thread."""
        with _one_thread():
            return super().decode(data)

    def save_options(self) -> dict[str, Any]:
        """The keyword arguments of Pillow's ``save``."""
        return {
            "quality": self.quality,
            "subsampling": ":".join(self.subsampling),
            "speed": self.speed,
            "max_threads": 1,
        }

    @classmethod
    def recognises(cls, data: bytes) -> bool:
        """Whether ``data`` begins with a file type box that names the brand avif or avis."""
        if data[4:8] != b"ftyp":
            return False
        size = min(int.from_bytes(data[:4], "big"), 256)
        names = [data[8:12], *(data[at : at + 4] for at in range(16, size, 4))]
        return any(name in _BRANDS for name in names)

    @classmethod
    def _split(cls, data: bytes) -> dict[str, int]:
        return {"pixels": sum(stop - start for kind, start, stop in boxes(data) if kind == b"mdat")}


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keep Pillow from starting a thread per core when it opens a file; it has no other way."""
    from PIL import AvifImagePlugin

    before = AvifImagePlugin.DEFAULT_MAX_THREADS
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    try:
        yield
    finally:
        AvifImagePlugin.DEFAULT_MAX_THREADS = before
