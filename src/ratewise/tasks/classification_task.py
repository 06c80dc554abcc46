"""Classification as a task: a class for each image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ratewise.data.store import Store
from ratewise.images import Image
from ratewise.tasks import classification
from ratewise.tasks.batching import model_input
from ratewise.tasks.classification_augment import augment_images
from ratewise.tasks.classification_predictor import (
    ClassificationPredictor,
    evaluate,
    load_model,
    save_model,
)
from ratewise.tasks.classification_settings import (
    ClassificationAugmentation,
    ClassificationSettings,
)
from ratewise.tasks.divergence import pointwise_divergence
from ratewise.tasks.samples import Batch, Form, LabelledImages, StoreSource, Target
from ratewise.tasks.task import Loss, Scored
from ratewise.tasks.timm_models import output_names
from ratewise.training.objective import ParameterGroup, Selection


def _label(store: LabelledImages, index: int) -> Target:
    return np.asarray(store.label(index), np.int64)


def _augment(
    images: Sequence[Image],
    target: Target,
    settings: ClassificationAugmentation,
    rng: np.random.Generator,
) -> tuple[tuple[Image, ...], Target]:
    return augment_images(images, settings, rng), target


def _size(settings: ClassificationAugmentation) -> tuple[int, int] | None:
    return settings.size


LABELS = Form(_label, _augment, _size, "prepare.crop")
"""Targets that are classes of whole images."""


@dataclass(frozen=True)
class ClassificationTask:
    """:class:`ratewise.tasks.task.Task` for the classes of whole images.

    Cross-entropy and accuracy are over the data set's classes, divergences over all outputs of the
    model.
    """

    settings: ClassificationSettings
    labels: tuple[str, ...]

    @property
    def form(self) -> Form:
        """Labels."""
        return LABELS

    @property
    def selection(self) -> Selection:
        """The cross-entropy of the images held out."""
        return Selection("holdout_loss", "min")

    def check(self, base: Path) -> None:
        """Builds the model once. Errors: :func:`ratewise.tasks.classification.check`."""
        classification.check(self.settings, self.labels, base=base)

    def initial_model(self, seed: int, base: Path) -> nn.Module:
        """Errors: :func:`ratewise.tasks.classification.initial_model`."""
        return classification.initial_model(self.settings, self.labels, seed=seed, base=base)

    def groups(self, model: nn.Module) -> list[ParameterGroup]:
        """All that require a gradient, alike."""
        return [ParameterGroup([p for p in model.parameters() if p.requires_grad])]

    def last_layer(self, model: nn.Module) -> nn.Module:
        """The last linear layer."""
        assert isinstance(model, classification.ClassificationModel)
        return classification.head(model)

    def loss(self, source: StoreSource) -> Loss:
        """Cross-entropy over the data set's classes."""
        return partial(_loss, torch.tensor(self._outputs))

    def divergence(self, teacher: Tensor, outputs: Tensor, batch: Batch) -> Tensor:
        """The mean over the images, of the divergence over all outputs."""
        return (pointwise_divergence(teacher, outputs) * batch.weights).mean()

    def validate(self, model: Any, held_out: StoreSource, device: torch.device) -> dict[str, float]:
        """``holdout_loss``, the mean cross-entropy in nats, and ``holdout_top1``."""
        loss = right = 0.0
        outputs = torch.tensor(self._outputs, device=device)
        for index in range(len(held_out)):
            sample = held_out.whole(index)
            logits = (
                model(model_input(sample.images[:1], device)).float().index_select(1, outputs)[0]
            )
            loss -= float(logits.log_softmax(0)[int(sample.target)])
            right += int(logits.argmax()) == int(sample.target)
        return {
            self.selection.metric: loss / len(held_out),
            "holdout_top1": right / len(held_out),
        }

    def evaluate(
        self, model: nn.Module, store: Store, subsets: Mapping[str, Sequence[int]]
    ) -> Scored:
        """See :func:`ratewise.tasks.classification_predictor.evaluate`; whether each image's class
        is ``correct`` (0 or 1)."""
        whole = evaluate(self._predictor(model), store, self.labels)
        metrics = dict(whole.metrics)
        del metrics["images"]
        rows = [{"key": key, "correct": int(right)} for key, right in whole.correct.items()]
        for name, indices in subsets.items():
            metrics[f"top1@{name}"] = float(np.mean([rows[index]["correct"] for index in indices]))
        return Scored(metrics, rows)

    def predict(self, model: nn.Module, images: Sequence[Image]) -> list[int]:
        """A class id of each image."""
        return self._predictor(model).predict(images)

    def outputs(self, model: nn.Module, images: Sequence[Image]) -> NDArray[np.float32]:
        """Logits ``(N, K)`` of all outputs."""
        return np.stack(self._predictor(model).scores(images))

    def save(self, path: Path, model: nn.Module, origin: Mapping[str, Any]) -> None:
        """See :func:`ratewise.tasks.classification_predictor.save_model`."""
        save_model(path, model, self.settings, self.labels, origin=origin)

    def load(self, path: Path) -> nn.Module:
        """See :func:`ratewise.tasks.classification_predictor.load_model`."""
        return load_model(path).model

    @cached_property
    def _outputs(self) -> list[int]:
        """The output of the model that is each class of the data set."""
        places = {name: i for i, name in enumerate(output_names(self.settings, self.labels))}
        return [places[label] for label in self.labels]

    def _predictor(self, model: nn.Module) -> ClassificationPredictor:
        training = self.settings.training
        assert isinstance(model, classification.ClassificationModel)
        return ClassificationPredictor(model, device=training.device, precision=training.precision)


def _loss(outputs: Tensor, logits: Tensor, batch: Batch) -> Tensor:
    of_classes = logits.index_select(1, outputs.to(logits.device))
    return classification.classification_loss(of_classes, batch.targets, batch.weights)
