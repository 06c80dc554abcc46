"""What codecs share whose options are the fields of a settings model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Self

from ratewise.codecs import spec
from ratewise.codecs.base import OperatingPoint, Option
from ratewise.errors import CodecError, ImageError, InputError
from ratewise.files import fingerprint
from ratewise.images import Image, check_image
from ratewise.validation import Settings


class ConfiguredCodec(Settings):
    """The half of :class:`ratewise.codecs.base.Codec` that follows from options and names.

    A subclass sets the class variables, declares its options as fields, and writes ``encode``,
    ``decode``, ``parts``, ``unavailable``, ``libraries`` and ``recognises``.
    """

    codec_name: ClassVar[str]
    title: ClassVar[str]
    """The format's name in sentences: ``JPEG 2000``."""

    file_suffix: ClassVar[str]
    point: ClassVar[OperatingPoint | None] = None
    largest_side: ClassVar[int] = 2**31 - 1

    # ----- as a kind: before options are chosen -------------------------------------------------

    @classmethod
    def from_options(cls, options: Mapping[str, str]) -> Self:
        """The codec with the options of a spec; see :class:`ratewise.codecs.base.CodecKind`."""
        reason = cls.unavailable()
        if reason:
            raise InputError(f"codec {cls.codec_name!r} is not available here: {reason}")
        return spec.build(cls, cls.codec_name, options)

    @classmethod
    def options(cls) -> tuple[Option, ...]:
        """All options in declared order."""
        return spec.options_of(cls)

    @classmethod
    def range(cls) -> OperatingPoint | None:
        """The operating point's name, range and direction; None if the codec has none."""
        return cls.point

    @classmethod
    def unavailable(cls) -> str | None:
        """Why the codec cannot be used here, or None."""
        raise NotImplementedError

    @classmethod
    def libraries(cls) -> dict[str, str]:
        """The libraries that decide its bytes, with their versions; empty if unavailable."""
        raise NotImplementedError

    # ----- as a codec -----------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The codec's name, as before the colon of a spec."""
        return self.codec_name

    @property
    def suffix(self) -> str:
        """The file name ending of its bitstreams, with the dot."""
        return self.file_suffix

    @property
    def operating_point(self) -> OperatingPoint | None:
        """The setting that trades rate for quality."""
        return self.point

    @property
    def batch_size(self) -> int:
        """1: images are coded one by one."""
        return 1

    @property
    def spec(self) -> str:
        """The canonical spelling."""
        return spec.spell(self.codec_name, self, self.point)

    @property
    def versions(self) -> Mapping[str, str]:
        """The libraries that decide its bytes, with their versions."""
        return self.libraries()

    @property
    def fingerprint(self) -> str:
        """Hex digest of spec and library versions."""
        return fingerprint({"spec": self.spec, "versions": dict(self.versions)})

    def encode(self, image: Image) -> bytes:
        """The bytes of a complete file that holds ``image``, ``uint8 (H, W, 3)``."""
        raise NotImplementedError

    def decode(self, data: bytes) -> Image:
        """The image in ``data``, a file of the format, as ``uint8 (H, W, 3)``."""
        raise NotImplementedError

    def encode_batch(self, images: Sequence[Image]) -> list[bytes]:
        """``encode`` of each image."""
        return [self.encode(image) for image in images]

    def decode_batch(self, data: Sequence[bytes]) -> list[Image]:
        """``decode`` of each byte string."""
        return [self.decode(one) for one in data]

    def _checked_size(self, image: Image) -> tuple[int, int]:
        """``(height, width)``; CodecError if it is no image or a side is too long."""
        try:
            height, width = check_image(image).shape[:2]
        except ImageError as error:
            raise CodecError(f"{self.title}: {error}") from None
        if max(height, width) > self.largest_side:
            raise CodecError(
                f"{self.title} holds images of at most {self.largest_side} pixels a side, "
                f"not {width}x{height}"
            )
        return height, width
