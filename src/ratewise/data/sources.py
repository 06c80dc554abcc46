"""What a store can be made of: a folder of images, a split of a data set, another store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ratewise.codecs.pictures import read_picture
from ratewise.data.classes import Classes
from ratewise.data.dataset import Dataset, Item, check_items
from ratewise.data.listing import find_images
from ratewise.data.manifest import MANIFEST, Record, iterate_manifest
from ratewise.data.prepare import PrepareSettings, prepare, prepare_fingerprint
from ratewise.data.store import Store
from ratewise.errors import ImageError
from ratewise.execution import Resources
from ratewise.images import Image, Mask

_AS_IT_IS = PrepareSettings()


@dataclass(frozen=True, slots=True)
class Entry:
    """An image of a source: ``key`` names it, ``record`` is its own if the source is a store.

    ``size`` is the size of its file in bytes, None if it is generated. ``label`` is the name of
    the class of the whole image, None without.
    """

    key: str
    mask: str | None
    group: str
    size: int | None
    record: Record | None = None
    label: str | None = None


@dataclass(frozen=True)
class Loaded:
    """The images that an entry becomes, as (name suffix, image, mask), and its file's format."""

    images: list[tuple[str, Image, Mask | None]]
    format: str


class Source(Protocol):
    """Images to make a store of. Picklable and small: workers call ``load``."""

    @property
    def root(self) -> Path | None:
        """The folder it reads, where the store must not be; None if it reads none."""

    @property
    def classes(self) -> Classes | None:
        """The classes of its masks."""

    @property
    def labels(self) -> Sequence[str] | None:
        """The names of the classes of its whole images, in the order of their ids; None without."""

    def entries(self) -> Sequence[Entry]:
        """Its images, in the order that the store will have."""

    def check(self, entries: Sequence[Entry], resources: Resources, *, quiet: bool) -> None:
        """Raise :class:`ratewise.errors.InputError` for what must be right before any work."""

    def load(self, entry: Entry) -> Loaded:
        """Read an image; ImageError if that cannot be done."""

    def fingerprint(self) -> dict[str, Any]:
        """JSON-able settings that decide the images beyond the files."""


@dataclass(frozen=True)
class FolderSource:
    """Every image under a folder, without masks. An image's group is the folder it lies in."""

    root: Path
    prepare: PrepareSettings = _AS_IT_IS

    @property
    def classes(self) -> Classes | None:
        """None."""
        return None

    @property
    def labels(self) -> None:
        """None."""

    def entries(self) -> list[Entry]:
        """The images that :func:`ratewise.data.listing.find_images` finds."""
        return [
            Entry(name, None, name.rpartition("/")[0], _file_size(self.root / name))
            for name in find_images(self.root)
        ]

    def check(self, entries: Sequence[Entry], resources: Resources, *, quiet: bool) -> None:
        """Nothing: an image that cannot be read is a failure of its own."""

    def load(self, entry: Entry) -> Loaded:
        """Read and prepare an image."""
        try:
            data = (self.root / entry.key).read_bytes()
        except OSError as error:
            raise ImageError(f"{entry.key}: cannot be read ({error.strerror})") from None
        image = read_picture(data, name=entry.key)
        return Loaded(_prepared(entry, image, None, self.prepare), _picture_format(data))

    def fingerprint(self) -> dict[str, Any]:
        """The settings of ``prepare``."""
        return {"kind": "folder", "prepare": prepare_fingerprint(self.prepare)}


