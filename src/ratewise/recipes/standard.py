"""The standard recipe: one channel per sample, and the loss of the task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ratewise.data.classes import Classes
from ratewise.errors import InputError
from ratewise.images import Image, Mask
from ratewise.metrics.segmentation import ConfusionMatrix, mean_iou
from ratewise.recipes.assembly import Assembly, Ingredients
from ratewise.tasks.samples import Batch, StoreSource, collate
from ratewise.tasks.segmentation import (
    SegmentationModel,
    class_weights_of,
    encoder,
    initial_model,
    segmentation_loss,
)
from ratewise.tasks.segmentation_settings import SegmentationSettings
from ratewise.training.objective import Loss, Objective, ParameterGroup, Selection, Trainable

MODEL = "model"
"""The name of the model among the modules, and of its optimiser."""

_HOLDOUT_STREAM = 0x484F_4C44  # names the random stream, so that other uses of a seed differ


class Standard(Objective):
    """Cross-entropy of the model on the first channel of each sample.

    With ``held_out`` samples the mean IoU on them (``holdout_miou``) selects the weights.
    """

    def __init__(
        self,
        model: SegmentationModel,
        settings: SegmentationSettings,
        classes: Classes,
        class_weights: Sequence[float] | None = None,
        held_out: StoreSource | None = None,
    ) -> None:
        self._model = model
        self._settings = settings
        self._classes = len(classes)
        self._class_weights = None if class_weights is None else torch.tensor(class_weights)
        self._held_out = held_out

    def modules(self) -> Mapping[str, nn.Module]:
        """The model."""
        return {MODEL: self._model}

    def optimisers(self) -> Mapping[str, Trainable]:
        """One, with the encoder's learning rate scaled as the settings say."""
        body = [p for p in encoder(self._model).parameters() if p.requires_grad]
        known = {id(p) for p in encoder(self._model).parameters()}
        rest = [p for p in self._model.parameters() if id(p) not in known]
        groups = [ParameterGroup(rest)]
        if body:
            groups.insert(0, ParameterGroup(body, lr_scale=self._settings.encoder_lr_scale))
        return {MODEL: Trainable(groups, self._settings.optimiser)}

    def losses(self, modules: Mapping[str, Any], batch: Batch) -> Iterator[Loss]:
        """The weighted cross-entropy of the batch."""
        logits = modules[MODEL](batch.images[0].float() / 255)
        weights = self._class_weights
        if weights is not None:
            weights = weights.to(logits.device)
        yield Loss(MODEL, segmentation_loss(logits, batch.targets, weights, batch.weights))

    def validate(self, modules: Mapping[str, Any], step: int) -> Mapping[str, float]:
        """``holdout_miou``: the mean IoU on the images held out, nothing without them."""
        if self._held_out is None:
            return {}
        device = next(self._model.parameters()).device
        confusion = ConfusionMatrix(self._classes)
        for index in range(len(self._held_out)):
            sample = self._held_out.whole(index)
            confusion.update(sample.target, _predict(modules[MODEL], sample.images[0], device))
        return {"holdout_miou": mean_iou(confusion.matrix)}

    def selection(self) -> Selection | None:
        """The mean IoU on the images held out; None (the last weights) without them."""
        return None if self._held_out is None else Selection("holdout_miou", "max")


def build(ingredients: Ingredients) -> Assembly:
    """The standard recipe for ``ingredients``. Class weights come from the training masks.

    Raises :class:`InputError` as :func:`ratewise.tasks.segmentation.initial_model` and
    :class:`ratewise.tasks.samples.StoreSource` do, and for settings that need held-out images and
    hold out none.
    """
    settings, classes = ingredients.settings, ingredients.classes
    trained, held = split_indices(ingredients)
    _check_selection(settings)
    source = StoreSource(
        ingredients.stores,
        settings.augmentation,
        indices=trained,
        pick=ingredients.pick,
        cache_bytes=settings.cache_mebibytes * 2**20,
    )
    model = initial_model(settings, len(classes), seed=ingredients.seed, base=ingredients.base)
    held_out = None
    if held:
        held_out = StoreSource(ingredients.stores, indices=held, pick=ingredients.pick)
    weights = _class_weights(settings, classes, source)
    objective = Standard(model, settings, classes, weights, held_out)
    return Assembly(objective, source, collate, model)


def split_indices(ingredients: Ingredients) -> tuple[list[int], list[int]]:
    """The images to train on and those held out, ascending; at least one of either if any."""
    everything = ingredients.indices
    if everything is None:
        everything = range(len(ingredients.stores[0]))
    share, count = ingredients.settings.holdout, len(everything)
    if share == 0:
        return list(everything), []
    if count < 2:
        raise InputError(f"holdout = {share} of {count} training image(s) leaves none to train on")
    size = min(count - 1, max(1, round(share * count)))
    order = np.random.default_rng([_HOLDOUT_STREAM, ingredients.seed]).permutation(count)
    held = sorted(everything[int(i)] for i in order[:size])
    return sorted(everything[int(i)] for i in order[size:]), held


def _class_weights(
    settings: SegmentationSettings, classes: Classes, source: StoreSource
) -> list[float] | None:
    chosen = settings.class_weights
    if chosen is None:
        return None
    if isinstance(chosen, list):
        if len(chosen) != len(classes):
            raise InputError(f"class_weights has {len(chosen)} values for {len(classes)} classes")
        return list(chosen)
    masks = (source.whole(index).target for index in range(len(source)))
    weights = class_weights_of(masks, len(classes))
    return [w**0.5 for w in weights] if chosen == "sqrt_median_frequency" else weights


def _check_selection(settings: SegmentationSettings) -> None:
    """A plateau and early stopping watch a metric, which only held-out images give."""
    if settings.holdout > 0:
        return
    if settings.optimiser.schedule.kind == "plateau":
        raise InputError("schedule = plateau needs held-out images: set holdout above 0")
    if settings.training.stop_after is not None:
        raise InputError("stop_after needs held-out images: set holdout above 0")


def _predict(model: Any, image: Image, device: torch.device) -> Mask:
    pixels: Tensor = torch.tensor(image, device=device).permute(2, 0, 1)[None].float() / 255
    mask: Mask = model(pixels)[0].argmax(dim=0).to(torch.uint8).cpu().numpy()
    return mask
