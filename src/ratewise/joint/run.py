"""Training joint codecs: variants by lambdas, each trained, packed and measured.

::

    OUT/stores/train, OUT/stores/val       the data set's images as they are prepared
    OUT/B+Q+A-256.safetensors              a packed codec: joint:weights=FILE
    OUT/B-256-network.safetensors          of a variant without quantisation, the network
    OUT/training/B+Q+A-256-5e6f7a8b        its log
    OUT/measures/B+Q+A-256-1a2b3c4d.json   what it achieves
    OUT/segmentation.csv, pictures.csv     the same as tables
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ratewise import codecs
from ratewise.data.compress import compress_store
from ratewise.data.datasets import open_dataset
from ratewise.data.manifest import MANIFEST
from ratewise.data.photographs import SourcePhotographs, open_photographs
from ratewise.data.sources import DatasetSource
from ratewise.data.store import FAILURES, Store, open_store
from ratewise.errors import InputError
from ratewise.execution import Resources
from ratewise.execution.locks import locked
from ratewise.files import fingerprint, read_json, sha256_file, write_atomically, write_json
from ratewise.joint.architecture import JointArchitecture
from ratewise.joint.coder import JointCoder
from ratewise.joint.measures import (
    VERSION,
    FilesPredictor,
    NetworkPredictor,
    measure_maps,
    measure_pictures,
)
from ratewise.joint.network import JointModel, image_architecture
from ratewise.joint.objective import MutualEnhancement
from ratewise.joint.packed import load, pack
from ratewise.joint.samples import WithPhotographs
from ratewise.joint.settings import JointTrainingSettings
from ratewise.neural.adaptation.unpacking import unpacked
from ratewise.neural.training.objective import CALIBRATION
from ratewise.neural.weights import FORMAT as PACKED
from ratewise.neural.weights import load as load_packed
from ratewise.tasks.samples import StoreSource, collate
from ratewise.tasks.segmentation_settings import SegmentationSettings
from ratewise.tasks.segmentation_task import SegmentationTask
from ratewise.training.loop import fit
from ratewise.training.seeding import Purpose, torch_seed
from ratewise.training.settings import OptimiserSettings
from ratewise.training.weights import apply_weights, load_weights, save_weights

_TRAINING = 1
"""Goes up when a training makes other weights."""

Row = dict[str, Any]

_COLUMNS = {
    "segmentation": ["variant", "lambda", "miou", "pixel_accuracy"],
    "pictures": [
        *("variant", "lambda", "images", "bpp", "bpp_semantic", "bpp_image"),
        *("psnr", "ms_ssim_db", "psnr_plain", "ms_ssim_db_plain"),
    ],
}
"""Of tables without rows."""


@dataclass(frozen=True)
class Cell:
    """One codec to train."""

    variant: str
    lambda_: float
    architecture: JointArchitecture
    start: str | None

    @property
    def name(self) -> str:
        """The beginning of the names of its files."""
        return f"{self.variant}-{self.lambda_:g}"


def cells(settings: JointTrainingSettings) -> list[Cell]:
    """Every codec of the settings, by variant and lambda."""
    return [
        Cell(
            variant.name,
            lambda_,
            variant.of(settings.architecture),
            settings.start_of(lambda_),
        )
        for variant in settings.variants
        for lambda_ in variant.lambdas or settings.lambdas
    ]


def train_joint(
    settings: JointTrainingSettings,
    folder: Path,
    *,
    base: Path = Path(),
    only: Sequence[str] = (),
    quiet: bool = False,
    said: Callable[[str], None] | None = None,
) -> list[Path]:
    """Train and measure the codecs of ``settings``; the files of those that have a bitstream.

    Killed and called again it goes on, and what is finished is not made again: measures count as
    long as they are of the weights that are there. Several processes may share a folder; ``only``
    names the variants of each. Paths in the settings are relative to ``base``. ``said`` is told a
    sentence of each codec. Raises :class:`InputError`, before any training, for images that are
    missing, weights that do not fit, and unknown variants.
    """
    known = [variant.name for variant in settings.variants]
    strange = [name for name in only if name not in known]
    if strange:
        raise InputError(f"{strange[0]!r} is no variant (allowed: {', '.join(known)})")
    run = _Run(settings, folder, base, quiet)
    wanted = [cell for cell in cells(settings) if not only or cell.variant in only]
    for cell in cells(settings):  # the tables are of all of them
        run.check(cell)
    for cell in wanted:
        row = run.measured(cell)
        if said is not None:
            said(_sentence(cell, row))
    run.write_tables()
    return [path for cell in wanted if (path := run.path(cell)).is_file()]


class _Run:
    """What the cells of a run have in common."""

    def __init__(
        self, settings: JointTrainingSettings, folder: Path, base: Path, quiet: bool
    ) -> None:
        self.settings, self.folder, self.base, self.quiet = settings, folder, base, quiet
        self.dataset = open_dataset(settings.data, base)
        if self.dataset.classes is None:
            raise InputError(f"{self.dataset.name}: has no masks, which a joint codec learns from")
        self.classes = self.dataset.classes
        self.photographs = open_photographs(settings.photographs, base)
        self.pictures = open_photographs(settings.pictures, base)
        self.train = self._store(settings.train_split)
        self.test = self._store(settings.test_split)
        count = len(self.test)
        several = min(settings.test_images or count, count)
        self.tested = [index * count // several for index in range(several)]
        self.task = SegmentationTask(
            SegmentationSettings(
                class_weights=settings.class_weights,
                augmentation=settings.augmentation,
                training=settings.training,
            ),
            self.classes,
        )
        self.labelled = StoreSource(
            [self.train], settings.augmentation, form=self.task.form, batched=True
        )

    def path(self, cell: Cell) -> Path:
        """The packed codec."""
        return self.folder / f"{cell.name}.safetensors"

    def _weights(self, cell: Cell) -> Path:
        """What a training leaves: the packed codec, or a network that has no bitstream."""
        if cell.architecture.has_bitstream:
            return self.path(cell)
        return self.folder / f"{cell.name}-network.safetensors"

    def check(self, cell: Cell) -> None:
        """Raise :class:`InputError` for a start that does not fit."""
        with torch.device("meta"):
            JointModel(cell.architecture, len(self.classes))
        self._started(cell)

    def measured(self, cell: Cell) -> Row:
        """What a cell's codec achieves; trained and measured now if it was not."""
        training = self.settings.training
        alone = training.devices * training.nodes == 1  # else its processes must enter together
        lock = locked(self.folder / "training" / f"{cell.name}.lock") if alone else nullcontext()
        with lock:
            found = self._known(cell)
            if found is None:
                model = self._trained(cell)
                found = {"weights": sha256_file(self._weights(cell))}
                found |= {"segmentation": self._maps(cell, model), **self._pictured(cell)}
                write_json(self._record(cell), found)
        return found

    def _known(self, cell: Cell) -> Row | None:
        """What was measured of the weights that are there; None if that was not done."""
        record, weights = self._record(cell), self._weights(cell)
        if not record.is_file() or not weights.is_file():
            return None
        found = dict(read_json(record))
        return found if found.get("weights") == sha256_file(weights) else None

    def write_tables(self) -> None:
        """``segmentation.csv`` and ``pictures.csv``, of all that was measured."""
        import pandas as pd

        rows: dict[str, list[Row]] = {"segmentation": [], "pictures": []}
        for cell in cells(self.settings):
            found = self._known(cell)
            if found is None:
                continue
            about = {"variant": cell.variant, "lambda": cell.lambda_}
            if found["segmentation"]:
                rows["segmentation"].append(about | found["segmentation"])
            for name in ("test", "pictures"):
                if found[name]:
                    rows["pictures"].append(about | {"images": name} | found[name])
        for name, table in rows.items():
            columns = None if table else _COLUMNS[name]
            text = pd.DataFrame(table, columns=columns).to_csv(index=False, float_format="%.6g")
            write_atomically(self.folder / f"{name}.csv", text)

    # ----- training -----------------------------------------------------------------------------

    def _trained(self, cell: Cell) -> JointModel:
        settings = self.settings
        model = self._initial(cell)
        source: Any = self.labelled
        if len(self.photographs):
            source = WithPhotographs(self.labelled, self.photographs, settings.augmentation)
        loss = self.task.loss(self.labelled)
        objective = MutualEnhancement(
            model,
            cell.lambda_,
            settings.loss,
            loss,
            settings.optimiser,
            OptimiserSettings(kind="adam", lr=settings.quantile_lr),
            image_lr_scale=settings.image_lr_scale,
        )
        fit(
            objective,
            source,
            settings.training,
            self.folder / "training" / f"{cell.name}-{fingerprint(self._identity(cell))[:8]}",
            collate=collate,
            identity=self._identity(cell),
            title=cell.name,
            quiet=self.quiet,
        )
        model = model.cpu().eval()
        if cell.architecture.has_bitstream:
            header = {
                "name": f"{settings.name} {cell.name}",
                "lambda": cell.lambda_,
                "data": self.dataset.name,
                "settings": fingerprint(self._identity(cell)),
            }
            calibration = [self.train.image(i) for i in range(min(CALIBRATION, len(self.train)))]
            half = settings.storage == "fp16"
            pack(model, self.classes, calibration, header, half=half).save(self.path(cell))
        else:
            save_weights(
                self._weights(cell),
                model,
                {"architecture": cell.architecture.to_json()},
            )
        return model

    def _initial(self, cell: Cell) -> JointModel:
        seed = torch_seed(Purpose.STEP, self.settings.training.seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = JointModel(cell.architecture, len(self.classes))
        state = self._started(cell)
        if state is not None:
            model.image.load_state_dict(state)
        return model

    def _started(self, cell: Cell) -> Mapping[str, Any] | None:
        """The weights that the image's codec starts from."""
        if cell.start is None:
            return None
        path, wanted = self._start_path(cell.start), image_architecture(cell.architecture)
        tensors, header = load_weights(path)
        if header.get("format") == PACKED:
            packed = load_packed(path)
            if packed.architecture != wanted:
                raise InputError(
                    f"start = {cell.start}: is {packed.architecture.kind} with N = "
                    f"{packed.architecture.N}, M = {packed.architecture.M}; the architecture here "
                    f"has N = {wanted.N}, M = {wanted.M}"
                )
            return unpacked(packed).state_dict()
        model = wanted.build()
        apply_weights(model, tensors, f"start = {cell.start}")
        return model.state_dict()

    def _start_path(self, start: str) -> Path:
        if start == "msh" or start.startswith("msh:"):
            path: Path = codecs.codec(start).path  # type: ignore[attr-defined]
            return path
        return self.base / start

    def _identity(self, cell: Cell) -> dict[str, Any]:
        """What decides the weights, beside the settings of the loop."""
        settings = self.settings
        start = None if cell.start is None else sha256_file(self._start_path(cell.start))
        keys = ("loss", "class_weights", "augmentation", "optimiser", "quantile_lr")
        return {
            "version": _TRAINING,
            "architecture": cell.architecture.to_json(),
            "lambda": cell.lambda_,
            "start": start,
            "image_lr_scale": settings.image_lr_scale,
            "images": sha256_file(self.train.path / MANIFEST),
            "photographs": self.photographs.fingerprint() if len(self.photographs) else None,
            "settings": settings.model_dump(mode="json", include=set(keys)),
            "training": settings.training.deciding(),
        }

    # ----- measuring ----------------------------------------------------------------------------

    def _record(self, cell: Cell) -> Path:
        by = {
            "version": VERSION,
            "training": self._identity(cell),
            "images": [sha256_file(self.test.path / MANIFEST), self.tested],
            "pictures": self.pictures.fingerprint() if len(self.pictures) else None,
            "storage": self.settings.storage,
        }
        return self.folder / "measures" / f"{cell.name}-{fingerprint(by)[:8]}.json"

    def _maps(self, cell: Cell, model: JointModel) -> Row:
        if not cell.architecture.segmentation:
            return {}
        predictor: Any = NetworkPredictor(model)
        if cell.architecture.has_bitstream:
            predictor = FilesPredictor(self._coder(cell))
        return measure_maps(predictor, self.test, self.classes, self.tested)

    def _pictured(self, cell: Cell) -> dict[str, Row]:
        if not cell.architecture.has_bitstream:
            return {"test": {}, "pictures": {}}
        coder = self._coder(cell)
        images = [self.test.image(index) for index in self.tested]
        return {
            "test": measure_pictures(coder, images),
            "pictures": self._of_photographs(coder, self.pictures),
        }

    def _of_photographs(self, coder: JointCoder, photographs: SourcePhotographs) -> Row:
        if not len(photographs):
            return {}
        images = [photographs.load(index) for index in range(len(photographs))]
        return measure_pictures(coder, images)

    def _coder(self, cell: Cell) -> JointCoder:
        return JointCoder(load(self.path(cell)))

    def _store(self, split: str) -> Store:
        """A split as it is prepared, losslessly."""
        stored = self.folder / "stores" / split
        source = DatasetSource(self.dataset, split, self.settings.prepare)
        with locked(self.folder / "stores" / f"{split}.lock"):  # another process may make it, too
            summary = compress_store(
                source, stored, "png", resources=Resources(1), quiet=self.quiet
            )
        if summary.failed:
            raise InputError(
                f"{summary.failed} of {summary.images + summary.failed} images cannot be stored; "
                f"{stored / FAILURES} names them: repair or remove them"
            )
        return open_store(stored)


def _sentence(cell: Cell, row: Row) -> str:
    found = []
    if row["segmentation"]:
        found.append(f"mIoU {100 * row['segmentation']['miou']:.1f}")
    if row["test"]:
        one = row["test"]
        found.append(f"{one['bpp']:.3f} bpp ({one['bpp_semantic']:.3f} semantic)")
        found.append(f"PSNR {one['psnr']:.2f} dB (plain {one['psnr_plain']:.2f})")
    return f"{cell.name}: {', '.join(found)}"
