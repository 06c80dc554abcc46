"""BPG as a codec: images to files and back."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from ratewise.codecs.base import OperatingPoint
from ratewise.codecs.bpg import colour, container, hevc, nal, reading
from ratewise.codecs.bpg import parameter_sets as sets
from ratewise.codecs.bpg.container import Container
from ratewise.codecs.bpg.hevc import Plane
from ratewise.codecs.configured import ConfiguredCodec
from ratewise.errors import CodecError
from ratewise.images import Image

_CHROMA = {"gray": container.GREY, "420": container.C420, "422": container.C422}
_CHROMA |= {"444": container.C444}

_LENGTH_LEFT_OUT = 2**16
"""Up to so many pixels the length of the picture's data is not written: its bytes count there, and
a reader finds out cheaply whether the data is whole (:func:`ratewise.codecs.bpg.hevc.decode`)."""


class BpgCodec(ConfiguredCodec):
    """BPG by x265, with the settings that make it the reference encoder's equal.

    ``qp`` is HEVC's quantiser, a step of 6 doubling it: smaller is better. ``chroma=gray`` drops
    the colour. ``preset`` is x265's effort.
    """

    codec_name: ClassVar[str] = "bpg"
    title: ClassVar[str] = "BPG"
    file_suffix: ClassVar[str] = ".bpg"
    largest_side: ClassVar[int] = container.LARGEST_SIDE
    point: ClassVar[OperatingPoint | None] = OperatingPoint("qp", 0, 51, False)

    qp: int = Field(29, ge=0, le=51)
    chroma: Literal["420", "422", "444", "gray"] = "420"
    bit_depth: Literal["8", "10"] = "8"
    preset: Literal[
        "ultrafast",
        "superfast",
        "veryfast",
        "faster",
        "fast",
        "medium",
        "slow",
        "slower",
        "veryslow",
        "placebo",
    ] = "veryslow"

    @classmethod
    def unavailable(cls) -> str | None:
        """Why BPG cannot be used here and what to install, or None."""
        return hevc.unavailable()

    @classmethod
    def libraries(cls) -> dict[str, str]:
        """The versions of PyAV, libavcodec and x265; empty without PyAV."""
        return {} if cls.unavailable() else dict(hevc.libraries())

    @classmethod
    def recognises(cls, data: bytes) -> bool:
        """Whether ``data`` begins with BPG's signature."""
        return data.startswith(container.MAGIC)

    def encode(self, image: Image) -> bytes:
        """The bytes of a complete file that holds ``image``, ``uint8 (H, W, 3)``.

        Raises :class:`CodecError` if it is no such image, is longer than 65535 pixels a side, or
        larger than :data:`ratewise.images.MAX_PIXELS` or :data:`reading.MAX_PLANE_BYTES`.
        """
        self._available()
        height, width = self._checked_size(image)
        chroma_format, bit_depth = _CHROMA[self.chroma], int(self.bit_depth)
        reading.check_size(height, width, chroma_format, bit_depth, "BPG")
        log2_min_cb = 3 if min(height, width) > 8 else 4
        block = 1 << log2_min_cb
        coded = (-(-height // block) * block, -(-width // block) * block)
        planes = colour.from_rgb(image, chroma_format, bit_depth)
        shapes = colour.plane_shapes(chroma_format, *coded)
        stream = hevc.encode(
            [_padded(plane, shape) for plane, shape in zip(planes, shapes, strict=True)],
            chroma_format,
            bit_depth,
            self.qp,
            self.preset,
            log2_min_cb=log2_min_cb,
        )
        header, payload = _reduced(stream, chroma_format, coded, bit_depth)
        return container.write(
            Container(
                width=width,
                height=height,
                pixel_format=chroma_format,
                bit_depth=bit_depth,
                color_space=container.BT601,
                limited_range=False,
                hevc_header=header,
                payload=payload,
                length_known=height * width > _LENGTH_LEFT_OUT,
            )
        )

    def decode(self, data: bytes) -> Image:
        """The image in ``data``, a BPG file, as ``uint8 (H, W, 3)``, turned upright by its EXIF.

        Of a file with alpha it is the colour, as if every pixel were opaque; colour that was
        multiplied by alpha is divided by it again. :func:`reading.decode_planes` gives alpha.

        Raises :class:`CodecError` for anything else than a whole BPG file, for animations, CMYK,
        lossless files of the reference's HM encoder, more than 12 bits a sample, and for too many
        pixels, which the header tells before anything is decoded.
        """
        self._available()
        file = reading.checked(data)
        return reading.upright(reading.rgb(file), file)

    def parts(self, data: bytes) -> dict[str, int]:
        """Bytes of the container, of its extensions, of HEVC's parameters, of alpha and of colour.

        They add up to ``len(data)``; the container's are those in none of the others. Raises
        :class:`CodecError` if ``data`` is no whole BPG file.
        """
        self._available()
        file = container.read(data)
        units = reading.units(file)
        alpha = sum(len(unit.data) for unit in units if unit.layer and unit.kind in nal.SLICES)
        found = {
            "extensions": sum(len(block) for _, block in file.extensions),
            "parameters": len(file.hevc_header)
            + len(file.alpha_header or b"")
            + sum(len(unit.data) for unit in units if unit.kind not in nal.SLICES),
            "alpha": alpha,
            "slices": sum(len(u.data) for u in units if u.kind in nal.SLICES) - alpha,
        }
        return {"headers": len(data) - sum(found.values())} | found

    def _available(self) -> None:
        reason = self.unavailable()
        if reason:
            raise CodecError(f"BPG cannot be coded here: {reason}")


def _padded(plane: Plane, shape: tuple[int, int]) -> Plane:
    """``plane`` with its right and lower edge repeated up to ``shape``."""
    below, right = shape[0] - plane.shape[0], shape[1] - plane.shape[1]
    return np.pad(plane, ((0, below), (0, right)), mode="edge") if below or right else plane


def _reduced(
    stream: bytes, chroma_format: int, coded: tuple[int, int], bit_depth: int
) -> tuple[bytes, bytes]:
    """The hevc_header and payload of x265's stream, which lose nothing that a reader needs."""
    units = nal.split(stream)
    kept = [unit for unit in units if unit.kind == nal.PPS or unit.kind in nal.SLICES]
    try:
        (sps,) = (sets.read_sps(unit.data) for unit in units if unit.kind == nal.SPS)
    except ValueError as error:
        raise CodecError(f"x265's stream cannot be put in a BPG file: {error}") from error
    expected = sets.Sequence(chroma_format, coded[1], coded[0], bit_depth, sps.header)
    if sps != expected or len(kept) != 2:
        raise CodecError(f"x265's stream is not the picture asked for: {sps}, not {expected}")
    return sets.write_header(sps.header), nal.join(kept)
