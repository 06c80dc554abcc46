"""The file of a learned codec: a header of 10 to 14 bytes, and the coded symbols.

``docs/formats/neural.md`` is the specification.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from ratewise.errors import CodecError
from ratewise.images import MAX_PIXELS
from ratewise.neural.ans import Symbols

MAGIC = b"RWN"
VERSION, ADAPTED_VERSION = 1, 2
"""Of files of a codec as it was trained, and of files that name an adaptation of it, too."""

FINGERPRINT_BYTES = 4
LARGEST_SIDE = 65535

KIND_CODES = {"factorized": 1, "hyperprior": 2, "msh": 3}


@dataclass(frozen=True)
class Header:
    """What a file says before its symbols: who decodes it, and the sides of the image."""

    kind: str
    fingerprint: bytes
    width: int
    height: int
    adaptation: bytes = b""
    """The fingerprint of the adaptation of the model, if it is coded with one."""


def recognises(data: bytes, kind: str) -> bool:
    """Whether ``data`` begins like a file of the codec ``kind``, of any version."""
    return data.startswith(MAGIC) and len(data) > 3 and data[3] & 15 == KIND_CODES[kind]


def write(header: Header, payload: bytes) -> bytes:
    """The bytes of a file."""
    check_size(header.width, header.height)
    kind = KIND_CODES[header.kind]
    return b"".join(
        [
            MAGIC,
            bytes([(ADAPTED_VERSION if header.adaptation else VERSION) << 4 | kind]),
            header.fingerprint,
            header.adaptation,
            ue7(header.width),
            ue7(header.height),
            payload,
        ]
    )


def read(data: bytes) -> tuple[Header, bytes]:
    """Header and payload of ``data``.

    Raises :class:`CodecError` for another format or version, a header cut short, and sides that
    are not allowed.
    """
    if not data.startswith(MAGIC):
        raise CodecError("the data is not a file of a learned codec: it does not begin with 'RWN'")
    if len(data) < 4 + FINGERPRINT_BYTES:
        raise CodecError(f"the data of a learned codec is cut short: {len(data)} bytes")
    version, code = data[3] >> 4, data[3] & 15
    kinds = [kind for kind, known in KIND_CODES.items() if known == code]
    if version not in (VERSION, ADAPTED_VERSION) or not kinds:
        raise CodecError(
            f"the data is of version {version}, kind {code} of the learned codecs' format; "
            f"this reads versions {VERSION} and {ADAPTED_VERSION}, "
            f"kinds {', '.join(map(str, KIND_CODES.values()))}"
        )
    position = 4 + FINGERPRINT_BYTES
    fingerprint, adaptation = data[4:position], b""
    if version == ADAPTED_VERSION:
        adaptation = data[position : position + FINGERPRINT_BYTES]
        position += FINGERPRINT_BYTES
    width, position = read_ue7(data, position)
    height, position = read_ue7(data, position)
    check_size(width, height)
    return Header(kinds[0], fingerprint, width, height, adaptation), data[position:]


def check_size(width: int, height: int) -> None:
    """Raises :class:`CodecError` for sides that a learned codec's file cannot have."""
    if not (1 <= width <= LARGEST_SIDE and 1 <= height <= LARGEST_SIDE):
        raise CodecError(
            f"a learned codec holds images of 1 to {LARGEST_SIDE} pixels a side, "
            f"not {width}x{height}"
        )
    if width * height > MAX_PIXELS:
        raise CodecError(
            f"a learned codec holds images of at most {MAX_PIXELS} pixels, not {width}x{height}"
        )


def checksum(height: int, width: int, *symbols: Symbols) -> int:
    """CRC-32 of the sides (width first) and all symbols, as 16-bit little-endian numbers."""
    value = zlib.crc32(width.to_bytes(2, "little") + height.to_bytes(2, "little"))
    for array in symbols:
        value = zlib.crc32(array.astype("<i2", copy=False).tobytes(), value)
    return value


def ue7(value: int) -> bytes:
    """Groups of 7 bits, the most significant first, all bytes but the last with the top bit."""
    groups = [value & 127]
    while value := value >> 7:
        groups.append(value & 127 | 128)
    return bytes(reversed(groups))


def read_ue7(data: bytes, position: int, most: int = 3) -> tuple[int, int]:
    """What :func:`ue7` wrote at ``position``, in ``most`` groups at most, and where it ends.

    Raises :class:`CodecError` where it is cut short, or no number that :func:`ue7` writes.
    """
    value = 0
    for i in range(most):
        if position + i >= len(data):
            raise CodecError("the data of a learned codec is cut short in its header")
        byte = data[position + i]
        value = value << 7 | byte & 127
        if not byte & 128:
            if i and data[position] == 128:
                break
            return value, position + i + 1
    raise CodecError("the data of a learned codec has a damaged size in its header")
