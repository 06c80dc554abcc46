"""Segmentation as a task: a class for each pixel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ratewise.data.classes import Classes
from ratewise.data.store import Store
from ratewise.errors import InputError
from ratewise.images import IGNORE, Image, Mask
from ratewise.metrics.segmentation import ConfusionMatrix, mean_iou
from ratewise.tasks import segmentation
from ratewise.tasks.augment import augment
from ratewise.tasks.batching import model_input
from ratewise.tasks.divergence import pointwise_divergence
from ratewise.tasks.inspection import class_scores
from ratewise.tasks.predictor import (
    Evaluation,
    SegmentationPredictor,
    evaluate,
    load_model,
    save_model,
)
from ratewise.tasks.samples import Batch, Form, LabelledImages, StoreSource, Target
from ratewise.tasks.segmentation_settings import AugmentationSettings, SegmentationSettings
from ratewise.tasks.task import Loss, Scored
from ratewise.training.device import resolve_device
from ratewise.training.objective import ParameterGroup, Selection


def _mask(store: LabelledImages, index: int) -> Target:
    return store.mask(index)


def _crop(augmentation: AugmentationSettings) -> tuple[int, int] | None:
    return augmentation.crop


MASKS = Form(_mask, augment, _crop, "augmentation.crop")
"""Targets that are masks."""


@dataclass(frozen=True)
class SegmentationTask:
    """:class:`ratewise.tasks.task.Task` for the classes of masks."""

    settings: SegmentationSettings
    classes: Classes

    @property
    def form(self) -> Form:
        """Masks."""
        return MASKS

    @property
    def selection(self) -> Selection:
        """The mean IoU on the images held out."""
        return Selection("holdout_miou", "max")

    def check(self, base: Path) -> None:
        """Builds the model once. Errors: :func:`ratewise.tasks.segmentation.check`."""
        segmentation.check(self.settings, len(self.classes), base=base)

    def initial_model(self, seed: int, base: Path) -> nn.Module:
        """Errors: :func:`ratewise.tasks.segmentation.initial_model`."""
        return segmentation.initial_model(self.settings, len(self.classes), seed=seed, base=base)

    def groups(self, model: nn.Module) -> list[ParameterGroup]:
        """The encoder's with its own learning rate, and the rest."""
        assert isinstance(model, segmentation.SegmentationModel)
        own = segmentation.encoder(model)
        known = {id(p) for p in own.parameters()}
        body = [p for p in own.parameters() if p.requires_grad]
        rest = [p for p in model.parameters() if p.requires_grad and id(p) not in known]
        groups = [
            ParameterGroup(body, lr_scale=self.settings.encoder_lr_scale),
            ParameterGroup(rest),
        ]
        return [group for group in groups if group.parameters]

    def last_layer(self, model: nn.Module) -> nn.Module:
        """The segmentation head."""
        head: nn.Module = model.get_submodule("network.segmentation_head")
        return head

    def loss(self, source: StoreSource) -> Loss:
        """Cross-entropy, with weights of classes where the settings want them."""
        weights = self._class_weights(source)
        return partial(_loss, None if weights is None else torch.tensor(weights))

    def divergence(self, teacher: Tensor, outputs: Tensor, batch: Batch) -> Tensor:
        """The mean over the pixels that are not ignored."""
        valid = batch.targets != IGNORE
        losses = pointwise_divergence(teacher, outputs) * batch.weights[:, None, None]
        return (losses * valid).sum() / valid.sum().clamp(min=1)

    def validate(self, model: Any, held_out: StoreSource, device: torch.device) -> dict[str, float]:
        """``holdout_miou``."""
        confusion = ConfusionMatrix(len(self.classes))
        for index in range(len(held_out)):
            sample = held_out.whole(index)
            confusion.update(sample.target, _prediction(model, sample.images[0], device))
        return {self.selection.metric: mean_iou(confusion.matrix)}

    def evaluate(
        self, model: nn.Module, store: Store, subsets: Mapping[str, Sequence[int]]
    ) -> Scored:
        """See :func:`ratewise.tasks.predictor.evaluate`; ``miou`` of each image."""
        return scored(evaluate(self._predictor(model), store, self.classes, subsets=subsets))

    def predict(self, model: nn.Module, images: Sequence[Image]) -> list[Mask]:
        """A mask of each image."""
        return self._predictor(model).predict(images)

    def outputs(self, model: nn.Module, images: Sequence[Image]) -> NDArray[np.float32]:
        """Logits ``(N, C, H, W)``."""
        device = resolve_device(self.settings.training.device)
        model = model.to(device).eval()
        return np.stack([class_scores(model, image, device) for image in images])

    def save(self, path: Path, model: nn.Module, origin: Mapping[str, Any]) -> None:
        """See :func:`ratewise.tasks.predictor.save_model`."""
        save_model(path, model, self.settings, self.classes, origin=origin)

    def load(self, path: Path) -> nn.Module:
        """See :func:`ratewise.tasks.predictor.load_model`."""
        return load_model(path).model

    def _predictor(self, model: nn.Module) -> SegmentationPredictor:
        training = self.settings.training
        return SegmentationPredictor(model, device=training.device, precision=training.precision)

    def _class_weights(self, source: StoreSource) -> list[float] | None:
        chosen = self.settings.class_weights
        if chosen is None:
            return None
        if isinstance(chosen, list):
            if len(chosen) != len(self.classes):
                raise InputError(
                    f"class_weights has {len(chosen)} values for {len(self.classes)} classes"
                )
            return list(chosen)
        masks = (source.whole(index).target for index in range(len(source)))
        weights = segmentation.class_weights_of(masks, len(self.classes))
        return [w**0.5 for w in weights] if chosen == "sqrt_median_frequency" else weights


def scored(found: Evaluation) -> Scored:
    """An evaluation as result rows have it; ``miou`` of each image."""
    metrics = {name: value for name, value in found.metrics.items() if name != "images"}
    metrics |= {f"miou@{name}": value for name, value in found.subset_miou.items()}
    return Scored(metrics, [{"key": key, "miou": value} for key, value in found.image_miou.items()])


def _loss(weights: Tensor | None, logits: Tensor, batch: Batch) -> Tensor:
    weights = None if weights is None else weights.to(logits.device)
    return segmentation.segmentation_loss(logits, batch.targets, weights, batch.weights)


def _prediction(model: Any, image: Image, device: torch.device) -> Mask:
    mask: Mask = model(model_input([image], device))[0].argmax(dim=0).to(torch.uint8).cpu().numpy()
    return mask
