"""NAL units: HEVC's byte stream format (Annex B of H.265) taken apart and put together."""

from __future__ import annotations

import re
from dataclasses import dataclass

START_CODE = b"\x00\x00\x01"

VPS, SPS, PPS = 32, 33, 34
SLICES = frozenset({*range(10), *range(16, 22)})
"""The types of slice segments."""

IDR_SLICES = frozenset({19, 20})
"""Those of pictures that need no other, and cannot name one."""

_ESCAPED = re.compile(rb"\x00\x00(?=[\x00-\x03])")


@dataclass(frozen=True)
class Nal:
    """One NAL unit with its two header bytes, escapes and all."""

    data: bytes

    @property
    def kind(self) -> int:
        """nal_unit_type."""
        return self.data[0] >> 1 & 63

    @property
    def layer(self) -> int:
        """nuh_layer_id: 1 for alpha in BPG."""
        return (self.data[0] & 1) << 5 | self.data[1] >> 3

    @property
    def begins_picture(self) -> bool:
        """Whether it is a picture's first slice segment."""
        return self.kind in SLICES and bool(self.data[2] & 0x80)

    def in_base_layer(self) -> Nal:
        """The same with layer id 0, which is all that common decoders look at."""
        return Nal(bytes([self.data[0] & 0xFE, self.data[1] & 7]) + self.data[2:])


def split(stream: bytes) -> list[Nal]:
    """The NAL units of ``stream``, which may leave out the first start code.

    Raises ValueError for one that is too short to be one, or whose header is none.
    """
    nals: list[Nal] = []
    for part in stream.split(START_CODE):
        unit = part.rstrip(b"\x00")  # before a start code, and zeros that pad the stream
        if not unit and not nals:
            continue
        if len(unit) < 3 or unit[0] & 0x80 or not unit[1] & 7:
            raise ValueError("the picture data is no sequence of NAL units")
        nals.append(Nal(unit))
    return nals


def join(nals: list[Nal]) -> bytes:
    """The NAL units with start codes between them, without the first."""
    return START_CODE.join(nal.data for nal in nals)


def escape(payload: bytes) -> bytes:
    """``payload`` with emulation prevention, so that no start code is in it."""
    return _ESCAPED.sub(b"\x00\x00\x03", payload)


def unescape(payload: bytes) -> bytes:
    """``payload`` without the bytes of emulation prevention."""
    return payload.replace(b"\x00\x00\x03", b"\x00\x00")
