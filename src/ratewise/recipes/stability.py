"""Stability training: the same prediction with and without a little noise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch

from ratewise.recipes.assembly import Assembly, Ingredients
from ratewise.recipes.learning import MODEL, Learner, Learning, pixels
from ratewise.recipes.settings import StabilitySettings
from ratewise.tasks.samples import Batch, collate
from ratewise.training.objective import Loss


class Stability(Learning):
    """``L0(x) + weight * KL(f(x) || f(x'))`` (expert-training paper, eq. 1 and 2).

    x' is x with Gaussian noise of ``settings.sigma``, not clipped. The gradient goes through both
    predictions.
    """

    def __init__(self, learner: Learner, settings: StabilitySettings) -> None:
        super().__init__(learner)
        self.settings = settings

    def losses(self, modules: Mapping[str, Any], batch: Batch) -> Iterator[Loss]:
        """The sum; its terms are logged as ``task`` and ``divergence``."""
        images = pixels(batch, 0)
        noisy = images + self.settings.sigma * torch.randn_like(images)
        plain, disturbed = modules[MODEL](torch.cat([images, noisy])).chunk(2)
        loss = self.learner.loss(plain, batch)
        divergence = self.learner.task.divergence(plain, disturbed, batch)
        logs = {"task": loss.detach(), "divergence": divergence.detach()}
        yield Loss(MODEL, loss + self.settings.weight * divergence, logs)


def build(ingredients: Ingredients) -> Assembly:
    """The recipe for ``ingredients``. Errors: :meth:`Learner.of`.

    All but the last layer is frozen, its statistics too.
    """
    settings = ingredients.settings
    assert isinstance(settings, StabilitySettings)
    learner = Learner.of(ingredients)
    model = learner.model
    model.eval().requires_grad_(False)
    learner.task.last_layer(model).requires_grad_(True)
    return Assembly(Stability(learner, settings), learner.source, collate, model)
