"""HEVC intra pictures: planes to NAL units and back, by x265 and FFmpeg's decoder through PyAV.

PyAV is imported where it is used, so that everything else works without it.

**The Lagrangian.** BPG's reference encoder has an older x265, whose lambda2 is larger. The newer
one takes its tables from a file, so each encode hands it one with the old tables: bytes then come
within 1 % of the reference's at the same QP, instead of 6 to 11 % above. x265 keeps the tables for
the rest of the process, for each bit depth, and has no way back. Here that is harmless, since
every encode asks for the same ones; other x265 encodes of the same process get them too.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ratewise.codecs.bpg.nal import START_CODE
from ratewise.errors import CodecError

if TYPE_CHECKING:
    from av import VideoFrame

Plane = NDArray[np.unsignedinteger[Any]]
T = TypeVar("T")

INSTALL = "pip install 'av>=18,<19'"

SMALLEST_SIDE = 16
"""A side that is shorter is refused by FFmpeg's wrapper of x265."""

_FORMATS = ("gray", "yuv420p", "yuv422p", "yuv444p")
_DECODED_DEPTHS = (8, 9, 10, 12)

_OTHER_END = b"\xff" * 8
"""What may stand behind a slice instead of the zeros that FFmpeg reads there."""

_SHORT = 2048
"""Up to so many bytes, about 0.4 ms, waiting for a second thread on a busy machine may take longer
than decoding once more."""


@functools.cache
def unavailable() -> str | None:
    """Why BPG cannot be coded here, in one clause; None if it can."""
    try:
        from av.codec import Codec
    except ImportError as error:
        return f"PyAV cannot be imported ({error}): {INSTALL}"
    try:
        Codec("libx265", "w")
        Codec("hevc", "r")
    except ValueError as error:
        return f"this PyAV was built without x265 or without an HEVC decoder ({error}): {INSTALL}"
    return None


@functools.cache
def libraries() -> dict[str, str]:
    """The versions of PyAV, FFmpeg's libavcodec and x265."""
    import av

    codec = ".".join(str(part) for part in av.library_versions["libavcodec"])
    return {"pyav": av.__version__, "libavcodec": codec, "x265": _x265_version()}


def encode(
    planes: Sequence[Plane],
    chroma_format: int,
    bit_depth: int,
    qp: int,
    preset: str,
    *,
    log2_min_cb: int,
    more: str = "info=0",
) -> bytes:
    """One picture as an HEVC byte stream: VPS, SPS, PPS and an IDR slice, with start codes.

    ``planes``: luma ``(H, W)`` with both sides a multiple of the smallest coding block and at
    least :data:`SMALLEST_SIDE`, then chroma as ``chroma_format`` says. ``qp`` is BPG's, 0 to 51:
    x265 codes an intra picture three below it, like the reference encoder. ``more``: parameters
    of x265 that add SEI messages to the stream.
    Raises :class:`CodecError` if x265 fails.
    """
    import av

    height, width = planes[0].shape
    with _lambda_file(bit_depth) as tables:
        try:
            context = av.VideoCodecContext.create("libx265", "w")
            context.width, context.height = width, height
            context.pix_fmt = _format(chroma_format, bit_depth)
            context.time_base = Fraction(1, 25)
            context.thread_count = 1
            context.options = {
                "preset": preset,
                "tune": "ssim",
                "x265-params": ":".join(
                    (
                        f"qp={qp}",
                        "keyint=1:bframes=0:repeat-headers=1:annexb=1",
                        "pools=none:wpp=0:frame-threads=1",
                        f"ctu={_ctu(min(height, width))}:min-cu-size={1 << log2_min_cb}",
                        "allow-non-conformance=1",  # or very elongated pictures are refused
                        f"{more}:log-level=none",
                        f"lambda-file={tables}",
                    )
                ),
            }
            packets = context.encode(_frame(planes, context.pix_fmt)) + context.encode(None)
        except (av.FFmpegError, ValueError, MemoryError) as error:
            raise CodecError(f"x265 cannot encode {width}x{height} ({error})") from error
    return b"".join(bytes(packet) for packet in packets)


def decode(stream: bytes, chroma_format: int, bit_depth: int, *, whole: bool = True) -> list[Plane]:
    """The planes of the first picture in an HEVC byte stream, in coded size.

    They lie in FFmpeg's memory, read-only. ``whole`` says that the stream is known to be so; if
    not, it is decoded once more with other bytes behind its end. The arithmetic coder makes the
    picture depend on those if and only if its last slice was cut short. This doubles the CPU time;
    a stream of more than :data:`_SHORT` bytes is decoded in two threads at once.

    Raises :class:`CodecError` if there is no picture, one of another format, or one cut short.
    """
    if bit_depth not in _DECODED_DEPTHS:
        raise CodecError(f"BPG data: {bit_depth} bits a sample are not supported by this decoder")
    if whole:
        return _decoded(stream, chroma_format, bit_depth)
    planes, again = (_in_turn if len(stream) <= _SHORT else _at_once)(
        lambda: _decoded(stream, chroma_format, bit_depth),
        lambda: _decoded(stream + _OTHER_END, chroma_format, bit_depth),
    )
    if not all(np.array_equal(a, b) for a, b in zip(planes, again, strict=True)):
        raise CodecError("BPG data: the picture is cut short")
    return planes


