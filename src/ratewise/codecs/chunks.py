"""Walking the boxes of ISO files (JP2, AVIF) and the chunks of PNG and RIFF files.

Every walker raises ValueError where the data ends before a length says it does.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

Span = tuple[bytes, int, int]
"""A type of four bytes, and where its payload starts and ends."""


def boxes(data: bytes, start: int = 0, end: int | None = None) -> Iterator[Span]:
    """The boxes of an ISO base media or JP2 file between two offsets."""
    end = len(data) if end is None else end
    while start < end:
        size, kind = _unpack(">I4s", data, start)
        payload = start + 8
        if size == 1:
            (size,) = _unpack(">Q", data, payload)
            payload += 8
        stop = end if size == 0 else start + size
        if stop < payload or stop > end:
            raise ValueError("a box is longer than the file")
        yield kind, payload, stop
        start = stop


def png_chunks(data: bytes) -> Iterator[Span]:
    """The chunks of a PNG file up to and with IEND, which must be there."""
    start = 8
    while True:
        size, kind = _unpack(">I4s", data, start)
        stop = start + 8 + size
        if stop + 4 > len(data):
            raise ValueError("a chunk is longer than the file")
        yield kind, start + 8, stop
        if kind == b"IEND":
            return
        start = stop + 4


def riff_chunks(data: bytes) -> Iterator[Span]:
    """The chunks inside the RIFF container of a WebP file."""
    (size,) = _unpack("<I", data, 4)
    end = 8 + size
    if end > len(data):
        raise ValueError("the container is longer than the file")
    start = 12
    while start + 8 <= end:
        kind, size = _unpack("<4sI", data, start)
        stop = start + 8 + size
        if stop > end:
            raise ValueError("a chunk is longer than the container")
        yield kind, start + 8, stop
        start = stop + size % 2


def _unpack(layout: str, data: bytes, offset: int) -> tuple[Any, ...]:
    try:
        return struct.unpack_from(layout, data, offset)
    except struct.error as error:
        raise ValueError(str(error)) from error
