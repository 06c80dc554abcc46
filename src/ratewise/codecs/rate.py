"""A target instead of a setting: the operating point that meets a rate or a quality, per image.

Every answer was encoded and measured, so it keeps its target whatever the codec's curve looks
like. Where the curve rises with every rung (:mod:`ratewise.codecs.ladder`), it is the best of all
rungs; where it does not (some steps of JPEG's quality take fewer bytes), the best that was seen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from ratewise.codecs import registry
from ratewise.codecs.ladder import Ladder, ladder
from ratewise.codecs.round_trip import round_trip
from ratewise.codecs.search import first_above
from ratewise.codecs.typical import expected_decibels, expected_log_bytes
from ratewise.errors import InputError
from ratewise.images import Image, check_image
from ratewise.metrics.distortion import psnr

_LARGEST_TARGET = 1e12
"""Larger ones are a slip, and so would overflow."""


@dataclass(frozen=True)
class Choice:
    """A file that meets a target: its canonical ``spec`` and its ``data``.

    ``encodes`` is how many files were made to find it; ``psnr`` its quality in dB where the target
    needed that, else None.
    """

    spec: str
    data: bytes
    encodes: int
    psnr: float | None = None


def encode_to_bytes(spec: str, image: Image, limit: int) -> Choice:
    """The best picture of ``image``, ``uint8 (H, W, 3)``, in a file of at most ``limit`` bytes.

    ``spec`` names a codec and maybe its allowed operating points: ``bpg``, ``bpg:chroma=444`` or
    ``bpg:qp=29,33,37``. The best is the highest rung of :func:`ratewise.codecs.ladder.ladder`.

    Raises :class:`InputError` for a wrong spec, a codec without operating points, a limit that is
    not above 0, and if the smallest file that was tried is larger; :class:`CodecError` where the
    codec cannot encode the image.
    """
    rungs = check_target(spec, limit, "limit")
    return _to_bytes(rungs, check_image(image), math.floor(limit), f"{math.floor(limit)}")


def encode_to_bpp(spec: str, image: Image, bpp: float) -> Choice:
    """:func:`encode_to_bytes` with ``floor(bpp * H * W / 8)`` bytes."""
    rungs = check_target(spec, bpp, "bpp")
    height, width = check_image(image).shape[:2]
    limit = math.floor(bpp * height * width / 8)
    return _to_bytes(rungs, image, limit, f"{limit}, which {bpp:g} bpp of {width}x{height} allow")


def encode_to_psnr(spec: str, image: Image, decibels: float) -> Choice:
    """The smallest file of ``image`` whose decoded PSNR is at least ``decibels``.

    PSNR is over RGB in 8 bits (:func:`ratewise.metrics.distortion.psnr`). ``spec`` and errors are
    those of :func:`encode_to_bytes`; InputError also if the best that was tried is under it.
    """
    rungs = check_target(spec, decibels, "decibels")
    tried = _Tried(rungs, check_image(image))
    expected = expected_decibels(rungs)
    first_above(tried.decibels, expected, decibels, equal_is_above=True)

    def good() -> list[int]:
        return [rung for rung, quality in tried.quality.items() if quality >= decibels]

    if not good():  # where quality falls somewhere, the other end may still be better
        tried.decibels(0)
    enough = good()
    if not enough:
        best = max(tried.quality, key=lambda rung: tried.quality[rung])
        raise InputError(
            f"even {rungs.spec(best)} gives {tried.quality[best]:.2f} dB, less than {decibels:g}"
        )
    return tried.choice(min(enough, key=lambda rung: (len(tried.data[rung]), -tried.quality[rung])))


@dataclass
class _Tried:
    """The files of one image that were made so far, by rung, and their PSNR where it was asked."""

    rungs: Ladder
    image: Image
    data: dict[int, bytes] = field(default_factory=dict)
    quality: dict[int, float] = field(default_factory=dict)

    def log_bytes(self, rung: int) -> float:
        """The natural logarithm of the file's bytes."""
        coder = registry.codec(self.rungs.spec(rung))
        self.data[rung] = coder.encode(self.image)
        return math.log(len(self.data[rung]))

    def decibels(self, rung: int) -> float:
        """The file's PSNR."""
        coder = registry.codec(self.rungs.spec(rung))
        self.data[rung], decoded = round_trip(coder, self.image)
        self.quality[rung] = psnr(self.image, decoded)
        return self.quality[rung]

    def choice(self, rung: int) -> Choice:
        spec = self.rungs.spec(rung)
        return Choice(spec, self.data[rung], len(self.data), self.quality.get(rung))


def _to_bytes(rungs: Ladder, image: Image, limit: int, said: str) -> Choice:
    tried = _Tried(rungs, image)
    expected = expected_log_bytes(rungs, *image.shape[:2])
    goal = math.log(limit) if limit else -1.0  # below any file's
    first_above(tried.log_bytes, expected, goal, equal_is_above=False)

    def small() -> list[int]:
        return [rung for rung, data in tried.data.items() if len(data) <= limit]

    if not small():  # a curve that falls, as of some flat pictures, may be lower at its other end
        tried.log_bytes(len(rungs) - 1)
    if not small():
        least = min(tried.data, key=lambda rung: len(tried.data[rung]))
        raise InputError(
            f"even {rungs.spec(least)} takes {len(tried.data[least])} bytes, more than {said}"
        )
    return tried.choice(max(small()))


def check_target(spec: str, target: float, what: str) -> Ladder:
    """The ladder of ``spec``; InputError for a wrong spec or a ``target`` that is none.

    ``what`` is what the message calls the target.
    """
    rungs = ladder(spec)
    number = isinstance(target, (int, float, np.number)) and not isinstance(target, bool)
    if not (number and 0 < target <= _LARGEST_TARGET):
        shown = str(target)[:20] if not number or abs(target) > _LARGEST_TARGET else f"{target:g}"
        raise InputError(
            f"{what} {shown} is no target: give a number above 0, at most {_LARGEST_TARGET:g}"
        )
    return rungs
