"""BPG files to planes and to RGB: everything is bounded before it is decoded."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageOps

from ratewise.codecs.bpg import colour, container, hevc, nal
from ratewise.codecs.bpg import parameter_sets as sets
from ratewise.codecs.bpg.container import Container
from ratewise.codecs.bpg.hevc import Plane
from ratewise.errors import CodecError
from ratewise.images import MAX_PIXELS, Image

MAX_PLANE_BYTES = 2**28
"""A picture whose planes take more bytes than this is refused: it keeps the memory of decoding
below 1 GB. 4:2:0 and 4:2:2 in 8 bits reach :data:`ratewise.images.MAX_PIXELS` first."""

_TIFF = re.compile(rb"II\*\x00|MM\x00\*")
"""How EXIF data begin, behind what some writers put before them."""

_MOST_PPS = 4
"""FFmpeg keeps tables of the picture's size for each set; reference files have one."""


def decode_planes(data: bytes, *, alpha: bool = False) -> list[Plane]:
    """The planes of a BPG file's colour, or of its ``alpha``, cropped to the picture's size.

    ``uint8`` for 8 bits a sample, else ``uint16``; chroma as the file has it, ``ceil(n / 2)``
    samples where it is halved. Colour that was multiplied by alpha is as it is in the file.
    Raises :class:`CodecError` like :meth:`BpgCodec.decode`, and if there is no alpha to give.
    """
    return _planes(checked(data), alpha=alpha)


def upright(image: Image, file: Container) -> Image:
    """``image`` turned as the file's EXIF data say; as it is where they do not."""
    exif = next((block for tag, block in file.extensions if tag == container.EXIF), b"")
    found = _TIFF.search(exif[:16])
    if found is None:
        return image
    picture = PillowImage.fromarray(image)
    try:
        picture.getexif().load(exif[found.start() :])
        return np.array(ImageOps.exif_transpose(picture), np.uint8)
    except Exception as error:  # Pillow raises nearly anything on damaged metadata
        raise CodecError(f"BPG data: the EXIF data is damaged ({error})") from error


def checked(data: bytes) -> Container:
    """``data`` taken apart, if its size is one that is decoded; else :class:`CodecError`."""
    file = container.read(data)
    check_size(file.height, file.width, file.chroma_format, file.bit_depth, "BPG data")
    return file


def check_size(height: int, width: int, chroma_format: int, bit_depth: int, what: str) -> None:
    """Raise :class:`CodecError`, which begins with ``what``, for a picture that is too large."""
    if height * width > MAX_PIXELS:
        raise CodecError(f"{what}: {width}x{height} is more than {MAX_PIXELS} pixels")
    shapes = colour.plane_shapes(chroma_format, height, width)
    size = sum(rows * columns for rows, columns in shapes) * (1 if bit_depth == 8 else 2)
    if size > MAX_PLANE_BYTES:
        raise CodecError(
            f"{what}: the planes of {width}x{height} pixels in {bit_depth} bits take {size} "
            f"bytes, more than {MAX_PLANE_BYTES}"
        )


def units(file: Container) -> list[nal.Nal]:
    """The NAL units of colour and alpha; :class:`CodecError` if there are none such."""
    try:
        return nal.split(file.payload)
    except ValueError as error:
        raise CodecError(f"BPG data: {error}") from error


def rgb(file: Container) -> Image:
    """The decoded colour as ``uint8 (H, W, 3)``, divided by alpha where it was multiplied by it.

    Alpha is not applied. It is decoded only where the colour needs it; else it must be there, and
    not too short to be whole.
    """
    alpha = None
    if file.alpha_header is not None:
        stream = _stream(file, alpha=True)
        if file.premultiplied:
            (plane,) = _cropped(stream, file, container.GREY)
            alpha = colour.to_bytes(plane, file.bit_depth)  # which frees the decoder's memory
            del plane
    image = colour.to_rgb(
        _planes(file),
        chroma_format=file.chroma_format,
        bit_depth=file.bit_depth,
        color_space=file.color_space,
        limited_range=file.limited_range,
        chroma_between=file.chroma_format == file.pixel_format,
    )
    if alpha is not None:
        colour.divide_by_alpha(image, alpha)
    return image


def _planes(file: Container, *, alpha: bool = False) -> list[Plane]:
    """The decoded planes of colour or alpha in the picture's size."""
    chroma_format = container.GREY if alpha else file.chroma_format
    return _cropped(_stream(file, alpha=alpha), file, chroma_format)


