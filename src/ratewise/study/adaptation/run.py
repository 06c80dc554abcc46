"""Running a comparison of adaptations: train what is missing, measure what is missing.

::

    OUT/adaptations/camvid-cawf-100-q3-1a2b3c4d.safetensors    an adaptation; beside it the folder
                                                               of its training's log
    OUT/cells/camvid-cawf-100-q3-5e6f7a8b.json                 what was measured of it
    OUT/cells/source-q3-9c0d1e2f.json                          of the source codec
    OUT/points.csv, bdrate.csv, forgetting.csv, adaptations.csv

The digits at a name's end say what decides the content, so whatever is there is right, and is not
made again. Changed settings leave what was made before alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from ratewise.data.photographs import (
    KeptPhotographs,
    SourcePhotographs,
    open_photographs,
    some_of,
    spread_over,
)
from ratewise.errors import InputError
from ratewise.execution.locks import shared_out
from ratewise.files import fingerprint, read_json, write_json
from ratewise.images import Image
from ratewise.neural.adaptation.adaptation import Adaptation, load_adaptation
from ratewise.neural.adaptation.run import adapt, added_parameters
from ratewise.neural.adaptation.unpacking import unpacked
from ratewise.neural.models import CompressionModel
from ratewise.neural.training.settings import ImagesSettings
from ratewise.neural.weights import PackedModel, load
from ratewise.study.adaptation.measures import VERSION, Record, SourceOn, measure
from ratewise.study.adaptation.pictures import Sheet, sheets
from ratewise.study.adaptation.settings import Cell, ForgettingSettings
from ratewise.study.adaptation.tables import SOURCE, Comparison, make_tables
from ratewise.training.checkpoint import NAME as CHECKPOINT
from ratewise.training.pixel_cache import PixelCache

_TRAINING = {"cawf": 3, "cawf_maps": 2, "low_rank": 1, "finetune": 1}
"""Of each way; goes up when :func:`ratewise.neural.adaptation.run.adapt` makes other weights."""

_KEPT_BYTES = 512 << 20
"""Of training images in memory."""


def run_forgetting(
    settings: ForgettingSettings,
    folder: Path,
    *,
    base: Path = Path(),
    only: Sequence[str] = (),
    train: bool = True,
    quiet: bool = False,
    said: Callable[[str], None] | None = None,
    drawn: Callable[[Mapping[str, Sheet]], Any] | None = None,
) -> Comparison:
    """Make and measure every adaptation of ``settings``, and write the tables into ``folder``.

    Killed and called again it goes on, and several processes may share a folder. Paths in the
    settings are relative to ``base``. ``only`` names targets: those of the others are not made
    now; what is there of them is in the tables. Without ``train`` nothing is made: the tables are
    of what is there. ``said`` is told a sentence of each cell, ``drawn`` given pictures of each
    target, as far as the files of adaptations are there.
    Raises :class:`InputError`, before any work, for images or weights that are missing or too few,
    and sources that cannot be adapted.
    """
    run = _Run(settings, folder, base, quiet)
    strange = [name for name in only if name not in run.targets]
    if strange:
        raise InputError(f"{strange[0]!r} is no target (allowed: {', '.join(run.targets)})")
    cells = settings.cells()
    wanted = [cell for cell in cells if train and (not only or cell.target in only)]
    for cell in shared_out(wanted, lambda cell: folder / "locks" / f"{cell.name}.lock"):
        source, record = run.source_record(cell.quality), run.measured(cell)
        if said is not None:
            number = wanted.index(cell) + 1
            said(f"{number}/{len(wanted)} {_sentence(cell, record, source)}")
    known = [(cell, run.known(cell)) for cell in cells]
    found = [(cell, record) for cell, record in known if record is not None]
    sources = {quality: run.source_record(quality) for quality in settings.all_qualities}
    result = make_tables(settings, found, sources)
    result.save(folder)
    if drawn is not None:
        for target in only or run.targets:
            drawn(run.sheets(target, cells))
    return result


class _Run:
    """What the cells of a comparison have in common."""

    def __init__(self, settings: ForgettingSettings, folder: Path, base: Path, quiet: bool) -> None:
        self.folder, self.quiet, self.seed = folder, quiet, settings.seed
        self.models = {q: _loaded(path) for q, path in settings.sources(base).items()}
        self.targets = {one.name: open_photographs(one.train, base) for one in settings.targets}
        self.tests = {one.name: _tests(one.test, one.test_images, base) for one in settings.targets}
        images = settings.source_images
        self.tests[SOURCE] = _tests(images.test, images.test_images, base)
        for cell in settings.cells():
            self._check(cell)
        self._images = lru_cache(maxsize=None)(self._load)
        # All domains of one quality: cells come quality by quality
        self._on = lru_cache(maxsize=len(self.tests))(self._source_on)

    # ----- what decides -------------------------------------------------------------------------

    def trained_by(self, cell: Cell) -> dict[str, Any]:
        """What decides the weights of a cell's adaptation."""
        source = self.models[cell.quality]
        return {
            "version": _TRAINING[cell.settings.way],
            "source": source.fingerprint.hex(),
            "trained_for": [source.header.get(key) for key in ("lambda", "distortion")],
            "images": some_of(self.targets[cell.target], cell.images, self.seed).fingerprint(),
            "settings": cell.settings.deciding(),
        }

    def measured_by(self, quality: int, domains: Sequence[str]) -> dict[str, Any]:
        """What decides what is measured of a codec of ``quality`` on ``domains``."""
        source = self.models[quality]
        return {
            "version": VERSION,
            "source": source.fingerprint.hex(),
            "trained_for": [source.header.get(key) for key in ("lambda", "distortion")],
            "images": {name: self.tests[name].fingerprint() for name in domains},
        }

    def path(self, cell: Cell) -> Path:
        """Where a cell's adaptation lies."""
        digits = fingerprint(self.trained_by(cell))[:8]
        return self.folder / "adaptations" / f"{cell.name}-{digits}.safetensors"

    def record_path(self, cell: Cell) -> Path:
        """Where what was measured of a cell lies."""
        by = self.measured_by(cell.quality, (cell.target, SOURCE))
        digits = fingerprint({"training": self.trained_by(cell), "measures": by})[:8]
        return self.folder / "cells" / f"{cell.name}-{digits}.json"

    def source_path(self, quality: int) -> Path:
        """Where what was measured of a source lies."""
        digits = fingerprint(self.measured_by(quality, tuple(self.tests)))[:8]
        return self.folder / "cells" / f"{SOURCE}-q{quality}-{digits}.json"

    # ----- work ---------------------------------------------------------------------------------

    def known(self, cell: Cell) -> Record | None:
        """What was measured of a cell, if it was."""
        path = self.record_path(cell)
        return dict(read_json(path)) if path.is_file() else None

    def measured(self, cell: Cell) -> Record:
        """What is measured of a cell; trained and measured now if it was not."""
        known = self.known(cell)
        if known is not None:
            return known
        adaptation, path = self._adapted(cell), self.path(cell)
        source = self.models[cell.quality]
        parameters = added_parameters(source, cell.settings)
        record = {
            "file": path.relative_to(self.folder).as_posix(),
            "file_bytes": path.stat().st_size,
            "fingerprint": adaptation.fingerprint.hex(),
            "parameters": parameters,
            "size": parameters / _parameters(source),
            "about": dict(adaptation.about),
            "target": measure(adaptation, self._on(cell.quality, cell.target)),
            "source": measure(adaptation, self._on(cell.quality, SOURCE)),
        }
        write_json(self.record_path(cell), record)
        return record

    def source_record(self, quality: int) -> Mapping[str, list[Record]]:
        """Records of the source codec on each domain, by the domain's name."""
        path = self.source_path(quality)
        if not path.is_file():
            write_json(path, {name: self._on(quality, name).records for name in self.tests})
        return dict(read_json(path))

    def sheets(self, target: str, cells: Sequence[Cell]) -> dict[str, Sheet]:
        """What the adaptations to a target do at one quality; none where their files are not there.

        The quality is the one that most ways were tried at, of each way the adaptation to the most
        images.
        """
        there = [one for one in cells if one.target == target and self.path(one).is_file()]
        tried = [quality for quality, _ in {(one.quality, one.label): None for one in there}]
        quality = max(tried, key=lambda one: (tried.count(one), one), default=None)
        if quality is None:
            return {}
        own = sorted((one for one in there if one.quality == quality), key=lambda one: one.images)
        latest = {one.label: one for one in own}
        return sheets(
            target,
            self.models[quality],
            {cell.label: load_adaptation(self.path(cell)) for cell in latest.values()},
            self._images(target)[0],
            self._images(SOURCE)[0],
        )

    def _adapted(self, cell: Cell) -> Adaptation:
        path = self.path(cell)
        if not path.is_file():
            work = path.with_suffix("")
            chosen = some_of(self.targets[cell.target], cell.images, self.seed)
            made = adapt(
                self.models[cell.quality],
                KeptPhotographs(chosen, PixelCache(_KEPT_BYTES)),
                cell.settings,
                work,
                name=cell.adaptation,
                quiet=self.quiet,
            )
            made.save(path)
            (work / CHECKPOINT).unlink(missing_ok=True)  # of no use any more, and large
        return load_adaptation(path)

    def _source_on(self, quality: int, domain: str) -> SourceOn:
        return SourceOn(self.models[quality], self._images(domain))

    def _load(self, domain: str) -> list[Image]:
        photographs = self.tests[domain]
        return [photographs.load(index) for index in range(len(photographs))]

    def _check(self, cell: Cell) -> None:
        available = len(self.targets[cell.target])
        if cell.images > available:
            raise InputError(
                f"{cell.label}: {cell.images} images of {cell.target} are wanted, and there are "
                f"{available}"
            )
        if not added_parameters(self.models[cell.quality], cell.settings):
            raise InputError(
                f"{cell.label}: size = {cell.settings.size:g} adds nothing to so small a codec"
            )


def _tests(images: Sequence[ImagesSettings], count: int | None, base: Path) -> SourcePhotographs:
    found = open_photographs(images, base)
    return found if count is None else spread_over(found, count)


def _loaded(path: Path) -> PackedModel:
    """A source that can be adapted."""
    model = load(path)
    try:
        unpacked(model)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    if not model.header.get("lambda"):
        raise InputError(f"{path}: does not say the lambda that it was trained for")
    return model


def _parameters(source: PackedModel) -> int:
    import torch

    with torch.device("meta"):
        return sum(p.numel() for p in CompressionModel(source.architecture).parameters())


def _sentence(cell: Cell, record: Record, source: Mapping[str, list[Record]]) -> str:
    """How lambda D + R changed on both domains."""
    changes = []
    for domain, name in (("target", cell.target), ("source", SOURCE)):
        after, before = (
            sum(one["cost"] for one in rows) for rows in (record[domain]["coded"], source[name])
        )
        changes.append(f"{100 * (after / before - 1):+.1f} % on {name}")
    return f"{cell.name}: lambda D + R {', '.join(changes)}"
