"""A codec that predicts, small enough to be worked out by hand: a coarse picture and a mask."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from importlib.metadata import version as installed
from typing import ClassVar

import numpy as np
import pytest

from ratewise.codecs import registry
from ratewise.codecs.configured import ConfiguredCodec
from ratewise.data.streets.labels import CLASSES, ROAD, SKY
from ratewise.errors import CodecError
from ratewise.images import Image, Mask, encode_png, read_image, read_mask

_HEAD = struct.Struct(">4sI")
_MAGIC = b"SKT1"


def mask_of(image: Image, threshold: int) -> Mask:
    """Sky where green is above the threshold, road elsewhere."""
    return np.where(image[..., 1] > threshold, SKY, ROAD).astype(np.uint8)


class SketchCodec(ConfiguredCodec):
    """``sketch:weights=NAME-THRESHOLD``: a header, PNG of a mask and of a coarse picture."""

    codec_name: ClassVar[str] = "sketch"
    title: ClassVar[str] = "sketch"
    file_suffix: ClassVar[str] = ".skt"

    weights: str

    @classmethod
    def unavailable(cls) -> str | None:
        return None

    @classmethod
    def libraries(cls) -> dict[str, str]:
        return {"pillow": installed("pillow")}

    @classmethod
    def recognises(cls, data: bytes) -> bool:
        return data.startswith(_MAGIC)

    def encode(self, image: Image) -> bytes:
        mask = encode_png(mask_of(image, int(self.weights.rpartition("-")[2])))
        picture = encode_png(image // 32 * 32)
        return _HEAD.pack(_MAGIC, len(mask)) + mask + picture

    def decode(self, data: bytes) -> Image:
        return read_image(data[_HEAD.size + self.parts(data)["semantic"] :])

    def parts(self, data: bytes) -> dict[str, int]:
        if not self.recognises(data):
            raise CodecError("no sketch")
        size = _HEAD.unpack_from(data)[1]
        return {
            "header": _HEAD.size,
            "image": len(data) - _HEAD.size - size,
            "semantic": size,
        }

    def class_names(self) -> tuple[str, ...]:
        return CLASSES.names

    def predict_batch(self, data: Sequence[bytes]) -> list[Mask]:
        ends = [_HEAD.size + self.parts(one)["semantic"] for one in data]
        return [read_mask(one[_HEAD.size : end]) for one, end in zip(data, ends, strict=True)]


class StrangerCodec(SketchCodec):
    """A sketch of other classes."""

    codec_name: ClassVar[str] = "stranger"

    def class_names(self) -> tuple[str, ...]:
        return ("cat", *CLASSES.names[1:])


def registered() -> Iterator[None]:
    """Both codecs in the registry, for as long as this is not resumed."""
    own = [
        EntryPoint(kind.codec_name, f"{__name__}:{kind.__name__}", registry.GROUP)
        for kind in (SketchCodec, StrangerCodec)
    ]
    points = EntryPoints([*entry_points(group=registry.GROUP), *own])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "entry_points", lambda group: points)
        registry._plugins.cache_clear()
        yield
    registry._plugins.cache_clear()
