"""From the files of :mod:`ratewise.tasks.inputs` to pixels: bounded reading, codec, decoding."""

from __future__ import annotations

import io
import stat
from dataclasses import dataclass
from pathlib import Path

from PIL import Image as PillowImage

from ratewise import codecs
from ratewise.codecs.registry import family
from ratewise.data.prepare import PrepareSettings, prepare
from ratewise.data.shards import read_part
from ratewise.data.store import cached_codec
from ratewise.errors import CodecError, ImageError, InputError, RatewiseError
from ratewise.images import Image
from ratewise.tasks.inputs import Input

MAX_BYTES = 2**29
"""A larger file is refused unread: it exceeds the pixels of the largest image, uncompressed."""

_AS_IT_IS = PrepareSettings()


@dataclass(frozen=True)
class Decoding:
    """How files are decoded.

    ``codec`` is the spec of a codec for those bitstreams that are of its format: learned ones that
    need weights of one's own. ``prepare`` follows the decoding. Raises :class:`InputError` for an
    unknown codec, and for tiles, which would make several images of one.
    """

    prepare: PrepareSettings = _AS_IT_IS
    codec: str | None = None

    def __post_init__(self) -> None:
        if self.prepare.tile:
            raise InputError("prepare.tile: one prediction is made of each file; leave it out")
        if self.codec is not None:
            codecs.codec(self.codec)


@dataclass(frozen=True)
class Decoded:
    """A file that was decoded; ``width`` and ``height`` are as it was before it was prepared."""

    codec: str
    bytes: int
    width: int
    height: int
    image: Image


def decode(how: Decoding, item: Input) -> Decoded:
    """Read and decode a file.

    ``codec`` of the result is the spec of a store's record, else the name of the codec that
    recognises the bytes, else that of the picture's format. Raises :class:`ImageError` that names
    the file for anything that cannot be read, decoded or prepared.
    """
    data = read_input(item)
    name, image = _picture(how, item, data)
    height, width = image.shape[:2]
    try:
        ((_, prepared, _),) = prepare(image, None, how.prepare)
    except ImageError as error:
        raise ImageError(f"{item.path}: {error}") from None
    return Decoded(name, len(data), width, height, prepared)


def read_input(item: Input) -> bytes:
    """The bytes of an input, bounded; ImageError names what cannot be read."""
    if item.part is None:
        return read_bounded(item.path)
    if item.part[2] > MAX_BYTES:
        raise ImageError(f"{item.path}: has more than the {MAX_BYTES} bytes that are read")
    try:
        return read_part(*item.part)
    except RatewiseError as error:
        raise ImageError(str(error)) from None


def read_bounded(path: Path, most: int = MAX_BYTES) -> bytes:
    """The bytes of a regular file of ``most`` bytes or fewer; else ImageError that names it."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ImageError(f"{path}: is not a file")
        if status.st_size <= most:
            with path.open("rb") as file:
                data = file.read(most + 1)
        if status.st_size > most or len(data) > most:
            raise ImageError(f"{path}: has more than the {most} bytes that are read")
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error.strerror})") from None
    if not data:
        raise ImageError(f"{path}: the file is empty")
    return data


def _picture(how: Decoding, item: Input, data: bytes) -> tuple[str, Image]:
    if item.spec is not None:
        return item.spec, _decoded_by(item.spec, item.path, data)
    if how.codec is not None and codecs.kind(how.codec.partition(":")[0]).recognises(data):
        return family(how.codec), _decoded_by(how.codec, item.path, data)
    image = codecs.read_picture(data, name=str(item.path))
    try:
        return codecs.identify(data).name, image
    except CodecError:  # a picture that only Pillow reads
        return _format(data), image


def _decoded_by(spec: str, path: Path, data: bytes) -> Image:
    try:
        return cached_codec(spec).decode(data)
    except CodecError as error:
        raise ImageError(f"{path}: {error}") from None


def _format(data: bytes) -> str:
    with PillowImage.open(io.BytesIO(data)) as picture:
        return (picture.format or "other").lower()
