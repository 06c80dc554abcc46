"""``manifest.parquet``: one row per image of a store, in the order of its source."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from itertools import accumulate, islice
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from ratewise.errors import InputError
from ratewise.files import open_atomically

MANIFEST = "manifest.parquet"
_ROW_GROUP = 512


@dataclass(frozen=True, slots=True)
class Record:
    """An image of a store.

    ``key`` is the original's path in its source (with the tile's suffix, if it is one), equal in
    all stores of that source; ``path`` and ``mask`` are files in this store. ``bpp`` is bits of
    the whole file per pixel, ``psnr`` in dB against what was read (inf when equal).
    ``source`` is the path of the file that was read, ``source_bytes`` its size (0 if it was
    generated). ``versions`` is JSON: the libraries that decided the bytes. ``label`` is the name
    of the class of the whole image; None without, and in a manifest made before there were labels.

    In a store of shards the bitstream is not a file ``path`` but lies in the file ``shard``, from
    ``offset`` on, and the mask (``mask_bytes`` long) from ``mask_offset`` on; elsewhere all four
    are None.
    """

    key: str
    path: str
    mask: str | None
    group: str
    width: int
    height: int
    bytes: int
    bpp: float
    psnr: float
    sha256: str
    mask_sha256: str | None
    codec: str
    versions: str
    source: str
    source_format: str
    source_bytes: int
    label: str | None = None
    shard: str | None = None
    offset: int | None = None
    mask_offset: int | None = None
    mask_bytes: int | None = None


_IN_SHARDS = ("shard", "offset", "mask_offset", "mask_bytes")
_ARROW = {
    "str": "string",
    "str | None": "string",
    "int": "int64",
    "int | None": "int64",
    "float": "float64",
}
_KINDS = {f.name: _ARROW[str(f.type)] for f in fields(Record)}


def write_manifest(path: Path, records: Iterable[Record], *, shards: bool = False) -> None:
    """Write records as Parquet, atomically; memory does not grow with their number.

    ``shards`` says that they are those of a store of shards.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {name: kind for name, kind in _KINDS.items() if shards or name not in _IN_SHARDS}
    schema = pa.schema([(name, getattr(pa, kind)()) for name, kind in kinds.items()])
    rows = iter(records)
    with open_atomically(path) as file, pq.ParquetWriter(file, schema) as writer:
        while group := list(islice(rows, _ROW_GROUP)):
            columns = [
                _arrow([getattr(record, name) for record in group], kind)
                for name, kind in kinds.items()
            ]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))


def iterate_manifest(path: Path) -> Iterator[Record]:
    """The records of a manifest, read a part at a time.

    Raises :class:`InputError` if the file is damaged or names files outside of the store.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    same: dict[Any, Any] = {}  # codec, versions, group, ... repeat in every row: keep one of each
    repeated = ("group", "codec", "versions", "source_format", "label", "shard")
    try:
        with path.open("rb") as opened, pq.ParquetFile(opened) as file:
            for batch in file.iter_batches(_ROW_GROUP, columns=list(_KINDS)):
                for row in batch.to_pylist():
                    row.setdefault("label", None)  # absent in what was made before there were any
                    for name in _IN_SHARDS:
                        row.setdefault(name, None)
                    for name in repeated:
                        row[name] = same.setdefault(row[name], row[name])
                    _check_inside(path, row["key"])
                    _check_inside(path, row["path"])
                    _check_inside(path, row["mask"])
                    _check_inside(path, row["shard"])
                    yield Record(**row)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (pa.ArrowException, TypeError, KeyError) as error:
        raise InputError(f"{path}: the manifest is damaged ({error})") from None


def _arrow(values: list[Any], kind: str) -> Any:
    """A pyarrow array of ``values``, made from its buffers.

    ``pa.array`` would import pandas to ask whether a list is a series: a second of CPU.
    """
    import pyarrow as pa

    there = np.packbits([value is not None for value in values], bitorder="little")
    if kind != "string":
        numbers = array("q" if kind == "int64" else "d", [value or 0 for value in values])
        missing = None in values
        buffers = [there.tobytes() if missing else None, numbers.tobytes()]
        return pa.Array.from_buffers(
            getattr(pa, kind)(), len(values), [b and pa.py_buffer(b) for b in buffers]
        )
    texts = [b"" if value is None else value.encode() for value in values]
    ends = array("i", accumulate(map(len, texts), initial=0))
    parts = (there.tobytes(), ends.tobytes(), b"".join(texts))
    return pa.Array.from_buffers(pa.string(), len(values), [pa.py_buffer(b) for b in parts])


def _check_inside(manifest: Path, name: str | None) -> None:
    if name is None:
        return
    if name.startswith("/") or ".." in PurePosixPath(name).parts:
        raise InputError(f"{manifest}: {name!r} is outside of the store")
