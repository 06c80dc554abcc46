"""The container of a BPG file: its fields and where its parts lie. Pure bytes, no codec.

Fields and their order are those of the BPG specification 0.9.8 (``docs/formats/bpg.md``).
"""

from __future__ import annotations

from dataclasses import dataclass

from ratewise.errors import CodecError

MAGIC = b"BPG\xfb"
LARGEST_SIDE = 65535
DEEPEST = 14

GREY, C420, C422, C444, C420_VIDEO, C422_VIDEO = range(6)
"""Pixel formats; chroma of the last two lies on the luma column, as in MPEG-2."""

BT601, RGB, YCGCO, BT709, BT2020 = range(5)
"""Colour spaces; the planes of RGB are in the order G, B, R."""

EXIF = 1
"""The tag of an extension that holds EXIF data."""

_MOST_BYTES = 2**30 - 1


@dataclass(frozen=True)
class Container:
    """A BPG file, taken apart.

    ``hevc_header`` and ``alpha_header`` are the reduced sequence parameter sets without their
    length; ``payload`` is the NAL units without the first start code; ``length_known`` says
    whether the file tells the payload's length; ``extensions`` are pairs of a tag and its data.
    """

    width: int
    height: int
    pixel_format: int
    bit_depth: int
    color_space: int
    limited_range: bool
    hevc_header: bytes
    payload: bytes
    length_known: bool = False
    alpha_header: bytes | None = None
    premultiplied: bool = False
    extensions: tuple[tuple[int, bytes], ...] = ()

    @property
    def chroma_format(self) -> int:
        """HEVC's chroma_format_idc: 0 grey, 1 4:2:0, 2 4:2:2, 3 4:4:4."""
        return {C420_VIDEO: C420, C422_VIDEO: C422}.get(self.pixel_format, self.pixel_format)


def write(container: Container) -> bytes:
    """The bytes of a file without extensions and alpha.

    picture_data_length is written if ``container.length_known``, else 0: up to the end.
    """
    picture = write_ue7(len(container.hevc_header)) + container.hevc_header + container.payload
    return b"".join(
        (
            MAGIC,
            bytes([container.pixel_format << 5 | container.bit_depth - 8]),
            bytes([container.color_space << 4 | container.limited_range << 1]),
            write_ue7(container.width),
            write_ue7(container.height),
            write_ue7(len(picture) if container.length_known else 0),
            picture,
        )
    )


def read(data: bytes) -> Container:
    """``data`` taken apart.

    Raises :class:`CodecError` if it is not whole and well-formed, and for animations and CMYK.
    Sizes are checked against the format only, not against what fits in memory.
    """
    try:
        return _read(data)
    except (IndexError, ValueError) as error:
        raise CodecError(f"BPG data: {error or 'the file is damaged or cut short'}") from error


def write_ue7(value: int) -> bytes:
    """``value`` in groups of 7 bits, the most significant first, all but the last marked."""
    groups = [value & 0x7F]
    while value := value >> 7:
        groups.append(0x80 | value & 0x7F)
    return bytes(reversed(groups))


def read_ue7(data: bytes, position: int, end: int) -> tuple[int, int]:
    """The number at ``position`` and the position after it; ValueError if it is no ue7."""
    value = 0
    for index in range(position, min(end, position + 5)):
        byte = data[index]
        if byte == 0x80 and index == position:
            break
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, index + 1
    raise ValueError("a number is not coded as the format demands, or cut short")


def _read(data: bytes) -> Container:
    if not data.startswith(MAGIC):
        raise CodecError("the data is not a BPG file")
    if len(data) < 6:
        raise ValueError("the file is cut short")
    pixel_format, alpha1, bit_depth = data[4] >> 5, bool(data[4] & 16), (data[4] & 15) + 8
    color_space = data[5] >> 4
    extended, alpha2, limited, animated = (bool(data[5] & bit) for bit in (8, 4, 2, 1))
    if pixel_format > C422_VIDEO or color_space > BT2020 or bit_depth > DEEPEST:
        raise ValueError(
            f"pixel format {pixel_format}, colour space {color_space} or {bit_depth} bits "
            "is not of the format"
        )
    if pixel_format == GREY and color_space != BT601:
        raise ValueError(f"a grey picture cannot have colour space {color_space}")
    if animated:
        raise ValueError("animations are not supported")
    if alpha2 and not alpha1:
        raise ValueError("CMYK pictures are not supported")
    end = len(data)
    width, position = read_ue7(data, 6, end)
    height, position = read_ue7(data, position, end)
    if not (1 <= width <= LARGEST_SIDE and 1 <= height <= LARGEST_SIDE):
        raise ValueError(f"{width}x{height} is not from 1x1 to {LARGEST_SIDE}x{LARGEST_SIDE}")
    length, position = read_ue7(data, position, end)
    extensions: list[tuple[int, bytes]] = []
    if extended:
        total, position = read_ue7(data, position, end)
        stop = _end(position, total, end)
        while position < stop:
            tag, position = read_ue7(data, position, stop)
            block, position = _block(data, position, stop)
            extensions.append((tag, block))
    stop = _end(position, length, end) if length else end
    alpha_header = None
    if alpha1:
        alpha_header, position = _block(data, position, stop)
    hevc_header, position = _block(data, position, stop)
    if position == stop:
        raise ValueError("the file holds no picture data")
    return Container(
        width=width,
        height=height,
        pixel_format=pixel_format,
        bit_depth=bit_depth,
        color_space=color_space,
        limited_range=limited,
        hevc_header=hevc_header,
        payload=data[position:stop],
        length_known=length > 0,
        alpha_header=alpha_header,
        premultiplied=alpha2,
        extensions=tuple(extensions),
    )


def _block(data: bytes, position: int, end: int) -> tuple[bytes, int]:
    """The bytes behind a length at ``position``, and the position after them."""
    length, position = read_ue7(data, position, end)
    stop = _end(position, length, end)
    return data[position:stop], stop


def _end(position: int, length: int, end: int) -> int:
    if length > min(end - position, _MOST_BYTES):
        raise ValueError(f"a part of {length} bytes goes past the end: the file is cut short")
    return position + length
