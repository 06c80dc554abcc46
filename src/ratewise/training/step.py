"""One step of training: every loss of an objective, each followed by a step of its optimiser."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from lightning.fabric import Fabric
from torch import Tensor

from ratewise.errors import TrainingError
from ratewise.training.fabric import InPrecision
from ratewise.training.log import Means
from ratewise.training.objective import Loss, Objective
from ratewise.training.optimisation import Optimisation
from ratewise.training.seeding import Purpose, seed_torch
from ratewise.training.source import Plan

_LOOK_EVERY = 20
"""Steps between looks at losses that lie on a GPU: each look waits for it."""


class Stepper:
    """Takes steps, adds up their losses, and stops training at a loss that is not finite."""

    def __init__(
        self,
        objective: Objective,
        wrapped: Mapping[str, Any],
        optimisations: Mapping[str, Optimisation],
        plan: Plan,
        fabric: Fabric,
    ) -> None:
        self._objective, self._wrapped, self._optimisations = objective, wrapped, optimisations
        self._plan, self._fabric = plan, fabric
        self._settings = plan.settings
        self._on_cpu = fabric.device.type == "cpu"
        self._unseen: list[tuple[int, str, Tensor]] = []
        self._sizes = plan.part_sizes()
        self.means = Means()
        """Of the losses and logs since the epoch began."""
        self.status = ""
        """The newest losses that were looked at, to show."""

    def step(self, parts: Iterator[Any], step: int) -> None:
        """Step ``step`` of the run (from 0), with the next parts of a batch from ``parts``.

        Raises TrainingError when a loss is not finite: on a CPU before any weight has followed
        it, on a GPU up to some steps later (:meth:`check` says whether all was well so far).
        """
        fabric = self._fabric
        seed_torch(fabric.device, Purpose.STEP, self._settings.seed, step, fabric.global_rank)
        for optimisation in self._optimisations.values():
            optimisation.set_lr(step, self._plan.steps)
        shares = [size / sum(self._sizes) for size in self._sizes]
        runs = [
            self._objective.losses(self._wrapped, fabric.to_device(next(parts))) for _ in shares
        ]
        while self._turn(runs, shares, step):
            pass
        if self._on_cpu or (step + 1) % _LOOK_EVERY == 0:
            self.check()

    def check(self) -> None:
        """Raise TrainingError if a loss since the last check was not finite; renew the status."""
        newest: dict[str, float] = {}
        for step, name, value in self._unseen:
            newest[name] = self._finite(step, name, value)
        self._unseen.clear()
        if newest:
            self.status = ", ".join(
                f"loss {value:.4g}" if len(newest) == 1 else f"{name} {value:.4g}"
                for name, value in newest.items()
            )

    def _turn(self, runs: list[Iterator[Loss]], shares: list[float], step: int) -> bool:
        """One loss of every part, then a step of its optimiser; False when there are no more."""
        name: str | None = None
        for number, (run, share) in enumerate(zip(runs, shares, strict=True)):
            with self._without_sync(number + 1 < len(runs)):
                loss = next(run, None)
                given = loss[0] if loss is not None else None
                if number and given != name:
                    raise TrainingError(
                        f"the parts of a batch must yield the same losses in the same order, not "
                        f"{name!r} and {given!r} at once"
                    )
                if loss is None:
                    continue
                name, value, *rest = loss
                if number == 0:
                    self._optimisation(name).zero_grad()
                self._note(step, name, value, rest[0] if rest else {}, share)
                self._fabric.backward(value * share if share != 1 else value)
        if name is None:
            return False
        self._optimisation(name).step(self._settings.clip_norm)
        return True

    def _note(
        self, step: int, name: str, value: Tensor, logs: Mapping[str, Any], share: float
    ) -> None:
        if self._on_cpu:
            self._finite(step, name, value)  # before its step: the weights stay as they were
        self._unseen.append((step, name, value.detach()))
        self.means.add(f"loss_{name}", value, share)
        for key, item in logs.items():
            self.means.add(key, item, share)

    def _finite(self, step: int, name: str, value: Tensor) -> float:
        number = float(value.detach())
        if number - number != 0:  # infinite or not a number
            raise TrainingError(
                f"the loss of optimiser {name!r} is {number} in step {step + 1} (epoch "
                f"{step // self._plan.steps_per_epoch + 1}); a lower learning rate or clip_norm "
                f"may help; the last good checkpoint is kept"
            )
        return number

    def _optimisation(self, name: str) -> Optimisation:
        try:
            return self._optimisations[name]
        except KeyError:
            raise TrainingError(
                f"the objective yields a loss for an optimiser {name!r}; it has "
                f"{', '.join(self._optimisations)}"
            ) from None

    @contextmanager
    def _without_sync(self, enabled: bool) -> Iterator[None]:
        """Gradients travel between devices once per loss, with its last part."""
        with ExitStack() as stack:
            if enabled and self._fabric.world_size > 1:
                for module in self._wrapped.values():
                    if not isinstance(module, InPrecision):
                        stack.enter_context(self._fabric.no_backward_sync(module))
            yield
