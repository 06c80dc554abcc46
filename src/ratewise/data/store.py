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
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ratewise import codecs
from ratewise.codecs.base import Codec
from ratewise.data.classes import Classes
from ratewise.data.manifest import MANIFEST, Record, iterate_manifest
from ratewise.data.rate_control import RateControl
from ratewise.data.shards import read_bitstream, read_mask_file
from ratewise.errors import CodecError, InputError
from ratewise.files import location, read_json, write_json
from ratewise.images import Image, Mask, read_mask

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


def versions_json(versions: dict[str, str]) -> str:
    """Library versions as the manifest spells them."""
    return json.dumps(versions, sort_keys=True)
