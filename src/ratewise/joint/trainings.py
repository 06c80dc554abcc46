"""The trainings of a joint codec, one after the other, each in a folder of its own.

::

    the image's codec (start)  ──┐
    the semantic half, alone   ──┴── everything together ── the enhancement module, alone

What comes first and last is left out where the settings have no phase for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ratewise import codecs
from ratewise.data.classes import Classes
from ratewise.data.manifest import MANIFEST
from ratewise.data.photographs import SourcePhotographs
from ratewise.data.store import Store
from ratewise.errors import InputError
from ratewise.execution.locks import locked
from ratewise.files import fingerprint, sha256_file
from ratewise.joint.architecture import JointArchitecture
from ratewise.joint.cells import Cell
from ratewise.joint.enhancement_last import EnhancementLast
from ratewise.joint.network import JointModel, image_architecture
from ratewise.joint.objective import MutualEnhancement
from ratewise.joint.samples import WithPhotographs
from ratewise.joint.semantic_half import SemanticFirst, SemanticHalf
from ratewise.joint.settings import JointTrainingSettings, PhaseSettings
from ratewise.neural.adaptation.unpacking import unpacked
from ratewise.neural.training.run import starting_weights
from ratewise.neural.weights import FORMAT as PACKED
from ratewise.neural.weights import load as load_packed
from ratewise.tasks.samples import StoreSource, collate
from ratewise.tasks.segmentation_settings import SegmentationSettings
from ratewise.tasks.segmentation_task import SegmentationTask
from ratewise.training.header import read_header
from ratewise.training.loop import fit
from ratewise.training.objective import Objective
from ratewise.training.seeding import Purpose, torch_seed
from ratewise.training.settings import OptimiserSettings, TrainingSettings

_TRAINING = 3
"""Goes up when a training makes other weights."""

_ENHANCING = 2
"""The same, for what has an enhancement module."""


class Trainings:
    """Trains the codecs of ``settings`` on the store ``train`` and on ``photographs``.

    Logs and checkpoints are in ``folder``; ``base`` is what paths in the settings are relative to.
    """

    def __init__(
        self,
        settings: JointTrainingSettings,
        folder: Path,
        base: Path,
        train: Store,
        classes: Classes,
        photographs: SourcePhotographs,
        *,
        quiet: bool,
    ) -> None:
        self.settings, self.folder, self.base = settings, folder, base
        self.train, self.classes, self.photographs = train, classes, photographs
        self.quiet = quiet
        task = SegmentationTask(
            SegmentationSettings(
                class_weights=settings.class_weights,
                augmentation=settings.augmentation,
                training=settings.training,
            ),
            classes,
        )
        self.labelled = StoreSource([train], settings.augmentation, form=task.form, batched=True)
        self.task = task

    def check(self, cell: Cell) -> None:
        """Raise :class:`InputError` for a start that does not fit."""
        with torch.device("meta"):
            JointModel(cell.architecture, len(self.classes))
        self._started(cell)

    def model(self, cell: Cell) -> JointModel:
        """The network of a cell, on the CPU and in ``eval()``; trained now as far as it was not."""
        settings = self.settings
        model = self._initial(cell)
        source: Any = self.labelled
        if len(self.photographs):
            source = WithPhotographs(self.labelled, self.photographs, settings.augmentation)
        together = MutualEnhancement(
            model,
            cell.lambda_,
            settings.loss,
            self.task.loss(self.labelled),
            settings.optimiser,
            self._quantile_optimiser,
            image_lr_scale=settings.image_lr_scale,
        )
        self._fit(together, source, settings.training, cell, self._together(cell), cell.name)
        last = self._last(cell)
        if last is not None:
            module = EnhancementLast(model, cell.lambda_, last.optimiser)
            title = f"{cell.name}, enhancement"
            self._fit(module, source, self._alike(last), cell, self.identity(cell), title)
        return model.cpu().eval()

    def identity(self, cell: Cell) -> dict[str, Any]:
        """What decides the weights of a cell's network (JSON-able)."""
        last, before = self._last(cell), self._together(cell)
        return before if last is None else {**before, "enhancement_last": _deciding(last, cell)}

    # ----- one phase ----------------------------------------------------------------------------

    def _initial(self, cell: Cell) -> JointModel:
        model = self._built(cell.architecture, cell.seed)
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

    def _built(self, architecture: JointArchitecture, seed: int) -> JointModel:
        """A network with random weights that follow from the seed."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(torch_seed(Purpose.STEP, seed))
            return JointModel(architecture, len(self.classes))

    def _semantic_half(
        self, cell: Cell, first: PhaseSettings, image: Mapping[str, Any]
    ) -> dict[str, nn.Module]:
        """The parts of the semantic half by their names, trained alone now if they were not.

        Cells that would learn the same share it, and wait for the one that is at it: those that
        differ in the quantisation or the enhancement module alone.
        """
        bare = cell.architecture.model_copy(update={"enhancement": None, "quantisation": True})
        model = self._built(bare, cell.seed)
        model.image.load_state_dict(image)
        half, training = SemanticHalf(model), self.settings.training
        keys = {"loss", "class_weights", "augmentation", "quantile_lr"}
        identity = {
            "version": _TRAINING,
            "architecture": bare.to_json(),
            "start": self._start_digest(cell),
            "images": sha256_file(self.train.path / MANIFEST),
            "settings": self.settings.model_dump(mode="json", include=keys),
            "seed": cell.seed,
            **self._first(cell),
        }
        folder = self.folder / f"semantic-{fingerprint(identity)[:8]}"
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
                _seeded(self._alike(first), cell),
                folder,
                collate=collate,
                identity=identity,
                title=f"{cell.name}, semantic half",
                quiet=self.quiet,
            )
        model.cpu()
        return half.parts()

    def _fit(
        self,
        objective: Objective,
        source: Any,
        training: TrainingSettings,
        cell: Cell,
        identity: Mapping[str, Any],
        title: str,
    ) -> None:
        """Train for a cell, in a folder of the training's own."""
        fit(
            objective,
            source,
            _seeded(training, cell),
            self.folder / f"{cell.name}-{fingerprint(identity)[:8]}",
            collate=collate,
            identity=identity,
            title=title,
            quiet=self.quiet,
        )

    def _alike(self, phase: PhaseSettings) -> TrainingSettings:
        """The training of a phase, on as many devices as that of all."""
        training = self.settings.training
        together = {"devices": training.devices, "nodes": training.nodes}
        return phase.training.model_copy(update=together)

    @property
    def _quantile_optimiser(self) -> OptimiserSettings:
        return OptimiserSettings(kind="adam", lr=self.settings.quantile_lr)

    # ----- what decides the weights ---------------------------------------------------------------

    def _together(self, cell: Cell) -> dict[str, Any]:
        """What decides the weights when all have learned together."""
        settings = self.settings
        keys = {"loss", "class_weights", "augmentation", "optimiser", "quantile_lr"}
        module = cell.architecture.enhancement
        return {
            "version": _TRAINING,
            **({} if module is None else {"enhancing": _ENHANCING}),
            "architecture": cell.architecture.to_json(),
            "lambda": cell.lambda_,
            "start": self._start_digest(cell),
            "image_lr_scale": settings.image_lr_scale,
            "images": sha256_file(self.train.path / MANIFEST),
            "photographs": self.photographs.fingerprint() if len(self.photographs) else None,
            "settings": settings.model_dump(mode="json", include=keys),
            "training": _seeded(settings.training, cell).deciding(),
            **self._first(cell),
        }

    def _first(self, cell: Cell) -> dict[str, Any]:
        """What the phase before all learn together adds to what decides the weights."""
        first = self.settings.semantic_first
        return {} if first is None else {"semantic_first": _deciding(first, cell)}

    def _last(self, cell: Cell) -> PhaseSettings | None:
        """The phase of the enhancement module alone, for a cell that has one."""
        return None if cell.architecture.enhancement is None else self.settings.enhancement_last

    # ----- where the image's codec begins ---------------------------------------------------------

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


def _seeded(training: TrainingSettings, cell: Cell) -> TrainingSettings:
    return training.model_copy(update={"seed": cell.seed})


def _deciding(phase: PhaseSettings, cell: Cell) -> list[dict[str, Any]]:
    """What a phase adds to what decides the weights."""
    training = _seeded(phase.training, cell)
    return [phase.optimiser.model_dump(mode="json"), training.deciding()]
