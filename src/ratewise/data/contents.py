"""What is in a store, and whether it is intact. The manifest is read a part at a time."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ratewise.data.manifest import MANIFEST, Record, iterate_manifest
from ratewise.data.rate_control import points_in_order
from ratewise.data.shards import read_bitstream, read_mask_file
from ratewise.data.store import STATE, Store
from ratewise.errors import RatewiseError
from ratewise.execution import Resources, map_items, progress
from ratewise.files import sha256_bytes


def store_info(store: Store) -> dict[str, Any]:
    """What is in a store, JSON-able: codec, counts, bytes, rate, sizes, groups, mean PSNR.

    The mean is over the images that are not ``lossless``; None if there are none.
    """
    psnrs: list[float] = []
    sizes: Counter[str] = Counter()
    groups: Counter[str] = Counter()
    formats: Counter[str] = Counter()
    points: Counter[str] = Counter()
    masks = labelled = 0
    for record in iterate_manifest(store.path / MANIFEST):
        psnrs.append(record.psnr)
        sizes[f"{record.width}x{record.height}"] += 1
        groups[record.group] += 1
        formats[record.source_format] += 1
        points[record.codec] += 1
        masks += record.mask is not None
        labelled += record.label is not None
    finite = [psnr for psnr in psnrs if math.isfinite(psnr)]  # of a lossless image it is not
    return {
        "path": str(store.path),
        "codec": store.codec,
        "versions": store.state.versions,
        "images": len(store),
        "masks": masks,
        "labelled": labelled,
        "failed": store.state.failed,
        "bytes": store.total_bytes,
        "bpp": store.bpp,
        "rate_control": _control(store),
        "operating_points": {spec: points[spec] for spec in points_in_order(points)},
        "mean_psnr": sum(finite) / len(finite) if finite else None,
        "lossless": len(psnrs) - len(finite),
        "source_bytes": store.state.source_bytes,
        "source_formats": dict(formats),
        "sizes": dict(sizes),
        "groups": dict(groups),
        "classes": list(store.classes.names) if store.classes else None,
        "labels": store.state.labels,
        "source": store.state.source,
    }


def _control(store: Store) -> dict[str, Any] | None:
    return store.state.rate_control.to_dict() if store.state.rate_control else None


def verify_store(
    store: Store,
    *,
    decode: bool = False,
    resources: Resources = Resources(),
    quiet: bool = True,
) -> list[str]:
    """Check every file of a store against its manifest; one sentence per problem.

    Sizes and SHA-256 of bitstreams and masks; with ``decode`` also that each bitstream decodes to
    its recorded size. An empty list means that all is well.
    """
    problems: list[str] = []
    count = total = 0
    check: Callable[..., list[str]] = _verify_decoding if decode else _verify_record
    records = iterate_manifest(store.path / MANIFEST)
    with progress(f"verify {store.path.name}", len(store), quiet=quiet) as bar:
        for outcome in map_items(check, records, resources, context=store):
            count, total = count + 1, total + outcome.item.bytes
            if outcome.failure:
                problems.append(f"{outcome.item.path}: {outcome.failure.message}")
            problems.extend(outcome.value or [])
            bar.advance()
    if (count, total) != (len(store), store.total_bytes):
        problems.append(
            f"{MANIFEST}: holds {count} images of {total} bytes, but {STATE} says {len(store)} of "
            f"{store.total_bytes}"
        )
    control = store.state.rate_control
    if control and control.budget is not None and total > control.budget:
        problems.append(f"{MANIFEST}: {total} bytes exceed the budget of {control.budget}")
    return problems


def _verify_record(store: Store, record: Record) -> list[str]:
    data = _file(read_bitstream, store, record)
    problems = [_verify_file(record.path, data, record.sha256, record.bytes)]
    if record.mask is not None:
        mask = _file(read_mask_file, store, record)
        problems.append(_verify_file(record.mask, mask, record.mask_sha256))
    if not store.made(record):
        problems.append(f"{record.path}: recorded as {record.codec}, not {store.codec}")
    if record.label is not None and record.label not in (store.labels or ()):
        problems.append(f"{record.path}: labelled {record.label!r}, which {STATE} does not name")
    return [problem for problem in problems if problem]


def _verify_decoding(store: Store, record: Record) -> list[str]:
    problems = _verify_record(store, record)
    if problems:
        return problems
    height, width = store.decode(record).shape[:2]
    if (width, height) == (record.width, record.height):
        return []
    return [f"{record.path}: decodes to {width}x{height}, not to {record.width}x{record.height}"]


def _file(
    read: Callable[[Path, Record], bytes], store: Store, record: Record
) -> bytes | RatewiseError:
    try:
        return read(store.path, record)
    except RatewiseError as error:
        return error


def _verify_file(
    name: str, data: bytes | RatewiseError, sha256: str | None, size: int | None = None
) -> str | None:
    if isinstance(data, RatewiseError):
        return f"{name}: {data}"
    if size is not None and len(data) != size:
        return f"{name}: has {len(data)} bytes, not {size}"
    if sha256_bytes(data) != sha256:
        return f"{name}: the checksum is not that of the manifest"
    return None
