"""``ratewise restorer train`` from end to end: store the originals, compress, train, measure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ratewise.data.classes import Classes
from ratewise.data.compress import compress_store
from ratewise.data.photographs import image_sources
from ratewise.data.sources import DatasetSource, Entry, FolderSource, Loaded, Source, StoreSource
from ratewise.data.store import FAILURES, Store, open_store
from ratewise.errors import InputError
from ratewise.execution import Resources
from ratewise.execution.locks import locked
from ratewise.metrics.perception.index import perceptual_index
from ratewise.restoration.pairs import Pairs, hold_out
from ratewise.restoration.quality import BeforeAndAfter, before_and_after
from ratewise.restoration.restorer import load_restorer
from ratewise.restoration.training import train_restorer
from ratewise.restoration.training_settings import RestorerTrainingSettings

STORES = "stores"
_LOSSLESS = "png"


@dataclass(frozen=True)
class Trained:
    """What :func:`train_from_settings` leaves: the weights file, and how good it is."""

    weights: Path
    held_out: int
    """Images that ``quality`` was measured on; none of them was trained on."""
    quality: list[BeforeAndAfter]
    """For each codec; empty if no image was held out."""


def train_from_settings(
    settings: RestorerTrainingSettings,
    folder: Path,
    *,
    base: Path = Path(),
    resources: Resources = Resources(),
    quiet: bool = False,
) -> Trained:
    """Make the stores under ``folder/stores``, train in ``folder``, measure on images held out.

    Each part goes on where an earlier call was killed. Paths in the settings are relative to
    ``base``. Raises :class:`InputError` if there are no images, some cannot be stored, or the
    settings do not fit them.
    """
    perceptual = perceptual_index(base / settings.perception if settings.perception else None)
    source = Originals.open(settings, base)
    stores = folder / STORES
    with locked(
        folder / f"{STORES}.lock"
    ):  # of several processes that train together one makes them
        originals = _stored(source, stores / "originals", _LOSSLESS, resources, quiet)
        compressed = [
            _stored(StoreSource(originals), stores / _name(spec), spec, resources, quiet)
            for spec in settings.codecs
        ]
    pairs = Pairs(originals, tuple(compressed), source.visits(originals))
    training = settings.restorer.training
    path = train_restorer(
        settings.restorer,
        pairs,
        folder,
        trained_for=settings.codecs,
        origin={"name": settings.name, "images": len(originals), "seed": training.seed},
        base=base,
        seed=training.seed,
        title=settings.name,
        quiet=quiet,
        perceptual=perceptual,
    )
    held, _ = hold_out(pairs, settings.restorer.validation, training.seed)
    restorer = load_restorer(path, device=training.device)
    quality = before_and_after(restorer, pairs, held, perceptual) if held else []
    return Trained(path, len(held), quality)


@dataclass(frozen=True)
class Originals:
    """The images of several folders and data sets as one :class:`ratewise.data.sources.Source`.

    Where there are several, keys and groups begin with the number of their source. Masks are left
    out: a restorer sees none. ``repeats`` says how often an epoch visits the images of each.
    """

    sources: tuple[FolderSource | DatasetSource, ...]
    repeats: tuple[int, ...]

    @classmethod
    def open(cls, settings: RestorerTrainingSettings, base: Path) -> Originals:
        """What the settings name. Raises :class:`InputError` where there are no images."""
        sources: list[FolderSource | DatasetSource] = []
        repeats: list[int] = []
        for one in settings.images:
            found = image_sources(one, base, settings.prepare)
            if not any(source.entries() for source in found):
                raise InputError(f"{one.root or one.data}: no images to train on")
            sources += found
            repeats += [one.repeat] * len(found)
        return cls(tuple(sources), tuple(repeats))

    def visits(self, store: Store) -> tuple[int, ...]:
        """The places of the images in their store, each as often as it is to be visited."""
        return tuple(
            index
            for index, record in enumerate(store.records)
            for _ in range(self.repeats[self._place(record.source)[0]])
        )

    @property
    def root(self) -> Path | None:
        """None: the stores lie in a folder of their own."""
        return None

    @property
    def classes(self) -> Classes | None:
        """None."""
        return None

    @property
    def labels(self) -> None:
        """None."""

    def entries(self) -> list[Entry]:
        """The images of the sources in turn."""
        several = len(self.sources) > 1
        return [
            replace(
                entry,
                key=f"{number}/{entry.key}" if several else entry.key,
                group=f"{number}/{entry.group}" if several else entry.group,
                mask=None,
                label=None,
            )
            for number, source in enumerate(self.sources)
            for entry in source.entries()
        ]

    def check(self, entries: Sequence[Entry], resources: Resources, *, quiet: bool) -> None:
        """Nothing: there are no masks."""

    def load(self, entry: Entry) -> Loaded:
        """Read and prepare an image."""
        number, key = self._place(entry.key)
        loaded = self.sources[number].load(replace(entry, key=key))
        return replace(loaded, images=[(name, image, None) for name, image, _ in loaded.images])

    def fingerprint(self) -> dict[str, Any]:
        """Those of the sources."""
        return {"kind": "several", "sources": [source.fingerprint() for source in self.sources]}

    def _place(self, key: str) -> tuple[int, str]:
        """The number of an image's source, and its key there."""
        if len(self.sources) == 1:
            return 0, key
        number, _, rest = key.partition("/")
        return int(number), rest


def _stored(source: Source, folder: Path, spec: str, resources: Resources, quiet: bool) -> Store:
    summary = compress_store(source, folder, spec, resources=resources, quiet=quiet)
    if summary.failed:
        raise InputError(
            f"{summary.failed} of {summary.images + summary.failed} images cannot be stored; "
            f"{folder / FAILURES} names them: repair or remove them"
        )
    return open_store(folder)


def _name(spec: str) -> str:
    """A folder's name for a codec: ``bpg-qp=46``."""
    return re.sub(r"[^\w.=]+", "-", spec)
