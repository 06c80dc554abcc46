"""One optimiser of a run: its torch optimiser, its schedule and its gradients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from lightning.fabric import Fabric
from torch import nn

from ratewise.errors import TrainingError
from ratewise.training.objective import ParameterGroup, Selection, Trainable
from ratewise.training.schedule import Plateau, lr_factor
from ratewise.training.settings import OptimiserSettings


class Optimisation:
    """Steps the parameters of one :class:`Trainable` along its schedule."""

    def __init__(
        self, name: str, trainable: Trainable, fabric: Fabric, selection: Selection | None
    ) -> None:
        self._settings = settings = trainable.settings
        self._scales = [group.lr_scale for group in trainable.groups]
        self.parameters = [p for group in trainable.groups for p in group.parameters]
        if not self.parameters:
            raise TrainingError(f"optimiser {name!r} has no parameters to train")
        self._plain = make_optimiser(trainable.groups, settings)
        self._wrapped: Any = fabric.setup_optimizers(self._plain)
        self.plateau: Plateau | None = None
        if settings.schedule.kind == "plateau":
            if selection is None:
                raise TrainingError(
                    f"optimiser {name!r} has a plateau schedule, which needs an objective with a "
                    f"selection metric"
                )
            self.plateau = Plateau(settings.schedule, selection.direction)

    def set_lr(self, step: int, steps: int) -> float:
        """Set the learning rate of step ``step`` of ``steps``, and return it (unscaled)."""
        factor = lr_factor(self._settings.schedule, step, steps)
        lr = self._settings.lr * factor * (self.plateau.factor if self.plateau else 1.0)
        for group, scale in zip(self._plain.param_groups, self._scales, strict=True):
            group["lr"] = lr * scale
        return lr

    def zero_grad(self) -> None:
        """Forget the gradients, those that another optimiser's loss has left here included."""
        self._wrapped.zero_grad()

    def step(self, clip_norm: float | None) -> None:
        """Clip the gradient's norm over all parameters of this optimiser, and step."""
        if clip_norm is not None:
            nn.utils.clip_grad_norm_(self.parameters, clip_norm)
        self._wrapped.step()

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint."""
        plateau = self.plateau
        return {
            "optimiser": self._plain.state_dict(),
            "plateau": [plateau.factor, plateau.best, plateau.waited] if plateau else None,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from :meth:`state_dict`."""
        self._plain.load_state_dict(state["optimiser"])
        if self.plateau:
            self.plateau.factor, self.plateau.best, self.plateau.waited = state["plateau"]


def make_optimiser(
    groups: list[ParameterGroup] | Any, settings: OptimiserSettings
) -> torch.optim.Optimizer:
    """The torch optimiser of ``settings``; ``lr`` is set before each step."""
    decay = settings.weight_decay
    torch_groups = [
        {
            "params": list(group.parameters),
            "weight_decay": decay if group.weight_decay is None else group.weight_decay,
        }
        for group in groups
    ]
    # The fused form makes one pass over the parameters instead of one per operation.
    if settings.kind == "sgd":
        return torch.optim.SGD(
            torch_groups,
            lr=settings.lr,
            momentum=settings.momentum,
            nesterov=settings.nesterov,
            fused=True,
        )
    kind = torch.optim.AdamW if settings.kind == "adamw" else torch.optim.Adam
    return kind(torch_groups, lr=settings.lr, betas=settings.betas, fused=True)


def check_ownership(modules: Mapping[str, nn.Module], trainables: Mapping[str, Trainable]) -> None:
    """Every trained parameter lies in a module, so that it is saved, and has one optimiser."""
    owned = {id(p) for module in modules.values() for p in module.parameters()}
    taken: dict[int, str] = {}
    for name, trainable in trainables.items():
        for parameter in (p for group in trainable.groups for p in group.parameters):
            if id(parameter) not in owned:
                raise TrainingError(
                    f"optimiser {name!r} has a parameter of shape {tuple(parameter.shape)} that is "
                    f"in none of the objective's modules ({', '.join(modules)})"
                )
            if id(parameter) in taken:
                raise TrainingError(
                    f"optimisers {taken[id(parameter)]!r} and {name!r} share a parameter of shape "
                    f"{tuple(parameter.shape)}"
                )
            taken[id(parameter)] = name
