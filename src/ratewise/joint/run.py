"""Training joint codecs: variants by lambdas, each trained, packed and measured.

::

    OUT/stores/train, OUT/stores/val       the data set's images as they are prepared
    OUT/B+Q+A-256.safetensors              a packed codec: joint:weights=FILE
    OUT/B-256-network.safetensors          of a variant without quantisation, the network
    OUT/training/B+Q+A-256-5e6f7a8b        its log
    OUT/training/semantic-9c0d1e2f         that of the semantic halves that several start from
    OUT/measures/B+Q+A-256-1a2b3c4d.json   what it achieves
    OUT/segmentation.csv, pictures.csv     the same as tables
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ratewise import codecs
from ratewise.data.compress import compress_store
from ratewise.data.datasets import open_dataset
from ratewise.data.manifest import MANIFEST
from ratewise.data.photographs import open_photographs
from ratewise.data.sources import DatasetSource
from ratewise.data.store import FAILURES, Store, open_store
from ratewise.errors import InputError
from ratewise.execution import Resources
from ratewise.execution.locks import locked, shared_out
from ratewise.files import fingerprint, sha256_file
from ratewise.joint.architecture import JointArchitecture
from ratewise.joint.cells import Cell, cells
from ratewise.joint.network import JointModel, image_architecture
from ratewise.joint.objective import MutualEnhancement
from ratewise.joint.packed import pack
from ratewise.joint.records import Records, Row, write_tables
from ratewise.joint.samples import WithPhotographs
from ratewise.joint.semantic_half import SemanticFirst, SemanticHalf
from ratewise.joint.settings import JointTrainingSettings, SemanticFirstSettings
from ratewise.neural.adaptation.unpacking import unpacked
from ratewise.neural.training.objective import CALIBRATION
from ratewise.neural.training.run import starting_weights
from ratewise.neural.weights import FORMAT as PACKED
from ratewise.neural.weights import load as load_packed
from ratewise.tasks.samples import StoreSource, collate
from ratewise.tasks.segmentation_settings import SegmentationSettings
from ratewise.tasks.segmentation_task import SegmentationTask
from ratewise.training.header import read_header
from ratewise.training.loop import fit
from ratewise.training.seeding import Purpose, torch_seed
from ratewise.training.settings import OptimiserSettings
from ratewise.training.weights import save_weights

_TRAINING = 3
"""Goes up when a training makes other weights."""


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
    long as they are of the weights that are there. Several processes may share a folder. ``only``
    names variants: the others are not made now. Paths in the settings are relative to ``base``.
    ``said`` is told a sentence of each codec. Raises :class:`InputError`, before any training, for
    images that are missing, weights that do not fit, and unknown variants.
    """
    known = [variant.name for variant in settings.variants]
    strange = [name for name in only if name not in known]
    if strange:
        raise InputError(f"{strange[0]!r} is no variant (allowed: {', '.join(known)})")
    run = _Run(settings, folder, base, quiet)
    every = cells(settings)
    for cell in every:  # the tables are of all of them
        run.check(cell)
    wanted = [cell for cell in every if not only or cell.variant in only]
    training = settings.training
    alone = training.devices * training.nodes == 1  # else its processes must enter together
    locks = folder / "training"
    for cell in shared_out(wanted, lambda c: locks / f"{c.name}.lock") if alone else wanted:
        row = run.measured(cell)
        if said is not None:
            said(_sentence(cell, row))
    known_now = [(cell, run.known(cell)) for cell in every]
    write_tables(folder, [(cell, row) for cell, row in known_now if row is not None])
    return [cell.weights(folder) for cell in wanted if cell.architecture.has_bitstream]


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
        self.train = self._store(settings.train_split)
        self.records = Records(
            folder,
            self._store(settings.test_split),
            self.classes,
            open_photographs(settings.pictures, base),
            count=settings.test_images,
            storage=settings.storage,
        )
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

    def check(self, cell: Cell) -> None:
        """Raise :class:`InputError` for a start that does not fit."""
        with torch.device("meta"):
            JointModel(cell.architecture, len(self.classes))
        self._started(cell)

    def known(self, cell: Cell) -> Row | None:
        """What was measured of a cell's codec, if it was."""
        return self.records.known(cell, self._identity(cell))

    def measured(self, cell: Cell) -> Row:
        """What a cell's codec achieves; trained and measured now if it was not."""
        found = self.known(cell)
        if found is not None:
            return found
        return self.records.measure(cell, self._identity(cell), self._trained(cell))

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
            self._quantile_optimiser,
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
        model, weights = model.cpu().eval(), cell.weights(self.folder)
        if cell.architecture.has_bitstream:
            header = {
                "name": f"{settings.name} {cell.name}",
                "lambda": cell.lambda_,
                "data": self.dataset.name,
                "settings": fingerprint(self._identity(cell)),
            }
            calibration = [self.train.image(i) for i in range(min(CALIBRATION, len(self.train)))]
            half = settings.storage == "fp16"
            pack(model, self.classes, calibration, header, half=half).save(
                cell.weights(self.folder)
            )
        else:
            header = {"architecture": cell.architecture.to_json()}
            save_weights(weights, model, header)
        return model

    def _initial(self, cell: Cell) -> JointModel:
        model = self._built(cell.architecture)
        state = self._started(cell)
        if state is not None:
            model.image.load_state_dict(state)
        if self.settings.semantic_first is not None and cell.architecture.segmentation:
            half = self._semantic_half(cell, self.settings.semantic_first, model.image.state_dict())
            for name, part in half.items():
                own = getattr(model, name)
                if own is not None:  # a model without quantisation has no entropy model of s
                    own.load_state_dict(part.state_dict())
        return model

    def _built(self, architecture: JointArchitecture) -> JointModel:
        """A network with random weights that follow from the seed."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(torch_seed(Purpose.STEP, self.settings.training.seed))
            return JointModel(architecture, len(self.classes))

    def _semantic_half(
        self, cell: Cell, first: SemanticFirstSettings, image: Mapping[str, Any]
    ) -> dict[str, nn.Module]:
        """The parts of the semantic half by their names, trained alone now if they were not.

        Cells that would learn the same share it, and wait for the one that is at it: those that
        differ in the quantisation or the enhancement module alone.
        """
        bare = cell.architecture.model_copy(update={"enhancement": None, "quantisation": True})
        model = self._built(bare)
        model.image.load_state_dict(image)
        half, training = SemanticHalf(model), self.settings.training
        keys = {"loss", "class_weights", "augmentation", "quantile_lr"}
        identity = {
            "version": _TRAINING,
            "architecture": bare.to_json(),
            "start": self._start_digest(cell),
            "images": sha256_file(self.train.path / MANIFEST),
            "settings": self.settings.model_dump(mode="json", include=keys),
            "seed": self.settings.training.seed,
            **self._first(),
        }
        folder = self.folder / "training" / f"semantic-{fingerprint(identity)[:8]}"
        together = {"devices": training.devices, "nodes": training.nodes}
        alone = training.devices * training.nodes == 1
        with locked(folder.with_suffix(".lock")) if alone else nullcontext():
            fit(
                SemanticFirst(
                    half,
                    self.settings.loss,
                    self.task.loss(self.labelled),
                    first.optimiser,
                    self._quantile_optimiser,
                ),
                self.labelled,
                first.training.model_copy(update=together),
                folder,
                collate=collate,
                identity=identity,
                title=f"{cell.name}, semantic half",
                quiet=self.quiet,
            )
        model.cpu()
        return half.parts()

    def _started(self, cell: Cell) -> Mapping[str, Any] | None:
        """The weights that the image's codec starts from."""
        if cell.start is None:
            return None
        path, wanted = self._start_path(cell.start), image_architecture(cell.architecture)
        if path.suffix != ".safetensors" or read_header(path).get("format") != PACKED:
            return starting_weights(path, wanted)
        packed = load_packed(path)
        if packed.architecture != wanted:
            raise InputError(
                f"start = {cell.start}: is {packed.architecture.kind} with N = "
                f"{packed.architecture.N}, M = {packed.architecture.M}; the architecture here "
                f"has N = {wanted.N}, M = {wanted.M}"
            )
        return unpacked(packed).state_dict()

    def _start_path(self, start: str) -> Path:
        if start == "msh" or start.startswith("msh:"):
            path: Path = codecs.codec(start).path  # type: ignore[attr-defined]
            return path
        return self.base / start

    def _start_digest(self, cell: Cell) -> str | None:
        return None if cell.start is None else sha256_file(self._start_path(cell.start))

    @property
    def _quantile_optimiser(self) -> OptimiserSettings:
        return OptimiserSettings(kind="adam", lr=self.settings.quantile_lr)

    def _identity(self, cell: Cell) -> dict[str, Any]:
        """What decides the weights, beside the settings of the loop."""
        settings = self.settings
        keys = {"loss", "class_weights", "augmentation", "optimiser", "quantile_lr"}
        return {
            "version": _TRAINING,
            "architecture": cell.architecture.to_json(),
            "lambda": cell.lambda_,
            "start": self._start_digest(cell),
            "image_lr_scale": settings.image_lr_scale,
            "images": sha256_file(self.train.path / MANIFEST),
            "photographs": self.photographs.fingerprint() if len(self.photographs) else None,
            "settings": settings.model_dump(mode="json", include=keys),
            "training": settings.training.deciding(),
            **self._first(),
        }

    def _first(self) -> dict[str, Any]:
        """What the phase before all learn together adds to what decides the weights."""
        first = self.settings.semantic_first
        if first is None:
            return {}
        by = [first.optimiser.model_dump(mode="json"), first.training.deciding()]
        return {"semantic_first": by}

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
