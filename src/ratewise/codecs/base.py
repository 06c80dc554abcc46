"""What a codec is: the protocols that Pillow's formats, BPG and learned codecs all keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeGuard, runtime_checkable

from ratewise.images import Image, Mask


@dataclass(frozen=True)
class OperatingPoint:
    """The setting that trades rate for quality: its name, range and direction.

    ``higher_is_better`` says whether a larger value means more bytes and a better picture
    (JPEG's quality) or fewer and a worse one (JPEG 2000's ratio, BPG's QP).
    """

    name: str
    minimum: float
    maximum: float
    higher_is_better: bool
    integer: bool = True


@runtime_checkable
class Codec(Protocol):
    """A still-image codec with immutable settings.

    ``encode`` takes ``uint8 (H, W, 3)`` RGB and gives the bytes of a complete file; ``decode``
    gives the image back. Both raise :class:`ratewise.errors.CodecError` where they cannot.
    """

    @property
    def name(self) -> str:
        """The codec's name, as before the colon of a spec: ``jpeg``."""

    @property
    def suffix(self) -> str:
        """The file name ending of its bitstreams, with the dot: ``.jpg``."""

    @property
    def spec(self) -> str:
        """The one spelling of this codec: its operating point, and what differs from default."""

    @property
    def versions(self) -> Mapping[str, str]:
        """The libraries that decide its bytes, with their versions."""

    @property
    def fingerprint(self) -> str:
        """Hex digest of spec, library versions and weights: equal means equal bytes."""

    @property
    def operating_point(self) -> OperatingPoint | None:
        """The setting that trades rate for quality; None for a codec that has none (PNG)."""

    @property
    def batch_size(self) -> int:
        """How many images it is best to code together; 1 where that is no faster."""

    def encode(self, image: Image) -> bytes:
        """The bytes of a complete file that holds ``image``."""

    def decode(self, data: bytes) -> Image:
        """The image in ``data``, which must be of this codec's format."""

    def encode_batch(self, images: Sequence[Image]) -> list[bytes]:
        """``encode`` of each image."""

    def decode_batch(self, data: Sequence[bytes]) -> list[Image]:
        """``decode`` of each byte string."""

    def parts(self, data: bytes) -> dict[str, int]:
        """Named byte counts that add up to ``len(data)``."""


class PredictingCodec(Codec, Protocol):
    """A codec whose files hold what a machine needs beside the picture: a mask is read from them
    without decoding it.

    ``parts`` names ``header``, ``image`` and ``semantic`` (and perhaps more); ``header`` and
    ``semantic`` are all that a prediction needs.
    """

    def class_names(self) -> tuple[str, ...]:
        """The names of the classes, in the order of their ids; imports no torch."""

    def predict_batch(self, data: Sequence[bytes]) -> list[Mask]:
        """The mask of each file: class ids ``uint8 (H, W)`` of the image's size.

        Raises :class:`ratewise.errors.CodecError` where it cannot.
        """


def predicts(codec: Codec) -> TypeGuard[PredictingCodec]:
    """Whether a codec is a :class:`PredictingCodec`, by its methods.

    One that has them but for some weights is none if its ``segments`` says so.
    """
    names = ("class_names", "predict_batch")
    able = all(callable(getattr(codec, name, None)) for name in names)
    return able and bool(getattr(codec, "segments", True))


@dataclass(frozen=True)
class Option:
    """An option of a codec, as text: its name, its default, and what is allowed."""

    name: str
    default: str
    allowed: str


class CodecKind(Protocol):
    """A codec before its options are chosen: what the registry holds and entry points give.

    A class whose instances are :class:`Codec` keeps it with class methods; so an entry point of
    the group ``ratewise.codecs`` names such a class.
    """

    def from_options(self, options: Mapping[str, str]) -> Codec:
        """The codec with ``options`` as written in a spec.

        Raises :class:`ratewise.errors.InputError` for an unknown option, a value that is not
        allowed, or a codec that is not available here.
        """

    def options(self) -> tuple[Option, ...]:
        """All options in declared order, the operating point among them."""

    def range(self) -> OperatingPoint | None:
        """What ``operating_point`` of its codecs says."""

    def libraries(self) -> Mapping[str, str]:
        """What ``versions`` of its codecs says; empty where the codec is not available."""

    def unavailable(self) -> str | None:
        """Why this codec cannot be used here, in one clause; None if it can."""

    def recognises(self, data: bytes) -> bool:
        """Whether ``data`` begins like a file of this codec's format (foreign files too)."""
