"""What the recipes have in common: a model of a task, its optimiser, and the images held out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor, nn

from ratewise.recipes.assembly import Ingredients
from ratewise.recipes.holdout import check_selection, split_indices
from ratewise.tasks import task as tasks
from ratewise.tasks.samples import Batch, Pick, StoreSource
from ratewise.training.loop import module_device
from ratewise.training.objective import Loss, Objective, Selection, Trainable

MODEL = "model"
"""The name of the model among the modules, and of its optimiser."""


@dataclass(frozen=True)
class Learner:
    """A model of a task, and what it is trained with."""

    task: tasks.Task
    model: nn.Module
    loss: tasks.Loss
    source: StoreSource
    held_out: StoreSource | None

    @classmethod
    def of(cls, ingredients: Ingredients) -> Learner:
        """The learner of a recipe, from its start or the task's initial model.

        Raises :class:`ratewise.errors.InputError` as the task's ``initial_model`` and
        :class:`ratewise.tasks.samples.StoreSource` do, and for settings that need held-out images
        and hold out none.
        """
        task, settings = ingredients.task, ingredients.task.settings
        everything = ingredients.indices
        if everything is None:
            everything = range(len(ingredients.stores[0]))
        trained, held = split_indices(everything, settings.holdout, ingredients.seed)
        check_selection(settings.optimiser, settings.training, settings.holdout)
        source = StoreSource(
            ingredients.stores,
            settings.augmentation,
            form=task.form,
            batched=True,
            indices=trained,
            pick=ingredients.pick,
            cache_bytes=settings.cache_mebibytes * 2**20,
        )
        held_out = None
        if held:
            held_out = StoreSource(
                ingredients.stores,
                form=task.form,
                indices=held,
                pick=partial(_first, ingredients),
                cache_bytes=settings.cache_mebibytes * 2**20,
            )
        model = task.initial_model(ingredients.seed, ingredients.base)
        if ingredients.start is not None:  # parts that the settings freeze stay frozen
            model.load_state_dict(task.load(ingredients.start).state_dict())
        return cls(task, model, task.loss(source), source, held_out)


class Learning(Objective):
    """An objective that trains the model of a :class:`Learner`; recipes say by which losses."""

    def __init__(self, learner: Learner) -> None:
        self.learner = learner

    def modules(self) -> Mapping[str, nn.Module]:
        """The model."""
        return {MODEL: self.learner.model}

    def optimisers(self) -> Mapping[str, Trainable]:
        """One, with the groups of parameters that the task makes."""
        task = self.learner.task
        return {MODEL: Trainable(task.groups(self.learner.model), task.settings.optimiser)}

    def losses(self, modules: Mapping[str, Any], batch: Batch) -> Iterator[Loss]:
        """The loss of the task on the first channel of each sample."""
        yield Loss(MODEL, self.learner.loss(modules[MODEL](pixels(batch, 0)), batch))

    def validate(self, modules: Mapping[str, Any], step: int) -> Mapping[str, float]:
        """What the task measures on the images held out; nothing without them."""
        held_out = self.learner.held_out
        if held_out is None:
            return {}
        device = module_device(self.learner.model)
        return self.learner.task.validate(modules[MODEL], held_out, device)

    def selection(self) -> Selection | None:
        """The task's; None (the last weights) without images held out."""
        return None if self.learner.held_out is None else self.learner.task.selection


def _first(ingredients: Ingredients, index: int) -> Pick:
    """What a model is tested on: the first channel that an image is trained on by."""
    pick = Pick((0,)) if ingredients.pick is None else ingredients.pick(index)
    return Pick(pick.channels[:1], pick.weight)


def pixels(batch: Batch, channel: int) -> Tensor:
    """The images of a channel, float32 in [0, 1]."""
    return batch.images[channel].float() / 255
