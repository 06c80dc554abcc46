"""What a restorer is trained for: the weighted terms of its loss, against discriminators or not."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ratewise.errors import InputError
from ratewise.images import Image
from ratewise.metrics.distortion import decibels, ms_ssim, psnr
from ratewise.restoration.discriminators import Discriminators, Judgement, check_patch
from ratewise.restoration.features import FeatureNetwork
from ratewise.restoration.losses import (
    adversarial_loss,
    discriminator_loss,
    feature_loss,
    l1_loss,
    matching_loss,
    ms_ssim_loss,
    mse_loss,
    probability,
)
from ratewise.restoration.pairs import Pair
from ratewise.restoration.settings import RestorerSettings
from ratewise.training.loop import module_device
from ratewise.training.objective import Loss, Objective, Selection, Trainable

BEFORE = "_compressed"
"""Ends the names of the metrics of the compressed images, before restoration."""


class Restoration(Objective):
    """A generator, and discriminators where ``settings`` has them.

    ``features`` is the classifier of the feature term; with None the term is left out.
    ``held_out`` are whole images, ``(original, compressed)`` each ``uint8 (H, W, 3)``, to validate
    on. ``perceptual`` gives an image's perceptual index, and ``pictures`` receives the step and the
    restored images of each validation. Raises :class:`InputError` if the patches are too small for
    the discriminators, or no term with a weight is left.
    """

    def __init__(
        self,
        settings: RestorerSettings,
        generator: nn.Module,
        discriminators: Discriminators | None = None,
        features: FeatureNetwork | None = None,
        held_out: Sequence[tuple[Image, Image]] = (),
        *,
        perceptual: Callable[[Image], float] | None = None,
        pictures: Callable[[int, Sequence[Image]], None] | None = None,
    ) -> None:
        if discriminators is not None:
            check_patch(discriminators.settings, settings.patch)
        self.settings, self.generator, self.discriminators = settings, generator, discriminators
        self.features = features if settings.losses.features else None
        weights = settings.losses.model_dump()
        if not any(weights[name] for name in weights if name != "features" or self.features):
            raise InputError(
                "losses.features alone has a weight and features.weights is null: there is nothing "
                "to minimise"
            )
        self.held_out, self.perceptual, self.pictures = held_out, perceptual, pictures

    def modules(self) -> Mapping[str, nn.Module]:
        """``generator``, and ``discriminators`` if there are any."""
        if self.discriminators is None:
            return {"generator": self.generator}
        return {"generator": self.generator, "discriminators": self.discriminators}

    def frozen(self) -> Mapping[str, nn.Module]:
        """``features``, if the loss has that term."""
        return {} if self.features is None else {"features": self.features}

    def optimisers(self) -> Mapping[str, Trainable]:
        """``generator``, and ``discriminator`` if there are any; both of the same settings."""
        optimiser = self.settings.optimiser
        optimisers = {"generator": Trainable.of(self.generator, settings=optimiser)}
        if self.discriminators is not None:
            optimisers["discriminator"] = Trainable.of(self.discriminators, settings=optimiser)
        return optimisers

    def losses(self, modules: Mapping[str, Any], batch: Pair) -> Iterator[Loss]:
        """The discriminators' loss of a batch, then the generator's; the terms beside them.

        The generator is judged by the discriminators as they are after their step.
        """
        compressed, original = to_float(batch.compressed), to_float(batch.original)
        restored: Tensor = modules["generator"](compressed)
        if self.discriminators is not None:
            yield self._of_discriminators(modules, compressed, original, restored.detach())
        terms = self._terms(modules, compressed, original, restored)
        weights = self.settings.losses.model_dump()
        total = torch.stack([weights[name] * term for name, term in terms.items()]).sum()
        yield Loss("generator", total, {name: term.detach() for name, term in terms.items()})

    def _of_discriminators(
        self, modules: Mapping[str, Any], compressed: Tensor, original: Tensor, restored: Tensor
    ) -> Loss:
        both = modules["discriminators"](
            torch.cat([compressed, compressed]), torch.cat([original, restored])
        )
        real, made = _halves(both)
        logs = {"judged_original": probability(real), "judged_restored": probability(made)}
        return Loss("discriminator", discriminator_loss(real, made), logs)

    def _terms(
        self, modules: Mapping[str, Any], compressed: Tensor, original: Tensor, restored: Tensor
    ) -> dict[str, Tensor]:
        """The terms with a weight, unweighted."""
        weights = self.settings.losses
        terms: dict[str, Tensor] = {}
        if weights.l1:
            terms["l1"] = l1_loss(restored, original)
        if weights.mse:
            terms["mse"] = mse_loss(restored, original)
        if weights.ms_ssim:
            terms["ms_ssim"] = ms_ssim_loss(restored, original)
        if self.features is not None:
            with torch.no_grad():
                wanted = modules["features"](original)
            terms["features"] = feature_loss(modules["features"](restored), wanted)
        if self.discriminators is not None:
            with _untouched(self.discriminators):
                made = modules["discriminators"](compressed, restored)
            terms["adversarial"] = adversarial_loss(made)
            if weights.matching:
                with torch.no_grad():
                    real = modules["discriminators"](compressed, original)
                terms["matching"] = matching_loss(made, real)
        return terms

    def validate(self, modules: Mapping[str, Any], step: int) -> Mapping[str, float]:
        """Means over the images held out: ``psnr`` and ``ms_ssim_db`` of the restored ones,
        the same of the compressed ones (``_compressed``), and ``perceptual`` of the restored.

        MS-SSIM is of the images of 176 pixels a side at least; without one it is left out.
        """
        if not self.held_out:
            return {}
        generator = modules["generator"]
        device = module_device(self.generator)
        restored = [
            to_image(generator(to_float(_as_batch(compressed).to(device))))
            for _, compressed in self.held_out
        ]
        if self.pictures is not None:
            self.pictures(step, restored)
        originals = [original for original, _ in self.held_out]
        metrics = _distortion(originals, restored, "")
        metrics |= _distortion(originals, [compressed for _, compressed in self.held_out], BEFORE)
        if self.perceptual is not None:
            metrics["perceptual"] = _mean([self.perceptual(image) for image in restored])
        return metrics

    def selection(self) -> Selection | None:
        """The last weights count. PSNR would choose against an adversarial restorer, and the other
        schedules end low, where a choice among a few images would overfit."""
        return None


def to_float(images: Tensor) -> Tensor:
    """``uint8 (N, 3, H, W)`` to float32 in [-1, 1], in the channels_last layout."""
    return images.contiguous(memory_format=torch.channels_last).float() / 127.5 - 1


def to_image(restored: Tensor) -> Image:
    """The one image of ``(1, 3, H, W)`` in [-1, 1]: clamped, rounded, ``uint8 (H, W, 3)``."""
    levels = ((restored[0].float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    image: Image = levels.permute(1, 2, 0).contiguous().cpu().numpy()
    return image


def _as_batch(image: Image) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None]


def _halves(judgements: Sequence[Judgement]) -> tuple[list[Judgement], list[Judgement]]:
    """Those of the first half of a batch, and of the second; without the features."""
    halves = [judgement.logits.chunk(2) for judgement in judgements]
    return [Judgement(one, []) for one, _ in halves], [Judgement(two, []) for _, two in halves]


@contextmanager
def _untouched(module: nn.Module) -> Iterator[None]:
    """What is computed in this block brings the parameters of ``module`` no gradients."""
    parameters = [p for p in module.parameters() if p.requires_grad]
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


def _distortion(
    originals: Sequence[Image], images: Sequence[Image], suffix: str
) -> dict[str, float]:
    pairs = list(zip(originals, images, strict=True))
    metrics = {f"psnr{suffix}": _mean([psnr(a, b) for a, b in pairs])}
    similarities = [decibels(ms_ssim(a, b)) for a, b in pairs]
    known = [value for value in similarities if not math.isnan(value)]
    return metrics | ({f"ms_ssim_db{suffix}": _mean(known)} if known else {})


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