@dataclass(frozen=True)
class DatasetSource:
    """A split of a data set, with its masks and labels.

    ``checked`` says that the caller has checked the masks (:func:`check_splits`) already.
    """

    dataset: Dataset
    split: str
    prepare: PrepareSettings = _AS_IT_IS
    checked: bool = False

    @property
    def root(self) -> Path | None:
        """The data set's."""
        return self.dataset.root

    @property
    def classes(self) -> Classes | None:
        """The data set's."""
        return self.dataset.classes

    @property
    def labels(self) -> tuple[str, ...] | None:
        """The data set's."""
        return self.dataset.labels

    def entries(self) -> list[Entry]:
        """The items of the split."""
        return [
            Entry(
                item.key,
                item.mask,
                item.group,
                _file_size(files[0]) if files else None,
                label=item.label,
            )
            for item in self.dataset.items(self.split)
            for files in [self.dataset.files(item)]
        ]

    def check(self, entries: Sequence[Entry], resources: Resources, *, quiet: bool) -> None:
        """The sizes and class ids of the masks."""
        if not self.checked:
            check_items(self.dataset, [_item(e) for e in entries], resources, quiet=quiet)

    def load(self, entry: Entry) -> Loaded:
        """Load and prepare an item."""
        item = _item(entry)
        image, mask = self.dataset.load(item)
        files = self.dataset.files(item)
        kind = _picture_format(_head(files[0])) if files else "generated"
        return Loaded(_prepared(entry, image, mask, self.prepare), kind)

    def fingerprint(self) -> dict[str, Any]:
        """Data set, split, prepare."""
        return {
            "kind": "data set",
            "data": self.dataset.fingerprint(),
            "split": self.split,
            "prepare": prepare_fingerprint(self.prepare),
        }


@dataclass(frozen=True)
class StoreSource:
    """The decoded images of a store, its masks and its labels."""

    store: Store
    prepare: PrepareSettings = _AS_IT_IS

    @property
    def root(self) -> Path:
        """The store's folder."""
        return self.store.path

    @property
    def classes(self) -> Classes | None:
        """The store's."""
        return self.store.classes

    @property
    def labels(self) -> tuple[str, ...] | None:
        """The store's."""
        return self.store.labels

    def entries(self) -> list[Entry]:
        """The records of the store, under the keys of their originals."""
        return [
            Entry(r.key, r.mask, r.group, r.bytes, r, r.label)
            for r in iterate_manifest(self.store.path / MANIFEST)
        ]

    def check(self, entries: Sequence[Entry], resources: Resources, *, quiet: bool) -> None:
        """Nothing: what made the store has checked it."""

    def load(self, entry: Entry) -> Loaded:
        """Decode and prepare an image."""
        assert entry.record is not None
        image = self.store.decode(entry.record)
        mask = self.store.mask_of(entry.record) if entry.mask else None
        kind = self.store.codec.split(":")[0]
        return Loaded(_prepared(entry, image, mask, self.prepare), kind)

    def fingerprint(self) -> dict[str, Any]:
        """The codec of the store, its budget if it has one, and what it was made of."""
        state = self.store.state
        control = {"rate_control": state.rate_control.to_dict()} if state.rate_control else {}
        return {
            "kind": "store",
            "codec": self.store.codec,
            "codec_fingerprint": state.codec_fingerprint,
            "of": state.source,
            "prepare": prepare_fingerprint(self.prepare),
            **control,
        }


def _item(entry: Entry) -> Item:
    return Item(entry.key, entry.mask, entry.group, entry.label)


def _prepared(
    entry: Entry, image: Image, mask: Mask | None, settings: PrepareSettings
) -> list[tuple[str, Image, Mask | None]]:
    try:
        return prepare(image, mask, settings)
    except ImageError as error:
        raise ImageError(f"{entry.key}: {error}") from None


_BEGINNINGS = (
    (0, b"\x89PNG", "png"),
    (0, b"\xff\xd8\xff", "jpeg"),
    (4, b"jP  ", "jpeg2000"),
    (0, b"\xff\x4f\xff\x51", "jpeg2000"),
    (8, b"WEBP", "webp"),
    (4, b"ftypavi", "avif"),
    (0, b"BPG\xfb", "bpg"),
    (0, b"BM", "bmp"),
    (0, b"II*\0", "tiff"),
    (0, b"MM\0*", "tiff"),
    (0, b"GIF8", "gif"),
    (0, b"P5", "pgm"),
    (0, b"P6", "ppm"),
)


def _picture_format(head: bytes) -> str:
    """The format of a file by its first bytes; opening it again would cost a tenth of encoding."""
    for offset, beginning, name in _BEGINNINGS:
        if head[offset : offset + len(beginning)] == beginning:
            return name
    return "other"


def _file_size(path: Path) -> int:
    """0 for a file that is not there: reading it is what fails, and that is recorded."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(16)
