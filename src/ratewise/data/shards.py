"""Shards: tar files that hold many images of a store, as the webdataset package reads them.

A sample of the image with the number 123 is the members ``000000123.jpg`` (the bitstream, with its
codec's suffix), ``000000123.mask.png``, ``000000123.cls`` (the class id of a whole image) and
``000000123.json`` (its record). Tiles have their suffix: ``000000123_r0_c1.jpg``. The same samples
make the same bytes. ``docs/stores.md`` is the specification.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ratewise.data.manifest import Record
from ratewise.errors import CodecError, InputError
from ratewise.files import open_atomically, write_atomically

FOLDER = "shards"


def shard_name(number: int) -> str:
    """The file of a shard, in its store."""
    return f"{FOLDER}/{number:06d}.tar"


@dataclass(frozen=True)
class Sample:
    """An image to put in a shard: its record (without a place), its bitstream, its mask's PNG."""

    name: str
    suffix: str
    record: Record
    data: bytes
    mask: bytes | None
    label: int | None


def write_shard(path: Path, name: str, samples: Iterable[Sample]) -> list[Record]:
    """Write a shard to ``path``, atomically; the records of its images, with their places in it.

    ``name`` is what the records call it.
    """
    records = []
    with open_atomically(path) as file, tarfile.open(fileobj=file, mode="w|") as tar:
        position = 0

        def add(member: str, data: bytes) -> int:
            nonlocal position
            info = tarfile.TarInfo(member)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
            start = position + tarfile.BLOCKSIZE
            position = start + -(-len(data) // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
            return start

        for sample in samples:
            offset = add(sample.name + sample.suffix, sample.data)
            mask_offset = mask_bytes = None
            if sample.mask is not None:
                mask_offset = add(f"{sample.name}.mask.png", sample.mask)
                mask_bytes = len(sample.mask)
            if sample.label is not None:
                add(f"{sample.name}.cls", str(sample.label).encode())
            described = {k: v for k, v in asdict(sample.record).items() if v is not None}
            add(f"{sample.name}.json", json.dumps(described).encode())
            records.append(
                replace(
                    sample.record,
                    shard=name,
                    offset=offset,
                    mask_offset=mask_offset,
                    mask_bytes=mask_bytes,
                )
            )
    return records


def write_files(store: Path, samples: Iterable[Sample]) -> list[Record]:
    """Write the images of a plain store, each into files of its own; their records."""
    records = []
    for sample in samples:
        write_atomically(store / sample.record.path, sample.data)
        if sample.record.mask is not None and sample.mask is not None:
            write_atomically(store / sample.record.mask, sample.mask)
        records.append(sample.record)
    return records


def read_part(path: Path, offset: int | None, size: int | None) -> bytes:
    """``size`` bytes of a shard from ``offset`` on.

    Raises :class:`InputError` if the file cannot be read, :class:`CodecError` if it is too short.
    """
    if offset is None or size is None or min(offset, size) < 0:
        raise CodecError(f"{path}: the manifest does not say where in it the bytes are")
    try:
        with path.open("rb") as file:
            if file.seek(0, io.SEEK_END) < offset + size:
                raise CodecError(f"{path}: is too short: {size} bytes at {offset} are not there")
            file.seek(offset)
            return file.read(size)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None


def read_bitstream(store: Path, record: Record) -> bytes:
    """The bitstream of an image of a store, from its file or its shard."""
    if record.shard is not None:
        return read_part(store / record.shard, record.offset, record.bytes)
    return _read(store / record.path)


def read_mask_file(store: Path, record: Record) -> bytes:
    """The PNG of the mask of an image of a store; InputError if it has none."""
    if record.mask is None:
        raise InputError(f"{store}: {record.path} has no mask")
    if record.shard is not None:
        return read_part(store / record.shard, record.mask_offset, record.mask_bytes)
    return _read(store / record.mask)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror or error})") from None
