"""What recipes and studies ask of a task, whatever it predicts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ratewise.data.store import Store
from ratewise.images import Image
from ratewise.tasks.samples import Batch, Form, StoreSource
from ratewise.training.objective import ParameterGroup, Selection

Loss = Callable[[Tensor, Batch], Tensor]
"""The loss, a scalar, of a model's outputs for a batch."""


class Scored(NamedTuple):
    """What a model achieves on the images of a store."""

    metrics: dict[str, float]
    """0 to 1, NaN for what is not there; ``NAME@SUBSET`` is the main one of a subset."""
    images: list[dict[str, Any]]
    """For each image its ``key`` and what a comparison image by image needs."""


class Task(Protocol):
    """A task with the classes of a data set. Images go into its models in [0, 1]."""

    @property
    def settings(self) -> Any:
        """The task's part of a study file."""
        ...

    @property
    def form(self) -> Form:
        """What the target of a sample is."""
        ...

    @property
    def selection(self) -> Selection:
        """Which metric of :meth:`validate` selects the weights of a training."""
        ...

    def check(self, base: Path) -> None:
        """Raise the :class:`ratewise.errors.InputError` that training would raise."""
        ...

    def initial_model(self, seed: int, base: Path) -> nn.Module:
        """The model as training starts; paths of weights are relative to ``base``."""
        ...

    def groups(self, model: nn.Module) -> list[ParameterGroup]:
        """The parameters of ``model`` that require a gradient, as its optimiser treats them."""
        ...

    def last_layer(self, model: nn.Module) -> nn.Module:
        """The layer that gives the outputs (stability training learns nothing else)."""
        ...

    def loss(self, source: StoreSource) -> Loss:
        """The loss of a training on ``source``, where weights of classes may come from."""
        ...

    def divergence(self, teacher: Tensor, outputs: Tensor, batch: Batch) -> Tensor:
        """KL(teacher || model) from the outputs ``(N, K, ...)`` of both, in nats: a scalar.

        The mean over the samples with their weights; over pixels too, without those that are
        ignored. It does not depend on the size of the batch.
        """
        ...

    def validate(self, model: Any, held_out: StoreSource, device: torch.device) -> dict[str, float]:
        """Metrics of a model in ``eval()`` on the images held out, whole and one by one."""
        ...

    def evaluate(
        self, model: nn.Module, store: Store, subsets: Mapping[str, Sequence[int]]
    ) -> Scored:
        """The metrics of a result row, of all images of a store, and of subsets by their name."""
        ...

    def predict(self, model: nn.Module, images: Sequence[Image]) -> list[Any]:
        """A mask ``uint8 (H, W)`` or a class id of each image."""
        ...

    def outputs(self, model: nn.Module, images: Sequence[Image]) -> NDArray[np.float32]:
        """The outputs ``(N, K, ...)`` of a model for images of one size."""
        ...

    def save(self, path: Path, model: nn.Module, origin: Mapping[str, Any]) -> None:
        """Write a model's weights, with what it takes to build it again."""
        ...

    def load(self, path: Path) -> nn.Module:
        """The model that :meth:`save` wrote, in ``eval()``."""
        ...
