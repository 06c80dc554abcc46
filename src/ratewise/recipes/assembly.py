"""What a recipe is given, and what it makes of it for the training loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import nn

from ratewise.recipes.settings import RecipeSettings, StandardSettings
from ratewise.tasks.samples import LabelledImages, Pick
from ratewise.tasks.task import Task
from ratewise.training.objective import Objective
from ratewise.training.source import SampleSource


@dataclass(frozen=True)
class Ingredients:
    """What a model is to be trained on, and how."""

    task: Task
    stores: Sequence[LabelledImages]
    """One per channel, aligned: the same images in the same order."""
    seed: int
    """Of the initial weights and of the choice of the images held out."""
    indices: Sequence[int] | None = None
    """Which images of the stores to use; all by default."""
    base: Path = Path()
    """The folder that relative paths of weights start from."""
    pick: Callable[[int], Pick] | None = None
    """The channels and the weight of each image, by its index in the stores; without it every
    sample brings all channels, with weight 1."""
    settings: RecipeSettings = field(default_factory=StandardSettings)
    start: Path | None = None
    """The file of the trained model to begin with; without it, the task's initial model."""
    teacher: NDArray[np.float32] | None = None
    """A teacher's outputs ``(images, K)`` for the images of the stores, if they are known."""


@dataclass(frozen=True)
class Assembly:
    """The arguments of :func:`ratewise.training.loop.fit` that a recipe decides."""

    objective: Objective
    source: SampleSource
    collate: Callable[[list[Any]], Any]
    model: nn.Module
    """The model that is trained, a module of the objective under the name ``model``."""


class Builder(Protocol):
    """Makes a recipe ready to train."""

    def __call__(self, ingredients: Ingredients) -> Assembly:
        """Raises :class:`ratewise.errors.InputError` for settings or stores that do not do."""
        ...