def _in_turn(first: Callable[[], T], second: Callable[[], T]) -> tuple[T, T]:
    """The results of both."""
    return first(), second()


def _at_once(first: Callable[[], T], second: Callable[[], T]) -> tuple[T, T]:
    """The results of both, the second's from a thread of its own; or the error of one of them.

    PyAV lets other threads run while it decodes. A thread for each call costs 30 us, and leaves
    none behind to be missed in a process that is forked later.
    """
    outcome: list[T | BaseException] = []

    def keep() -> None:
        try:
            outcome.append(second())
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=keep)
    try:
        thread.start()
    except RuntimeError:  # the process can have no more, or is about to end
        return _in_turn(first, second)
    try:
        result = first()
    finally:
        thread.join()
    (other,) = outcome
    if isinstance(other, BaseException):
        raise other
    return result, other


def _decoded(stream: bytes, chroma_format: int, bit_depth: int) -> list[Plane]:
    import av

    expected = _format(chroma_format, bit_depth)
    try:
        context = av.VideoCodecContext.create("hevc", "r")
        context.thread_count = 1
        context.options = {"err_detect": "explode"}
        frames = context.decode(av.Packet(stream)) or context.decode(None)
    except (av.FFmpegError, ValueError, MemoryError) as error:
        raise CodecError(f"BPG data: the picture cannot be decoded ({error})") from error
    if not frames:
        raise CodecError("BPG data: the file holds no picture that can be decoded")
    frame = frames[0]
    if frame.format.name != expected:
        raise CodecError(f"BPG data: the picture is {frame.format.name}, not {expected}")
    return _planes(frame, np.uint8 if bit_depth == 8 else np.uint16)


def _format(chroma_format: int, bit_depth: int) -> str:
    return _FORMATS[chroma_format] + ("" if bit_depth == 8 else f"{bit_depth}le")


def _ctu(side: int) -> int:
    return 64 if side >= 64 else 32 if side >= 32 else 16


def _planes(frame: VideoFrame, kind: type[np.uint8] | type[np.uint16]) -> list[Plane]:
    found: list[Plane] = []
    for plane in frame.planes:
        rows = np.frombuffer(plane, kind).reshape(plane.height, -1)  # type: ignore[call-overload]
        found.append(rows[:, : plane.width])
    return found


def _frame(planes: Sequence[Plane], pixel_format: str) -> VideoFrame:
    import av

    height, width = planes[0].shape
    frame = av.VideoFrame(width, height, pixel_format)
    for plane, pixels in zip(frame.planes, planes, strict=True):
        rows: Any = np.frombuffer(plane, pixels.dtype)  # type: ignore[call-overload]
        rows.reshape(plane.height, -1)[:, : plane.width] = pixels
    return frame


@contextlib.contextmanager
def _lambda_file(bit_depth: int) -> Iterator[str]:
    """The path of a file with the reference encoder's Lagrangian, for x265.

    A file for each encode: x265 opens it when an encoder opens, and nothing can take it away
    from a process that lives for long, or be left behind by one that forks.
    """
    handle, path = tempfile.mkstemp(prefix="ratewise-", suffix=".lambda")
    try:
        with os.fdopen(handle, "w") as file:
            file.write(_lambda_tables(bit_depth))
        if ":" in path:
            raise CodecError(f"x265 cannot read a file whose path has a colon: {path}; set TMPDIR")
        yield path
    finally:
        Path(path).unlink()


@functools.cache
def _lambda_tables(bit_depth: int) -> str:
    """70 values of lambda, then 70 of lambda2, for QP 0 on.

    They grow with the square of the sample's range, as the distortion does.
    """
    scale = 1 << (bit_depth - 8)
    first = [2 ** (qp / 6 - 2) for qp in range(70)]
    lines = [f"{scale * value:.10g}" for value in first]
    lines += [f"{scale**2 * 0.85 * value**2:.10g}" for value in first]
    return "\n".join(lines) + "\n"


def _x265_version() -> str:
    """The version by which x265 calls itself in the streams that it writes."""
    grey = np.zeros((SMALLEST_SIDE, SMALLEST_SIDE), np.uint8)
    stream = encode([grey], 0, 8, 51, "ultrafast", log2_min_cb=3, more="info=1")
    found = re.search(rb"x265 \(build \d+\) - ([^\s:]+)", stream.replace(START_CODE, b""))
    return found[1].decode("ascii", "replace") if found else "unknown"
