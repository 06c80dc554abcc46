"""Reading images: taken as they are, or refused by name; never mangled."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

from ratewise.errors import ImageError
from ratewise.images import encode_png, image_size, read_image, read_mask, write_png

_COLOURS = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)


def _saved(picture: PillowImage.Image, form: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def _deep_rgb_png() -> bytes:
    """A 16-bit RGB PNG of one pixel, which Pillow cannot write."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" + b"\x12\x34" * 3)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", pixels), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def test_an_rgb_png_is_read_to_the_bit() -> None:
    assert np.array_equal(read_image(encode_png(_COLOURS)), _COLOURS)


def test_one_pixel_is_an_image() -> None:
    assert read_image(encode_png(np.full((1, 1, 3), 9, np.uint8))).tolist() == [[[9, 9, 9]]]


def test_grey_is_repeated_in_three_channels() -> None:
    grey = _COLOURS[..., 0]
    assert np.array_equal(read_image(_saved(PillowImage.fromarray(grey))), np.stack([grey] * 3, -1))


def test_a_palette_is_looked_up() -> None:
    picture = PillowImage.fromarray(_COLOURS).quantize(256)
    assert np.array_equal(read_image(_saved(picture)), np.array(picture.convert("RGB")))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_turns_image_and_size_upright(orientation: int) -> None:
    exif = PillowImage.Exif()
    exif[0x0112] = orientation
    data = _saved(PillowImage.fromarray(_COLOURS), exif=exif)
    image = read_image(data)
    upright = {
        1: _COLOURS,
        2: _COLOURS[:, ::-1],
        3: _COLOURS[::-1, ::-1],
        4: _COLOURS[::-1],
        5: _COLOURS.swapaxes(0, 1),
        6: np.rot90(_COLOURS, -1),
        7: np.rot90(_COLOURS, 2).swapaxes(0, 1),
        8: np.rot90(_COLOURS),
    }[orientation]
    assert np.array_equal(image, upright)
    assert image_size(data) == image.shape[:2]


def test_an_opaque_alpha_channel_is_dropped() -> None:
    opaque = np.dstack([_COLOURS, np.full((5, 7), 255, np.uint8)])
    assert np.array_equal(read_image(_saved(PillowImage.fromarray(opaque))), _COLOURS)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (_deep_rgb_png(), "16-bit"),
        (_saved(PillowImage.fromarray(np.full((2, 2), 4000, np.uint16))), "16-bit"),
        (_saved(PillowImage.fromarray(np.full((2, 2), 4000, np.uint16)), "TIFF"), "16-bit"),
        (_saved(PillowImage.fromarray(np.zeros((2, 2), np.float32)), "TIFF"), "32-bit"),
        (_saved(PillowImage.fromarray(_COLOURS).convert("CMYK"), "TIFF"), "CMYK"),
        (_saved(PillowImage.fromarray(_COLOURS).convert("CMYK"), "JPEG"), "CMYK"),
        (_saved(PillowImage.fromarray(np.zeros((2, 2, 4), np.uint8))), "transparent"),
        (encode_png(_COLOURS)[:60], "damaged"),
        (b"", "not an image"),
        (b"not an image at all", "not an image"),
        (
            _saved(
                PillowImage.fromarray(_COLOURS),
                "GIF",
                save_all=True,
                append_images=[PillowImage.fromarray(255 - _COLOURS)],
            ),
            "several frames",
        ),
    ],
)
def test_what_would_be_mangled_is_refused_by_name(data: bytes, reason: str) -> None:
    with pytest.raises(ImageError, match=f"street: .*{reason}"):
        read_image(data, name="street")


def test_a_deep_rgb_tiff_is_refused(tmp_path: Path) -> None:
    # Pillow reads 16-bit RGB TIFF as 8 bits, so the depth must come from the tags.
    tags = [
        (256, 3, 1, 1),
        (257, 3, 1, 1),
        (258, 3, 3, 122),
        (259, 3, 1, 1),
        (262, 3, 1, 2),
        (273, 4, 1, 128),
        (277, 3, 1, 3),
        (278, 3, 1, 1),
        (279, 4, 1, 6),
    ]
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    head = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + struct.pack("<I", 0)
    data = head.ljust(122, b"\0") + struct.pack("<3H", 16, 16, 16) + b"\x34\x12" * 3
    with pytest.raises(ImageError, match="16-bit"):
        read_image(data)


def test_a_huge_image_is_refused_before_it_is_decoded() -> None:
    data = bytearray(encode_png(_COLOURS))
    data[16:24] = struct.pack(">II", 60000, 60000)
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    with pytest.raises(ImageError, match="pixels"):
        read_image(bytes(data))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"gone\.png: no such file"):
        read_image(tmp_path / "gone.png")


def test_a_mask_is_read_as_its_raw_values(tmp_path: Path) -> None:
    mask = _COLOURS[..., 0]
    write_png(tmp_path / "mask.png", mask)
    assert np.array_equal(read_mask(tmp_path / "mask.png"), mask)
    palette = PillowImage.fromarray(mask).convert("P")
    palette.putpalette([255 - value // 3 for value in range(768)])
    assert np.array_equal(read_mask(_saved(palette)), np.array(palette))


def test_a_colour_picture_is_no_mask() -> None:
    with pytest.raises(ImageError, match="8-bit grey or palette"):
        read_mask(encode_png(_COLOURS))
