"""The training loop: :func:`fit` an objective to samples, exactly resumable.

In step t (counted from 0) the loop sets the learning rates of t, seeds torch from (seed, t), takes
the batch of t, and runs the objective's generator: back from each loss, then a step of its
optimiser. Everything in a step follows from the seed, t and the state in the checkpoint, so a run
that was killed and started again ends like one that was not: bit for bit on a CPU.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.fabric import Fabric
from torch import Tensor, nn

from ratewise.errors import TrainingError
from ratewise.execution.progress import Bar, progress
from ratewise.training.checkpoint import read_checkpoint, write_checkpoint
from ratewise.training.device import reproducible
from ratewise.training.ema import Ema
from ratewise.training.fabric import InPrecision, make_fabric
from ratewise.training.log import Board, Means, Row, write_log
from ratewise.training.memory import keep_freed_memory
from ratewise.training.objective import Objective
from ratewise.training.optimisation import Optimisation, check_ownership
from ratewise.training.schedule import improves
from ratewise.training.seeding import Purpose, seed_torch
from ratewise.training.settings import TrainingSettings
from ratewise.training.source import Plan, SampleSource, load
from ratewise.training.step import Stepper

Weights = dict[str, dict[str, Tensor]]
"""The state dict of each module, on the CPU."""

_ASK_EVERY = 20
"""Steps between questions to the first of several devices whether it is time for a checkpoint."""


@dataclass(frozen=True)
class FitResult:
    """What a run came to."""

    weights: Weights
    """Of the best validation if the objective selects, else the last; averaged with EMA. The
    objective's own modules hold the same."""
    history: list[Row]
    """The rows of ``log.csv``."""
    steps: int
    """Steps taken; fewer than planned if a plateau or ``stop_after`` stopped the run."""
    best: dict[str, float] | None
    """The row whose weights these are, if the objective selects."""
    folder: Path


def fit(
    objective: Objective,
    source: SampleSource,
    settings: TrainingSettings,
    folder: Path,
    *,
    collate: Callable[[list[Any]], Any] | None = None,
    identity: Mapping[str, Any] | None = None,
    title: str = "training",
    quiet: bool = False,
) -> FitResult:
    """Train the modules of ``objective`` on ``source``; go on where an earlier call was killed.

    ``folder`` gets the checkpoint and the logs; one folder is one run. ``collate`` makes a batch
    of a list of samples (by default torch's). ``identity`` (JSON-able) says what else the result
    depends on, such as a fingerprint of the data: a checkpoint of another identity is refused.
    When the run is finished already, its result is read and nothing is trained.

    Raises :class:`ratewise.errors.TrainingError` when a loss is not finite (the last checkpoint is
    kept), a sample cannot be made, or the checkpoint is damaged or of other settings; and
    :class:`ratewise.errors.InputError` when the device or the number of samples does not do.
    """
    fabric = make_fabric(settings)
    if fabric.device.type == "cpu":
        keep_freed_memory()
    with reproducible(fabric.device.type):
        run = _Run(objective, source, settings, folder, fabric, identity or {})
        run.resume()
        if not run.finished:
            with progress(
                title,
                run.plan.steps,
                unit="steps",
                initial=run.step,
                quiet=quiet or fabric.global_rank > 0,
            ) as bar:
                run.train(collate, bar)
        fabric.barrier()  # the first may be needed by the others until all are here
        return run.result()


