"""What the codecs that stand on Pillow share: saving, bounded decoding, versions."""

from __future__ import annotations

import io
from typing import Any, ClassVar

import numpy as np
import PIL
from PIL import Image as PillowImage
from PIL import features

from ratewise.codecs.configured import ConfiguredCodec
from ratewise.errors import CodecError, ImageError
from ratewise.images import MAX_PIXELS, Image, read_image


class PillowCodec(ConfiguredCodec):
    """A format of Pillow's as a :class:`ratewise.codecs.base.Codec`; its fields are the options.

    A subclass sets the class variables, declares its options as fields, and writes
    ``save_options``, ``recognises`` and ``_split``.
    """

    pillow_format: ClassVar[str]
    """What Pillow's ``save`` calls the format."""

    feature: ClassVar[tuple[str, str]]
    """The library behind the format: Pillow's name of the feature, and the library's own."""

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

    def save_options(self) -> dict[str, Any]:
        """The keyword arguments of Pillow's ``save``."""
        raise NotImplementedError

    def encode(self, image: Image) -> bytes:
        """The bytes of a complete file that holds ``image``, ``uint8 (H, W, 3)``.

        Raises :class:`CodecError` if it is no such image, or larger than the format allows.
        """
        height, width = self._checked_size(image)
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
