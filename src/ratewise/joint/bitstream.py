"""The file of a joint codec: a header of 12 to 22 bytes, the semantic part, the image part.

``docs/formats/joint.md`` is the specification.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from ratewise.errors import CodecError
from ratewise.neural.bitstream import FINGERPRINT_BYTES, check_size, read_ue7, ue7

MAGIC = b"RWJ"
VERSION = 1

Part = Literal["image", "semantic"]

_LENGTH_GROUPS = 4
"""Groups of 7 bits of a part's length: up to 256 MiB."""


@dataclass(frozen=True)
class JointFile:
    """A file's header and its two parts; a part that is not there is empty."""

    fingerprint: bytes
    width: int
    height: int
    semantic: bytes
    image: bytes

    def to_bytes(self) -> bytes:
        """The bytes of the file."""
        check_size(self.width, self.height)
        if not self.semantic and not self.image:
            raise CodecError("a file of a joint codec has an image part, a semantic part or both")
        return self.header() + self.semantic + self.image

    def header(self) -> bytes:
        """The bytes in front of the parts."""
        return b"".join(
            [
                MAGIC,
                bytes([VERSION]),
                self.fingerprint,
                ue7(self.width),
                ue7(self.height),
                ue7(len(self.semantic)),
                ue7(len(self.image)),
            ]
        )


def recognises(data: bytes) -> bool:
    """Whether ``data`` begins like a file of a joint codec, of any version."""
    return data.startswith(MAGIC)


def read(data: bytes) -> JointFile:
    """The header and parts of ``data``.

    The semantic part is what follows the header, the image part what the file ends with: so the one
    is there in the beginning of a file, and the other where something before it was lost. A part
    that has less than its length left is empty (image) or what is left (semantic). Raises
    :class:`CodecError` for another format or version, a header cut short, and sides that are not
    allowed.
    """
    fingerprint, width, height, semantic, image, position = _header(data)
    parts = data[position:]
    there = 0 < image <= len(parts) != semantic  # what ends with the semantic part has no other
    last = parts[len(parts) - image :] if there else b""
    return JointFile(fingerprint, width, height, parts[:semantic], last)


def sizes(data: bytes) -> dict[str, int]:
    """Bytes of ``header``, ``semantic`` and ``image``: of what is there of a file that was cut.

    Raises :class:`CodecError` as :func:`read` does.
    """
    semantic, image, position = _header(data)[3:]
    rest = len(data) - position
    semantic = min(semantic, rest)
    return {"header": position, "semantic": semantic, "image": min(image, rest - semantic)}


def _header(data: bytes) -> tuple[bytes, int, int, int, int, int]:
    """Fingerprint, width, height, bytes of the semantic and of the image part, where they begin."""
    if not recognises(data):
        raise CodecError("the data is not a file of a joint codec: it does not begin with 'RWJ'")
    position = 4 + FINGERPRINT_BYTES
    if len(data) < position:
        raise CodecError(f"the data of a joint codec is cut short: {len(data)} bytes")
    if data[3] != VERSION:
        raise CodecError(
            f"the data is of version {data[3]} of the joint codecs' format; this reads {VERSION}"
        )
    fingerprint = data[4:position]
    width, position = read_ue7(data, position)
    height, position = read_ue7(data, position)
    check_size(width, height)
    semantic, position = read_ue7(data, position, _LENGTH_GROUPS)
    image, position = read_ue7(data, position, _LENGTH_GROUPS)
    return fingerprint, width, height, semantic, image, position


def keep(data: bytes, part: Part) -> bytes:
    """The file with one of its parts alone.

    Raises :class:`CodecError` as :func:`read` does, and if the part is not there.
    """
    file = read(data)
    if not getattr(file, part):
        raise CodecError(f"the file of a joint codec has no {part} part")
    kept = replace(file, image=b"") if part == "semantic" else replace(file, semantic=b"")
    return kept.to_bytes()
