"""What the codecs that stand on Pillow share: settings, spec, bounded decoding, versions."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import PIL
from PIL import Image as PillowImage
from PIL import features

from ratewise.codecs import spec
from ratewise.codecs.base import OperatingPoint, Option
from ratewise.errors import CodecError, ImageError, InputError
from ratewise.files import fingerprint
from ratewise.images import MAX_PIXELS, Image, check_image, read_image
from ratewise.validation import Settings


class PillowCodec(Settings):
    """A format of Pillow's as a :class:`ratewise.codecs.base.Codec`; its fields are the options.

    A subclass sets the class variables, declares its options as fields, and writes
    ``save_options``, ``recognises`` and ``_split``.
    """

    title: ClassVar[str]
    """The format's name in sentences: ``JPEG 2000``."""

    pillow_format: ClassVar[str]
    """What Pillow's ``save`` calls the format."""

    point: ClassVar[OperatingPoint | None] = None
    largest_side: ClassVar[int] = 2**31 - 1
    codec_name: ClassVar[str]
    file_suffix: ClassVar[str]
    feature: ClassVar[tuple[str, str]]
    """The library behind the format: Pillow's name of the feature, and the library's own."""

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
        """Why the format cannot be used here, or None."""
        if features.check(cls.feature[0]):
            return None
        return f"this Pillow {PIL.__version__} was built without {cls.title} ({cls.feature[1]})"

    @classmethod
    def libraries(cls) -> dict[str, str]:
        """The versions of Pillow and of the library behind the format."""
        if cls.unavailable():
            return {}
        name, library = cls.feature
        return {"pillow": PIL.__version__, library: features.version(name) or "unknown"}

    @classmethod
    def recognises(cls, data: bytes) -> bool:
        """Whether ``data`` begins like a file of the format."""
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

    def save_options(self) -> dict[str, Any]:
        """The keyword arguments of Pillow's ``save``."""
        raise NotImplementedError

    def encode(self, image: Image) -> bytes:
        """The bytes of a complete file that holds ``image``, ``uint8 (H, W, 3)``.

        Raises :class:`CodecError` if it is no such image, or larger than the format allows.
        """
        try:
            height, width = check_image(image).shape[:2]
        except ImageError as error:
            raise CodecError(f"{self.title}: {error}") from None
        if max(height, width) > self.largest_side:
            raise CodecError(
                f"{self.title} holds images of at most {self.largest_side} pixels a side, "
                f"not {width}x{height}"
            )
        if height * width > MAX_PIXELS:
            raise CodecError(f"{self.title}: {width}x{height} is more than {MAX_PIXELS} pixels")
        buffer = io.BytesIO()
        try:
            picture = PillowImage.fromarray(np.ascontiguousarray(image))
            picture.save(buffer, self.pillow_format, **self.save_options())
        except Exception as error:
            raise CodecError(
                f"{self.spec}: a {width}x{height} image cannot be encoded ({error})"
            ) from error
        return buffer.getvalue()

    def decode(self, data: bytes) -> Image:
        """The image in ``data``, a file of the format, as ``uint8 (H, W, 3)``.

        Grey files are taken, an EXIF orientation is applied, exactly as
        :func:`ratewise.images.read_image` does. Raises :class:`CodecError` for anything else
        than a whole file of the format, for more than 8 bits a sample, for CMYK and transparent
        pixels, and for more than :data:`ratewise.images.MAX_PIXELS` pixels, which the header
        tells before anything is decoded.
        """
        self.parts(data)  # a whole file of this format, by its structure
        try:
            self._check_header(data)
            return read_image(data, name=f"{self.title} data")
        except ImageError as error:
            raise CodecError(str(error)) from error
        except CodecError:
            raise
        except Exception as error:  # Pillow raises nearly anything on damaged metadata
            raise CodecError(f"{self.title} data: the image is damaged ({error})") from error

    def encode_batch(self, images: Sequence[Image]) -> list[bytes]:
        """``encode`` of each image."""
        return [self.encode(image) for image in images]

    def decode_batch(self, data: Sequence[bytes]) -> list[Image]:
        """``decode`` of each byte string."""
        return [self.decode(one) for one in data]

    def parts(self, data: bytes) -> dict[str, int]:
        """Named byte counts that add up to ``len(data)``; what is in none of them is headers.

        Raises :class:`CodecError` if ``data`` is no whole file of the format.
        """
        reason = self.unavailable()
        if reason:
            raise CodecError(f"{self.title} data cannot be read: {reason}")
        if not self.recognises(data):
            raise CodecError(f"the data is not a {self.title} file")
        try:
            found = self._split(data)
        except (IndexError, ValueError, ArithmeticError) as error:
            raise CodecError(f"{self.title} data: the file is damaged or cut short") from error
        return {"headers": len(data) - sum(found.values())} | found

    @classmethod
    def _split(cls, data: bytes) -> dict[str, int]:
        """Byte counts of everything but headers; ValueError or IndexError if cut short."""
        raise NotImplementedError

    @classmethod
    def _check_header(cls, data: bytes) -> None:
        """Raise :class:`CodecError` for what Pillow would take but mangle."""
