"""Expert training: predict of the compressed image what a teacher predicts of the original."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ratewise.recipes import standard
from ratewise.recipes.assembly import Assembly, Ingredients
from ratewise.recipes.learning import MODEL, Learner, Learning, pixels
from ratewise.recipes.settings import ExpertSettings
from ratewise.tasks.samples import Batch, Pick, collate
from ratewise.training.objective import Loss

_TEACHER = "teacher"


class Expert(Learning):
    """``L0(x~) + weight * KL(g(x) || f(x~))`` (expert-training paper, eq. 3 and 4).

    A sample brings x~ first and x last. ``teacher`` is the frozen model g, or its outputs
    ``float32 (images, K)`` for the images of the stores; then x is not looked at.
    """

    def __init__(
        self, learner: Learner, weight: float, teacher: nn.Module | NDArray[np.float32]
    ) -> None:
        super().__init__(learner)
        self.weight, self.teacher = weight, teacher

    def frozen(self) -> Mapping[str, nn.Module]:
        """The teacher, unless its outputs are known."""
        return {_TEACHER: self.teacher} if isinstance(self.teacher, nn.Module) else {}

    def losses(self, modules: Mapping[str, Any], batch: Batch) -> Iterator[Loss]:
        """The sum; its terms are logged as ``task`` and ``divergence``."""
        outputs = modules[MODEL](pixels(batch, 0))
        loss = self.learner.loss(outputs, batch)
        divergence = self.learner.task.divergence(self._wanted(modules, batch), outputs, batch)
        logs = {"task": loss.detach(), "divergence": divergence.detach()}
        yield Loss(MODEL, loss + self.weight * divergence, logs)

    def _wanted(self, modules: Mapping[str, Any], batch: Batch) -> Tensor:
        """What the teacher predicts of the originals."""
        if not isinstance(self.teacher, nn.Module):
            rows = np.asarray(self.teacher[batch.indices.cpu().numpy()])
            return torch.from_numpy(rows).to(batch.indices.device)
        with torch.no_grad():
            wanted: Tensor = modules[_TEACHER](pixels(batch, -1))
        return wanted


def build(ingredients: Ingredients) -> Assembly:
    """The recipe for ``ingredients``, whose last store holds the originals.

    The teacher is the model that training begins with. With weight 0 this is fine-tuning: neither
    teacher nor originals are looked at. Errors: :meth:`Learner.of`.
    """
    settings, task = ingredients.settings, ingredients.task
    assert isinstance(settings, ExpertSettings)
    weight = settings.effective_weight(task.settings.network)
    clean = len(ingredients.stores) - 1
    known = weight == 0 or ingredients.teacher is not None
    pick = _With(ingredients.pick, tuple(range(clean)), () if known else (clean,))
    ingredients = replace(ingredients, pick=pick)
    if weight == 0:
        return standard.build(ingredients)
    learner = Learner.of(ingredients)
    teacher: nn.Module | NDArray[np.float32] | None = ingredients.teacher
    if teacher is None:
        teacher = _frozen(ingredients)
    return Assembly(Expert(learner, weight, teacher), learner.source, collate, learner.model)


@dataclass(frozen=True)
class _With:
    """The channels that another rule picks, and ``more`` of them."""

    rule: Callable[[int], Pick] | None
    channels: tuple[int, ...]
    more: tuple[int, ...]

    def __call__(self, index: int) -> Pick:
        picked = Pick(self.channels) if self.rule is None else self.rule(index)
        return Pick((*picked.channels, *self.more), picked.weight)


def _frozen(ingredients: Ingredients) -> nn.Module:
    task = ingredients.task
    if ingredients.start is not None:
        model = task.load(ingredients.start)
    else:
        model = task.initial_model(ingredients.seed, ingredients.base)
    return model.eval().requires_grad_(False)
