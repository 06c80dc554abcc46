"""Images as every codec sees them, and reading them from files without mangling.

An *image* is ``numpy.uint8`` of shape ``(H, W, 3)``, RGB, full range. A *mask* is ``numpy.uint8``
of shape ``(H, W)``: class ids, 255 = ignored.

What :func:`read_image` does with pictures that are not plain 8-bit RGB:

=====================  ==========================================================
grey, bilevel          taken; the grey value is repeated in the three channels
palette                taken; looked up
EXIF orientation       taken; turned upright
alpha                  taken if every pixel is opaque, else refused
16-bit, float          refused (dropping bits is a choice that is the user's)
CMYK, Lab, ...         refused (a conversion needs a colour profile)
several frames         refused
=====================  ==========================================================

An embedded colour profile is not applied, as in every common training pipeline.
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageOps, UnidentifiedImageError

from ratewise.depth import HEAD, bits_per_sample
from ratewise.errors import ImageError
from ratewise.files import write_atomically

Image = NDArray[np.uint8]
Mask = NDArray[np.uint8]

IGNORE = 255
"""The class id of pixels that neither loss nor metric counts."""

MAX_PIXELS = 2**27
"""An image with more pixels than this (134 million) is refused before it is decoded."""

SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".jp2", ".j2k", ".webp", ".avif", ".bmp", ".tif", ".tiff", ".ppm"}
    | {".pgm", ".gif", ".bpg"}
)
"""Names that are taken for images when a folder is searched."""

_EXIF_ORIENTATION = 0x0112


def read_image(source: Path | bytes, *, name: str | None = None) -> Image:
    """Read an image file, or the bytes of one, as ``uint8 (H, W, 3)`` RGB.

    ``name`` is what errors call the source (by default the path). Raises :class:`ImageError`
    for anything that is not an image, is damaged, is larger than :data:`MAX_PIXELS`, or would
    lose meaning (see the table above).
    """
    label = name or _label(source)
    with _open(source, label) as picture:
        try:
            picture.load()
        except Exception as error:
            raise ImageError(f"{label}: the image is damaged ({error})") from error
        return to_rgb(picture, label)


def image_size(source: Path | bytes, *, name: str | None = None) -> tuple[int, int]:
    """``(height, width)`` in pixels as :func:`read_image` would return it, from the header only."""
    with _open(source, name or _label(source)) as picture:
        width, height = picture.size
        turned = _orientation(picture) >= 5
    return (width, height) if turned else (height, width)


def read_mask(source: Path | bytes, *, name: str | None = None) -> Mask:
    """Read a mask as it is stored: ``uint8 (H, W)`` of raw values (palette indices or grey).

    Raises :class:`ImageError` if the file is no single-channel 8-bit image.
    """
    label = name or _label(source)
    with _open(source, label) as picture:
        if picture.mode not in ("L", "P", "1"):
            raise ImageError(
                f"{label}: a mask must be an 8-bit grey or palette image, not mode {picture.mode}"
            )
        try:
            return np.array(picture.convert("L") if picture.mode == "1" else picture, np.uint8)
        except Exception as error:
            raise ImageError(f"{label}: the mask is damaged ({error})") from error


def encode_png(pixels: NDArray[np.uint8], *, compress_level: int = 6) -> bytes:
    """The bytes of a PNG of an image ``(H, W, 3)`` or a mask ``(H, W)``."""
    buffer = io.BytesIO()
    PillowImage.fromarray(pixels).save(buffer, "PNG", compress_level=compress_level)
    return buffer.getvalue()


def write_png(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write an image ``(H, W, 3)`` or a mask ``(H, W)`` as PNG, atomically."""
    write_atomically(path, encode_png(pixels))


def check_image(image: NDArray[Any]) -> Image:
    """``image`` itself if it is ``uint8 (H, W, 3)`` with at least one pixel, else ImageError."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise ImageError(
            f"an image must be uint8 of shape (H, W, 3), not {image.dtype} {image.shape}"
        )
    return image


def to_rgb(picture: PillowImage.Image, label: str) -> Image:
    """A loaded Pillow picture as ``uint8 (H, W, 3)``; refuses what would be mangled."""
    mode = picture.mode
    if mode in ("I", "F") or mode.startswith("I;16"):
        raise ImageError(f"{label}: 16-bit and float images are not supported; convert to 8 bits")
    if mode not in ("RGB", "RGBA", "RGBX", "RGBa", "L", "LA", "La", "P", "PA", "1"):
        raise ImageError(f"{label}: colour mode {mode} is not supported; convert to RGB")
    if mode == "RGBX":
        picture = picture.convert("RGB")
    elif mode not in ("RGB", "L", "1") and picture.has_transparency_data:
        picture = picture.convert("RGBA")
        lowest, _ = picture.getchannel("A").getextrema()
        if isinstance(lowest, (int, float)) and lowest < 255:
            raise ImageError(f"{label}: images with transparent pixels are not supported")
    if _orientation(picture) != 1:  # both steps copy the picture even where nothing is to do
        picture = ImageOps.exif_transpose(picture)
    if picture.mode != "RGB":
        picture = picture.convert("RGB")
    return np.array(picture, np.uint8)


def _label(source: Path | bytes) -> str:
    return str(source) if isinstance(source, Path) else "image data"


def _orientation(picture: PillowImage.Image) -> int:
    value = picture.getexif().get(_EXIF_ORIENTATION, 1)
    return value if isinstance(value, int) else 1


def _open(source: Path | bytes, label: str) -> PillowImage.Image:
    """Open lazily (header only) and refuse what is too large, deep or has several frames."""
    handle: Path | io.BytesIO = io.BytesIO(source) if isinstance(source, bytes) else source
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PillowImage.DecompressionBombWarning)
            picture = PillowImage.open(handle)
    except FileNotFoundError as error:
        raise ImageError(f"{label}: no such file") from error
    except PillowImage.DecompressionBombError as error:
        raise ImageError(f"{label}: more than {MAX_PIXELS} pixels") from error
    except UnidentifiedImageError as error:
        raise ImageError(f"{label}: not an image that can be read") from error
    except OSError as error:
        raise ImageError(f"{label}: cannot be read ({error.strerror or error})") from error
    except Exception as error:  # Pillow's plugins raise nearly anything on damaged headers
        raise ImageError(f"{label}: not an image that can be read ({error})") from error
    problem = _problem(picture, source)
    if problem:
        picture.close()
        raise ImageError(f"{label}: {problem}")
    return picture


def _problem(picture: PillowImage.Image, source: Path | bytes) -> str | None:
    width, height = picture.size
    if width * height > MAX_PIXELS:
        return f"{width}x{height} is more than {MAX_PIXELS} pixels"
    if getattr(picture, "n_frames", 1) > 1 and picture.format != "MPO":
        return "images with several frames are not supported"
    depth = bits_per_sample(picture, _head(source))
    if depth > 8:
        return f"{depth}-bit images are not supported; convert to 8 bits"
    return None


def _head(source: Path | bytes) -> bytes:
    if isinstance(source, bytes):
        return source[:HEAD]
    with source.open("rb") as handle:
        return handle.read(HEAD)