@dataclass(frozen=True)
class _Stream:
    """A picture for HEVC's decoder; ``whole`` says that it cannot be cut short."""

    data: bytes
    whole: bool


def _stream(file: Container, *, alpha: bool) -> _Stream:
    """The HEVC stream of colour or alpha, after all that can be checked without decoding it."""
    encoded = file.alpha_header if alpha else file.hevc_header
    if encoded is None:
        raise CodecError("BPG data: the file has no alpha")
    chroma_format = container.GREY if alpha else file.chroma_format
    try:
        header, rebuilt = _parameters(
            encoded, chroma_format, file.height, file.width, file.bit_depth
        )
    except ValueError as error:
        raise CodecError(f"BPG data: the HEVC header is damaged ({error})") from error
    every = units(file)
    found = _picture(every, alpha=alpha, has_alpha=file.alpha_header is not None)
    _check_length(found, header, file.height, file.width)
    data = rebuilt + b"".join(nal.START_CODE + unit.in_base_layer().data for unit in found)
    return _Stream(data, file.length_known or found[-1] is not every[-1])


def _cropped(stream: _Stream, file: Container, chroma_format: int) -> list[Plane]:
    """The decoded planes of ``stream`` in the picture's size."""
    planes = hevc.decode(stream.data, chroma_format, file.bit_depth, whole=stream.whole)
    shapes = colour.plane_shapes(chroma_format, file.height, file.width)
    if any(
        plane.shape[0] < rows or plane.shape[1] < columns
        for plane, (rows, columns) in zip(planes, shapes, strict=True)
    ):
        raise CodecError("BPG data: the decoded picture is smaller than the file says")
    return [plane[:rows, :columns] for plane, (rows, columns) in zip(planes, shapes, strict=True)]


@functools.lru_cache(maxsize=64)
def _parameters(
    encoded: bytes, chroma_format: int, height: int, width: int, bit_depth: int
) -> tuple[sets.SequenceHeader, bytes]:
    """The hevc_header, and the VPS and SPS that it stands for, with start codes."""
    header = sets.read_header(encoded)
    _check_tools(header)
    sequence = sets.Sequence(
        chroma_format, header.coded(width), header.coded(height), bit_depth, header
    )
    return header, b"".join(
        nal.START_CODE + unit for unit in (sets.write_vps(), sets.write_sps(sequence))
    )


def _check_tools(header: sets.SequenceHeader) -> None:
    extension = header.extension
    if extension is None:
        return
    if extension.implicit_rdpcm or extension.persistent_rice_adaptation:
        raise CodecError(
            "BPG data: lossless files of the reference's HM encoder are not supported "
            "(they use residual DPCM or Rice adaptation, which this decoder gets wrong)"
        )
    if extension.extended_precision or extension.cabac_bypass_alignment:
        raise CodecError("BPG data: the HEVC header asks for tools that BPG forbids")


def _picture(every: list[nal.Nal], *, alpha: bool, has_alpha: bool) -> list[nal.Nal]:
    """The picture parameters and the slices of the first picture of colour or alpha."""
    found: list[nal.Nal] = []
    begun = False
    for unit in every:
        if unit.kind in (nal.VPS, nal.SPS):
            raise CodecError("BPG data: it holds HEVC parameter sets that BPG leaves out")
        if (has_alpha and unit.layer == 1) != alpha:
            continue
        if unit.kind in nal.SLICES and unit.kind not in nal.IDR_SLICES:
            raise CodecError("BPG data: only pictures that begin a sequence (IDR) are supported")
        if unit.begins_picture:
            if begun:
                break
            begun = True
        if unit.kind == nal.PPS or (unit.kind in nal.SLICES and begun):
            found.append(unit)
    if not begun:
        raise CodecError("BPG data: the file holds no picture")
    if sum(unit.kind == nal.PPS for unit in found) > _MOST_PPS:
        raise CodecError(f"BPG data: more than {_MOST_PPS} sets of picture parameters")
    return found


def _check_length(
    units: list[nal.Nal], header: sets.SequenceHeader, height: int, width: int
) -> None:
    """Refuse a picture whose slices are too short to be whole, before memory is taken for it.

    Each coding tree block has a prediction mode or PCM samples, so at least one bit that the
    arithmetic coder passes through.
    """
    side = 1 << header.log2_ctb
    blocks = -(-height // side) * -(-width // side)
    length = sum(len(unit.data) for unit in units if unit.kind in nal.SLICES)
    if 8 * length < blocks:
        raise CodecError(
            f"BPG data: {length} bytes are too few for {width}x{height} pixels: cut short"
        )
