"""Reading pictures of any format: Pillow's, and those of the codecs."""

from __future__ import annotations

from pathlib import Path

from PIL import UnidentifiedImageError

from ratewise.codecs.registry import identify
from ratewise.errors import CodecError, ImageError
from ratewise.images import Image, image_size, read_image


def read_picture(source: Path | bytes, *, name: str | None = None) -> Image:
    """Read a picture file, or the bytes of one, as ``uint8 (H, W, 3)`` RGB.

    What :func:`ratewise.images.read_image` reads, it reads; any other file is decoded by the codec
    that recognises it, with that codec's rules for alpha and orientation. ``name`` is what errors
    call the source (by default the path). Raises :class:`ImageError` like ``read_image``, and where
    the codec is not available here or refuses the file.
    """
    try:
        return read_image(source, name=name)
    except ImageError as error:
        if not _is_foreign(error):
            raise
        return _decoded(source, name, error)


def picture_size(source: Path | bytes, *, name: str | None = None) -> tuple[int, int]:
    """``(height, width)`` in pixels as :func:`read_picture` would return it.

    From the header only where :func:`ratewise.images.image_size` can tell; else it is decoded.
    """
    try:
        return image_size(source, name=name)
    except ImageError as error:
        if not _is_foreign(error):
            raise
        height, width = _decoded(source, name, error).shape[:2]
        return height, width


def _is_foreign(error: ImageError) -> bool:
    """Whether the file was refused because Pillow does not know its format."""
    return isinstance(error.__cause__, UnidentifiedImageError)


def _decoded(source: Path | bytes, name: str | None, unread: ImageError) -> Image:
    """A file that Pillow does not know, by the codec that does; ``unread`` is Pillow's refusal."""
    data = source if isinstance(source, bytes) else source.read_bytes()
    try:
        codec = identify(data)
    except CodecError as error:
        raise ImageError(f"{unread} ({error})") from error
    try:
        return codec.decode(data)
    except CodecError as error:
        label = name or (str(source) if isinstance(source, Path) else "image data")
        raise ImageError(f"{label}: {error}") from error
