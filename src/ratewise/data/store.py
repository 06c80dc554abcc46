"""A store: a folder of real bitstream files in the tree of their source.

::

    train/0001TP_006690.jpg        a bitstream
    trainannot/0001TP_006690.png   its mask: class ids, lossless
    manifest.parquet               one row per image, see ratewise.data.manifest.Record
    store.json                     codec, classes, totals; says whether the store is complete
    failures.csv                   images that could not be read, if there are any

``docs/stores.md`` is the specification.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ratewise import codecs
from ratewise.codecs.base import Codec
from ratewise.data.classes import Classes
from ratewise.data.manifest import MANIFEST, Record, iterate_manifest
from ratewise.data.rate_control import RateControl, points_in_order
from ratewise.data.shards import read_bitstream, read_mask_file
from ratewise.errors import CodecError, InputError, RatewiseError
from ratewise.execution import Resources, map_items, progress
from ratewise.files import location, read_json, sha256_bytes, write_json
from ratewise.images import Image, Mask, read_mask

__all__ = ["Record", "Store", "is_store", "open_store", "verify_store"]

STATE = "store.json"
FAILURES = "failures.csv"
FORMAT = 1


@dataclass(frozen=True)
class State:
    """The content of ``store.json``."""

    complete: bool
    codec: str
    codec_fingerprint: str
    versions: dict[str, str]
    source: dict[str, Any]
    classes: dict[str, Any] | None
    images: int = 0
    failed: int = 0
    bytes: int = 0
    pixels: int = 0
    source_bytes: int = 0
    format: int = FORMAT
    rate_control: RateControl | None = None
    labels: list[str] | None = None
    shard_images: int | None = None
    """Source images per shard; None where each image is a file."""


def is_store(path: Path) -> bool:
    """Whether ``path`` is a folder that holds a store, finished or not."""
    return (path / STATE).is_file()


def read_state(path: Path) -> State:
    """The ``store.json`` of the store in ``path``; InputError if it cannot be understood."""
    file = path / STATE
    try:
        value = read_json(file)
        known = value["format"]
        if known != FORMAT:
            raise InputError(f"{file}: store format {known} is not known (this is {FORMAT})")
        state = TypeAdapter(State).validate_python(vars(State(**value)))
        if state.classes is not None:
            Classes.from_dict(state.classes)
        if len(set(state.labels or ())) < len(state.labels or ()):
            raise InputError(f"{file}: is not the description of a store (labels: one is twice)")
        return state
    except InputError:
        raise
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise InputError(
            f"{file}: is not the description of a store ({key}: {first['msg']})"
        ) from None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"{file}: is not the description of a store ({error})") from None


def write_state(path: Path, state: State) -> None:
    """Write the ``store.json`` of the store in ``path``."""
    control = state.rate_control
    value = {**asdict(state), "rate_control": control.to_dict() if control else None}
    if state.shard_images is None:
        del value["shard_images"]
    write_json(path / STATE, value)


def open_store(path: str | Path) -> Store:
    """The store in the folder ``path``, or at an address (``s3://bucket/store``).

    Raises :class:`InputError` if there is none, or if it is only half finished.
    """
    folder = location(path)
    if not is_store(folder):
        problem = f"no store here (there is no {STATE})" if folder.is_dir() else "no such folder"
        raise InputError(f"{folder}: {problem}")
    state = read_state(folder)
    if not state.complete:
        raise InputError(
            f"{folder}: this store is not finished; run the command that makes it again to go on"
        )
    return Store(folder, state)


@dataclass(frozen=True)
class Store:
    """A finished store. Images are decoded when asked for; a small picklable value."""

    path: Path
    state: State

    @property
    def codec(self) -> str:
        """The spec of the codec that made the bitstreams.

        In a store that was fitted to a budget it has no operating point; the records say which
        one each image has.
        """
        return self.state.codec

    def made(self, record: Record) -> bool:
        """Whether the codec of a record is the store's."""
        if self.state.rate_control is None:
            return record.codec == self.codec
        return codecs.family(record.codec) == self.codec

    @cached_property
    def classes(self) -> Classes | None:
        """The classes of the masks."""
        return Classes.from_dict(self.state.classes) if self.state.classes else None

    @property
    def labels(self) -> tuple[str, ...] | None:
        """The names of the classes of whole images, in the order of their ids; None without."""
        return None if self.state.labels is None else tuple(self.state.labels)

    @cached_property
    def records(self) -> list[Record]:
        """One record per image, in the order of the source."""
        return list(iterate_manifest(self.path / MANIFEST))

    def __len__(self) -> int:
        return self.state.images

    @property
    def total_bytes(self) -> int:
        """The bytes of all bitstreams."""
        return self.state.bytes

    @property
    def bpp(self) -> float:
        """Bits per pixel of the whole store."""
        return 8 * self.state.bytes / self.state.pixels if self.state.pixels else 0.0

    def data(self, index: int) -> bytes:
        """The bitstream of an image. InputError if the file is gone."""
        return read_bitstream(self.path, self.records[index])

    def image(self, index: int) -> Image:
        """The decoded image, ``uint8 (H, W, 3)``. CodecError names a file that is damaged."""
        return self.decode(self.records[index])

    def decode(self, record: Record) -> Image:
        """The decoded image of one of the store's records."""
        data = read_bitstream(self.path, record)
        try:
            return cached_codec(self.codec).decode(data)
        except CodecError as error:
            raise CodecError(f"{self.path / record.path}: {error}") from None

    def mask(self, index: int) -> Mask:
        """The class ids of an image, ``uint8 (H, W)``, 255 = ignored. InputError without mask."""
        return self.mask_of(self.records[index])

    def mask_of(self, record: Record) -> Mask:
        """The class ids of one of the store's records. InputError without mask."""
        return read_mask(read_mask_file(self.path, record), name=f"{self.path / str(record.mask)}")

    def label(self, index: int) -> int:
        """The class id of a whole image, its label's place in ``labels``.

        Raises :class:`InputError` without a label, and for one that is not in ``labels``.
        """
        record = self.records[index]
        if record.label is None:
            raise InputError(f"{self.path}: {record.path} has no label")
        try:
            return self._label_ids[record.label]
        except KeyError:
            raise InputError(
                f"{self.path}: {record.path} is labelled {record.label!r}, which {STATE} does not "
                "name"
            ) from None

    @cached_property
    def _label_ids(self) -> dict[str, int]:
        return {label: number for number, label in enumerate(self.labels or ())}

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "state": self.state}  # a worker reads the manifest itself


@lru_cache(maxsize=8)
def cached_codec(spec: str) -> Codec:
    """The codec of a spec; made once per process."""
    return codecs.codec(spec)


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


def versions_json(versions: dict[str, str]) -> str:
    """Library versions as the manifest spells them."""
    return json.dumps(versions, sort_keys=True)
