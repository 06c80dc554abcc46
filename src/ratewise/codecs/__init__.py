"""Still-image codecs: one protocol, one spelling, one registry."""

from ratewise.codecs.base import Codec, CodecKind, OperatingPoint, Option
from ratewise.codecs.registry import codec, decode, expand, family, identify, kind, names

__all__ = [
    "Codec",
    "CodecKind",
    "OperatingPoint",
    "Option",
    "codec",
    "decode",
    "expand",
    "family",
    "identify",
    "kind",
    "names",
]
