"""What the codecs of a run achieve, each measured once: ``OUT/measures``, and tables of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ratewise.data.classes import Classes
from ratewise.data.manifest import MANIFEST
from ratewise.data.photographs import SourcePhotographs
from ratewise.data.store import Store
from ratewise.files import fingerprint, read_json, sha256_file, write_atomically, write_json
from ratewise.joint.cells import Cell
from ratewise.joint.coder import JointCoder
from ratewise.joint.measures import (
    ENHANCED_VERSION,
    VERSION,
    FilesPredictor,
    NetworkPredictor,
    measure_maps,
    measure_pictures,
)
from ratewise.joint.network import JointModel
from ratewise.joint.packed import load
from ratewise.tasks.predictor import Predictor

Row = dict[str, Any]

_CODEC = ("variant", "lambda", "seed", "aggregation", "quantisation", "enhancement")
"""Columns of every table: which codec it is, and which of its modules are there."""

_COLUMNS = {
    "segmentation": [*_CODEC, "miou", "pixel_accuracy"],
    "pictures": [
        *(*_CODEC, "images", "bpp", "bpp_semantic", "bpp_image"),
        *("psnr", "ms_ssim_db", "psnr_plain", "ms_ssim_db_plain"),
    ],
}
"""Of tables without rows."""


class Records:
    """The measures of the codecs in ``folder`` on images of ``test``, and on ``pictures``.

    ``count`` images of ``test`` are taken, at even distances (all by default). ``storage`` is that
    of the weights.
    """

    def __init__(
        self,
        folder: Path,
        test: Store,
        classes: Classes,
        pictures: SourcePhotographs,
        *,
        count: int | None,
        storage: str,
    ) -> None:
        self._folder, self._test, self._classes, self._pictures = folder, test, classes, pictures
        self._storage = storage
        there = len(test)
        several = min(count or there, there)
        self._tested = [index * there // several for index in range(several)]

    def known(self, cell: Cell, training: Mapping[str, Any]) -> Row | None:
        """What was measured of the weights that are there; None if that was not done.

        ``training`` is what decided the weights.
        """
        record, weights = self._path(cell, training), cell.weights(self._folder)
        if not record.is_file() or not weights.is_file():
            return None
        found = dict(read_json(record))
        return found if found.get("weights") == sha256_file(weights) else None

    def measure(self, cell: Cell, training: Mapping[str, Any], model: JointModel) -> Row:
        """Measure a codec whose weights are there, or the network itself if it has no files."""
        found: Row = {"weights": sha256_file(cell.weights(self._folder)), "segmentation": {}}
        found |= {"test": {}, "pictures": {}}
        predictor: Predictor = NetworkPredictor(model)
        if cell.architecture.has_bitstream:
            coder = JointCoder(load(cell.weights(self._folder)))
            predictor = FilesPredictor(coder)
            images = [self._test.image(index) for index in self._tested]
            found["test"] = measure_pictures(coder, images)
            if len(self._pictures):
                images = [self._pictures.load(index) for index in range(len(self._pictures))]
                found["pictures"] = measure_pictures(coder, images)
        if cell.architecture.segmentation:
            found["segmentation"] = measure_maps(predictor, self._test, self._classes, self._tested)
        write_json(self._path(cell, training), found)
        return found

    def _path(self, cell: Cell, training: Mapping[str, Any]) -> Path:
        by = {
            "version": VERSION,
            "training": training,
            "images": [sha256_file(self._test.path / MANIFEST), self._tested],
            "pictures": self._pictures.fingerprint() if len(self._pictures) else None,
            "storage": self._storage,
        }
        if cell.architecture.enhancement is not None:
            by["enhanced_version"] = ENHANCED_VERSION
        return self._folder / "measures" / f"{cell.name}-{fingerprint(by)[:8]}.json"


def _codec(cell: Cell) -> tuple[str | float | bool, ...]:
    one = cell.architecture
    modules = (one.aggregation, one.quantisation, one.enhancement is not None)
    return cell.variant, cell.lambda_, cell.seed, *(one.segmentation and has for has in modules)


def write_tables(folder: Path, measured: Sequence[tuple[Cell, Row]]) -> None:
    """Write ``segmentation.csv`` and ``pictures.csv`` of what was measured."""
    import pandas as pd

    rows: dict[str, list[Row]] = {"segmentation": [], "pictures": []}
    for cell, found in measured:
        about = dict(zip(_CODEC, _codec(cell), strict=True))
        if found["segmentation"]:
            rows["segmentation"].append(about | found["segmentation"])
        for name in ("test", "pictures"):
            if found[name]:
                rows["pictures"].append(about | {"images": name} | found[name])
    for name, table in rows.items():
        columns = None if table else _COLUMNS[name]
        text = pd.DataFrame(table, columns=columns).to_csv(index=False, float_format="%.6g")
        write_atomically(folder / f"{name}.csv", text)
