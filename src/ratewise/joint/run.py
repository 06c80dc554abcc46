"""Training joint codecs: variants by lambdas and seeds, each trained, packed and measured.

::

    OUT/stores/train, OUT/stores/val       the data set's images as they are prepared
    OUT/B+Q+A-256.safetensors              a packed codec: joint:weights=FILE
    OUT/B+Q+A-seed1-256.safetensors        the same with another seed than training.seed
    OUT/B-256-network.safetensors          of a variant without quantisation, the network
    OUT/training/B+Q+A-256-5e6f7a8b        its log
    OUT/training/semantic-9c0d1e2f         that of the semantic halves that several start from
    OUT/measures/B+Q+A-256-1a2b3c4d.json   what it achieves
    OUT/segmentation.csv, pictures.csv     the same as tables
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from ratewise.data.compress import compress_store
from ratewise.data.datasets import open_dataset
from ratewise.data.photographs import open_photographs
from ratewise.data.sources import DatasetSource
from ratewise.data.store import FAILURES, Store, open_store
from ratewise.errors import InputError
from ratewise.execution import Resources
from ratewise.execution.locks import locked, shared_out
from ratewise.files import fingerprint
from ratewise.joint.cells import Cell, cells
from ratewise.joint.network import JointModel
from ratewise.joint.packed import pack
from ratewise.joint.records import Records, Row, write_tables
from ratewise.joint.settings import JointTrainingSettings
from ratewise.joint.trainings import Trainings
from ratewise.neural.training.objective import CALIBRATION
from ratewise.training.weights import save_weights


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
        self.settings, self.folder, self.quiet = settings, folder, quiet
        self.dataset = open_dataset(settings.data, base)
        if self.dataset.classes is None:
            raise InputError(f"{self.dataset.name}: has no masks, which a joint codec learns from")
        self.classes = self.dataset.classes
        self.train = self._store(settings.train_split)
        self.trainings = Trainings(
            settings,
            folder / "training",
            base,
            self.train,
            self.classes,
            open_photographs(settings.photographs, base),
            quiet=quiet,
        )
        self.records = Records(
            folder,
            self._store(settings.test_split),
            self.classes,
            open_photographs(settings.pictures, base),
            count=settings.test_images,
            storage=settings.storage,
        )

    def check(self, cell: Cell) -> None:
        """Raise :class:`InputError` for a start that does not fit."""
        self.trainings.check(cell)

    def known(self, cell: Cell) -> Row | None:
        """What was measured of a cell's codec, if it was."""
        return self.records.known(cell, self.trainings.identity(cell))

    def measured(self, cell: Cell) -> Row:
        """What a cell's codec achieves; trained and measured now if it was not."""
        found = self.known(cell)
        if found is not None:
            return found
        model = self.trainings.model(cell)
        self._save(cell, model)
        return self.records.measure(cell, self.trainings.identity(cell), model)

    def _save(self, cell: Cell, model: JointModel) -> None:
        """Write the packed codec, or the network of a variant that has no bitstream."""
        settings, weights = self.settings, cell.weights(self.folder)
        if not cell.architecture.has_bitstream:
            save_weights(weights, model, {"architecture": cell.architecture.to_json()})
            return
        header = {
            "name": f"{settings.name} {cell.name}",
            "lambda": cell.lambda_,
            "data": self.dataset.name,
            "settings": fingerprint(self.trainings.identity(cell)),
        }
        calibration = [self.train.image(i) for i in range(min(CALIBRATION, len(self.train)))]
        half = settings.storage == "fp16"
        pack(model, self.classes, calibration, header, half=half).save(weights)

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
