"""Still-image codecs: one protocol, one spelling, one registry."""

from ratewise.codecs.base import Codec, CodecKind, OperatingPoint, Option
from ratewise.codecs.pictures import read_picture
from ratewise.codecs.rate import Choice, encode_to_bpp, encode_to_bytes, encode_to_psnr
from ratewise.codecs.registry import codec, decode, expand, family, identify, kind, names

__all__ = [
    "Choice",
    "Codec",
    "CodecKind",
    "OperatingPoint",
    "Option",
    "codec",
    "decode",
    "encode_to_bpp",
    "encode_to_bytes",
    "encode_to_psnr",
    "expand",
    "family",
    "identify",
    "kind",
    "names",
    "read_picture",
]