class _Run:
    """The state of one run, and its steps."""

    def __init__(
        self,
        objective: Objective,
        source: SampleSource,
        settings: TrainingSettings,
        folder: Path,
        fabric: Fabric,
        identity: Mapping[str, Any],
    ) -> None:
        self.objective, self.source, self.settings = objective, source, settings
        self.folder, self.fabric = folder, fabric
        self.plan = Plan(len(source), settings, fabric.global_rank)
        self.modules = dict(objective.modules())
        frozen = objective.frozen()
        self.wrapped: dict[str, Any] = {
            **{name: fabric.setup_module(module) for name, module in self.modules.items()},
            **{name: InPrecision(module, fabric) for name, module in frozen.items()},
        }
        trainables = objective.optimisers()
        check_ownership(self.modules, trainables)
        self.selection = objective.selection()
        self.optimisations = {
            name: Optimisation(name, trainable, fabric, self.selection)
            for name, trainable in trainables.items()
        }
        self.ema = Ema(self.modules, settings.ema) if settings.ema is not None else None
        self.deciding = {
            "settings": settings.deciding(),
            "optimisers": {n: t.settings.model_dump(mode="json") for n, t in trainables.items()},
            "parameters": {
                name: sum(p.numel() for p in module.parameters())
                for name, module in self.modules.items()
            },
            "selection": [self.selection.metric, self.selection.direction]
            if self.selection
            else None,
            "samples": len(source),
            "identity": dict(identity),
        }
        self.step = 0
        self.finished = False
        self.history: list[Row] = []
        self.best: Row | None = None
        self.best_weights: Weights | None = None
        self.waited = 0
        self._earlier_seconds = 0.0
        self._started = self._saved_at = time.monotonic()
        self.stepper = Stepper(objective, self.wrapped, self.optimisations, self.plan, fabric)

    def train(self, collate: Callable[[list[Any]], Any] | None, bar: Bar) -> None:
        """Steps up to the end of the run or until a stopping rule stops it."""
        on_cuda = self.fabric.device.type == "cuda"
        board_folder = self.folder / "tensorboard" if self.settings.tensorboard else None
        board = Board(board_folder if self.fabric.is_global_zero else None, self.step)
        try:
            with load(
                self.source, self.plan, start=self.step, collate=collate, pin_memory=on_cuda
            ) as parts:
                while not self.finished:
                    self.stepper.step(parts, self.step)
                    if self.ema is not None:
                        self.ema.update()
                    self.step += 1
                    bar.advance(1, self.stepper.status)
                    ended = self.step % self.plan.steps_per_epoch == 0
                    last = self.step == self.plan.steps
                    if ended or last:
                        self._end_epoch(last, board)
                    self.finished = self.finished or last
                    if self.finished or self._checkpoint_is_due(ended):
                        self.save()
        finally:
            board.close()

    def _seconds(self) -> float:
        return self._earlier_seconds + time.monotonic() - self._started

    # What an epoch ends with --------------------------------------------------------------------

    def _end_epoch(self, last: bool, board: Board) -> None:
        self.stepper.check()
        epoch = -(-self.step // self.plan.steps_per_epoch)
        row: Row = {"epoch": epoch, "step": self.step, **self.stepper.means.means(self.fabric)}
        for name, optimisation in self.optimisations.items():
            row[f"lr_{name}"] = optimisation.set_lr(self.step - 1, self.plan.steps)
        if last or epoch % self.settings.validate_every == 0:
            metrics = self._validate()
            row.update(metrics)
            if self.selection is not None:
                self._select(row, metrics)
        row["seconds"] = round(self._seconds(), 3)
        self.history.append(row)
        self.stepper.means = Means()
        if self.fabric.is_global_zero:
            write_log(self.folder, self.history)
            board.add(row)

    def _validate(self) -> dict[str, float]:
        modes = {
            module: module.training
            for name in self.modules
            for module in self.wrapped[name].modules()
        }
        seed_torch(self.fabric.device, Purpose.VALIDATION, self.settings.seed, self.step)
        try:
            for name in self.modules:
                self.wrapped[name].eval()
            with self._averaged(), torch.no_grad():
                metrics = dict(self.objective.validate(self.wrapped, self.step) or {})
        finally:
            for module, training in modes.items():
                module.training = training
        metrics = {name: float(value) for name, value in metrics.items()}
        return self.fabric.broadcast(metrics) if self.fabric.world_size > 1 else metrics

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        if self.ema is None:
            yield
        else:
            with self.ema.applied():
                yield

    def _select(self, row: Row, metrics: dict[str, float]) -> None:
        assert self.selection is not None
        if self.selection.metric not in metrics:
            raise TrainingError(
                f"the selection metric {self.selection.metric!r} is not among what validation "
                f"gives: {', '.join(metrics) or 'nothing'}"
            )
        value = metrics[self.selection.metric]
        before = self.best[self.selection.metric] if self.best else None
        if improves(value, before, self.selection.direction):
            self.best, self.waited = row, 0
            self.best_weights = self._weights()
        else:
            self.waited += 1
        plateaus = [o.plateau for o in self.optimisations.values() if o.plateau]
        for plateau in plateaus:
            plateau.observe(value)
        at_minimum = bool(plateaus) and all(plateau.finished for plateau in plateaus)
        stop_after = self.settings.stop_after
        self.finished = at_minimum or (stop_after is not None and self.waited >= stop_after)

    def _weights(self) -> Weights:
        with self._averaged():
            return {
                name: {key: value.detach().cpu().clone() for key, value in m.state_dict().items()}
                for name, m in self.modules.items()
            }

    # Checkpoints --------------------------------------------------------------------------------

    def _checkpoint_is_due(self, epoch_ended: bool) -> bool:
        every = self.settings.checkpoint_epochs
        epochs, seconds = self.step // self.plan.steps_per_epoch, self.settings.checkpoint_seconds
        if every is not None and epoch_ended and epochs % every == 0:
            return True
        if seconds is None:
            return False
        due = time.monotonic() - self._saved_at >= seconds
        if self.fabric.world_size > 1:  # every device must decide alike, and asking has a price
            asked = epoch_ended or self.step % _ASK_EVERY == 0
            return bool(self.fabric.broadcast(due)) if asked else False
        return due

    def save(self) -> None:
        """Write the checkpoint, unless the weights are no longer finite."""
        self.stepper.check()
        self._check_weights()
        if self.fabric.is_global_zero:
            state = {
                "step": self.step,
                "finished": self.finished,
                "modules": {name: module.state_dict() for name, module in self.modules.items()},
                "optimisers": {name: o.state_dict() for name, o in self.optimisations.items()},
                "ema": self.ema.state_dict() if self.ema else None,
                "best": self.best,
                "best_weights": self.best_weights,
                "waited": self.waited,
                "history": self.history,
                "means": self.stepper.means.totals(),
                "seconds": self._seconds(),
            }
            write_checkpoint(self.folder, state, self.deciding)
        self.fabric.barrier()
        self._saved_at = time.monotonic()

    def _check_weights(self) -> None:
        for name, module in self.modules.items():
            for key, parameter in module.named_parameters():
                if not bool(parameter.isfinite().all()):
                    raise TrainingError(
                        f"weights {name}.{key} are no longer finite before step {self.step + 1} "
                        f"(epoch {self.step // self.plan.steps_per_epoch + 1}); a lower learning "
                        f"rate or clip_norm may help; the last good checkpoint is kept"
                    )

    def resume(self) -> None:
        """Take up the state of the folder's checkpoint, if there is one."""
        if self.fabric.is_global_zero:
            self.folder.mkdir(parents=True, exist_ok=True)
        self.fabric.barrier()
        state = read_checkpoint(self.folder, self.deciding)
        if state is not None:
            try:
                self._restore(state)
            except (KeyError, ValueError, TypeError, RuntimeError) as error:
                raise TrainingError(
                    f"{self.folder}: the checkpoint does not fit this objective ({error}); delete "
                    f"it to train from the start"
                ) from error
        if self.fabric.is_global_zero and self.history:
            write_log(self.folder, self.history)

    def _restore(self, state: Mapping[str, Any]) -> None:
        for name, module in self.modules.items():
            module.load_state_dict(state["modules"][name])
        for name, optimisation in self.optimisations.items():
            optimisation.load_state_dict(state["optimisers"][name])
        if self.ema is not None:
            self.ema.load_state_dict(state["ema"])
        self.step, self.finished = state["step"], state["finished"]
        self.best, self.best_weights = state["best"], state["best_weights"]
        self.waited, self.history = state["waited"], state["history"]
        self.stepper.means = Means(state["means"])
        self._earlier_seconds = state["seconds"]

    def result(self) -> FitResult:
        """The final weights, loaded into the objective's modules too."""
        weights = self.best_weights if self.best_weights is not None else self._weights()
        for name, module in self.modules.items():
            module.load_state_dict(weights[name])
        return FitResult(weights, self.history, self.step, self.best, self.folder)


def module_device(module: nn.Module) -> torch.device:
    """Where a module is: for an objective that makes its own batches in ``validate``."""
    return next(module.parameters()).device
