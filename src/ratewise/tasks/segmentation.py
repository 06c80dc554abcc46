"""Segmentation networks (segmentation-models-pytorch's and ERFNet), initial weights, the loss."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import segmentation_models_pytorch as smp
import timm
import torch
import torch.nn.functional as F
from segmentation_models_pytorch.encoders import get_encoder_names
from torch import Tensor, nn

from ratewise.errors import InputError, first_line
from ratewise.images import IGNORE
from ratewise.tasks.erfnet import ErfNet
from ratewise.tasks.segmentation_settings import ERFNET, STRIDED, SegmentationSettings
from ratewise.training.normalisation import Normalisation
from ratewise.training.weights import load_backbone
from ratewise.validation import suggestion

_MULTIPLE = 16
"""Sides are padded to a multiple of at least this."""

_SET_ELSEWHERE = {
    *("encoder_name", "encoder_weights", "encoder_output_stride", "in_channels", "classes"),
    *("activation", "aux_params", "kwargs"),
}
"""Parameters of the architectures that are no decoder options."""


class SegmentationModel(nn.Module):
    """A network that takes images of any size: it normalises, pads, and crops the logits back.

    ::

        (N, 3, H, W) in [0, 1] -> (x - mean) / std -> pad right and below -> network -> crop
                                                                     -> logits (N, classes, H, W)

    Padding repeats the last row and column. ``mean`` and ``std`` are buffers, so they are saved
    with the weights.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, normalisation: Normalisation) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(normalisation.mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(normalisation.std).view(1, 3, 1, 1))
        encoder: Any = network.encoder
        self._multiple = math.lcm(_MULTIPLE, int(encoder.output_stride))

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``(N, classes, H, W)`` of images ``(N, 3, H, W)`` in [0, 1]."""
        height, width = images.shape[-2:]
        x = (images - self.mean) / self.std
        below, right = -height % self._multiple, -width % self._multiple
        if below or right:
            x = F.pad(x, (0, right, 0, below), mode="replicate")
        x = x.contiguous(memory_format=torch.channels_last)
        logits: Tensor = self.network(x)
        return logits[..., :height, :width]


class _BatchNorm(nn.BatchNorm2d):
    """Batch norm that trains on a batch with one value per channel.

    One value has no variance, and torch refuses it. It occurs behind the global pooling of DeepLab
    and PSPNet with a batch of one: the running statistics are used there, and left as they are.
    """

    def forward(self, input: Tensor) -> Tensor:
        if self.training and input.numel() == input.shape[1]:
            return F.batch_norm(
                input, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        return super().forward(input)


def build_model(
    settings: SegmentationSettings, classes: int, *, imagenet: bool = False
) -> SegmentationModel:
    """The model of ``settings`` for ``classes`` classes, with random weights.

    With ``imagenet`` the encoder's published ImageNet weights are downloaded. Raises
    :class:`InputError` for an unknown encoder or option, and if the weights cannot be had.
    """
    if settings.architecture == ERFNET:
        network: nn.Module = ErfNet(classes)
    else:
        network = _from_library(settings, classes, imagenet)
    for module in network.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = _BatchNorm  # same state, one more case in forward
    model = SegmentationModel(network, settings.normalisation or _normalisation(settings))
    return model.to(memory_format=torch.channels_last)


def _from_library(settings: SegmentationSettings, classes: int, imagenet: bool) -> nn.Module:
    """The network of segmentation-models-pytorch. Errors: :func:`build_model`."""
    _check_encoder(settings)
    _check_decoder_options(settings)
    options: dict[str, Any] = dict(settings.decoder_options)
    if settings.architecture in STRIDED:
        options["encoder_output_stride"] = settings.output_stride
    try:
        network: nn.Module = getattr(smp, settings.architecture)(
            encoder_name=settings.encoder,
            encoder_weights="imagenet" if imagenet else None,
            classes=classes,
            **options,
            **settings.encoder_options,
        )
    except OSError as error:
        raise InputError(
            f"encoder_weights = imagenet: those of {settings.encoder} cannot be downloaded "
            f"({first_line(error)}); give a file instead"
        ) from error
    except Exception as error:  # the libraries raise many kinds for what does not go together
        raise InputError(
            f"architecture {settings.architecture} with encoder {settings.encoder}"
            f"{_listed(settings.encoder_options)} and decoder_options"
            f"{_listed(settings.decoder_options)} cannot be built: {first_line(error)}"
        ) from error
    return network


def initial_model(
    settings: SegmentationSettings, classes: int, *, seed: int, base: Path = Path()
) -> SegmentationModel:
    """The model as training starts: random weights of ``seed``, encoder weights, frozen parts.

    ``base`` is the folder that a relative ``encoder_weights`` starts from. The global random state
    is left as it was. Raises :class:`InputError` like :func:`build_model`, for a file that does not
    fit, and for a part to freeze that the encoder does not have.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = build_model(settings, classes, imagenet=settings.encoder_weights == "imagenet")
    if settings.weights_file is not None:
        _load_encoder(encoder(model), base / settings.weights_file, settings.encoder)
    for name in settings.encoder_frozen:
        _freeze(encoder(model), name)
    return model


def check(settings: SegmentationSettings, classes: int, *, base: Path = Path()) -> None:
    """Raise the :class:`InputError` that training would raise for these settings, before any work.

    Builds the model once; downloads nothing.
    """
    if isinstance(settings.class_weights, list) and len(settings.class_weights) != classes:
        raise InputError(
            f"class_weights has {len(settings.class_weights)} values for {classes} classes"
        )
    offline = settings.encoder_weights == "imagenet"
    settings = settings.model_copy(update={"encoder_weights": None}) if offline else settings
    initial_model(settings, classes, seed=0, base=base)


def encoder(model: SegmentationModel) -> nn.Module:
    """The encoder of a model."""
    part: nn.Module = model.network.get_submodule("encoder")
    return part


def segmentation_loss(
    logits: Tensor,
    targets: Tensor,
    class_weights: Tensor | None = None,
    sample_weights: Tensor | None = None,
) -> Tensor:
    """Cross-entropy averaged over the pixels that are not ignored.

    ``logits`` are ``(N, C, H, W)``, ``targets`` integers ``(N, H, W)`` with 255 ignored. With
    ``class_weights`` ``(C,)`` it is the weighted mean (divided by the sum of the pixels' weights).
    ``sample_weights`` ``(N,)`` multiply the share of each sample without changing the divisor, so
    weights of mean 1 keep the scale of the loss. 0 where every pixel is ignored.
    """
    targets = targets.long()
    losses = F.cross_entropy(
        logits.float(), targets, class_weights, ignore_index=IGNORE, reduction="none"
    )
    if sample_weights is not None:
        losses = losses * sample_weights[:, None, None]
    valid = targets != IGNORE
    if class_weights is None:
        divisor = valid.sum()
    else:
        divisor = (class_weights[targets.masked_fill(~valid, 0)] * valid).sum()
    return losses.sum() / divisor.clamp(min=1e-12)


def class_weights_of(masks: Iterable[np.ndarray[Any, Any]], classes: int) -> list[float]:
    """Median-frequency weights of training masks (Eigen and Fergus, 2015, section 4.3.3).

    A class's frequency is its pixels over the pixels (not ignored) of the images that show it; its
    weight is the median of the frequencies over its own. 1 for a class that no mask shows.
    """
    pixels, shown_in = np.zeros(classes), np.zeros(classes)
    for mask in masks:
        counts = np.bincount(mask[mask != IGNORE].ravel(), minlength=classes)
        if len(counts) > classes:
            raise InputError(f"class id {len(counts) - 1} is not 0 to {classes - 1} or {IGNORE}")
        pixels += counts
        shown_in += (counts > 0) * counts.sum()
    present = pixels > 0
    frequency = np.divide(pixels, shown_in, out=np.ones(classes), where=present)
    if not present.any():
        return [1.0] * classes
    median = float(np.median(frequency[present]))
    return [float(w) for w in np.where(present, median / frequency, 1.0)]


def _check_encoder(settings: SegmentationSettings) -> None:
    name = settings.encoder
    if name.startswith("tu-"):
        if not timm.is_model(name.removeprefix("tu-")):
            close = suggestion(name, [f"tu-{known}" for known in timm.list_models()])
            raise InputError(f"encoder = {name!r}: timm has no such model{close}")
        return
    known = get_encoder_names()
    if name not in known:
        close = suggestion(name, known) or suggestion(f"tu-{name}", _timm_names())
        raise InputError(
            f"encoder = {name!r} is not known{close} (allowed: {', '.join(known)}; or 'tu-' and "
            "the name of a timm model)"
        )
    if settings.encoder_options:
        raise InputError(
            f"encoder_options are for timm's encoders, whose names start with 'tu-', not {name}"
        )


def _check_decoder_options(settings: SegmentationSettings) -> None:
    """The library swallows unknown options, and some are set elsewhere."""
    known = inspect.signature(getattr(smp, settings.architecture)).parameters
    allowed = sorted(known.keys() - _SET_ELSEWHERE)
    for name in settings.decoder_options:
        if name not in allowed:
            raise InputError(
                f"decoder_options: {settings.architecture} has no option {name!r}"
                f"{suggestion(name, allowed)} (allowed: {', '.join(allowed)})"
            )


def _timm_names() -> list[str]:
    return [f"tu-{known}" for known in timm.list_models()]


def _normalisation(settings: SegmentationSettings) -> Normalisation:
    """What timm knows of a model; smp keeps the others' on the hub, and they are ImageNet's.
    ERFNet takes the images as they are."""
    if settings.architecture == ERFNET:
        return Normalisation(mean=(0.0,) * 3, std=(1.0,) * 3)
    encoder_name = settings.encoder
    if encoder_name.startswith("tu-"):
        known = timm.get_pretrained_cfg(encoder_name.removeprefix("tu-"))
        if known is not None and len(known.mean) == len(known.std) == 3:
            return Normalisation(mean=known.mean, std=known.std)
    return Normalisation()


def _load_encoder(module: nn.Module, file: Path, name: str) -> None:
    """Load a file whose keys are timm's or smp's; a classifier's last layers may be left over."""
    # smp holds a timm model under 'model.'; a whole segmentation model holds it under 'encoder.',
    # and the classifier that ERFNet's authors trained it in under 'features.encoder.'.
    load_backbone(
        module,
        file,
        f"encoder {name}",
        [
            lambda key: f"model.{key}",
            partial(_under, "encoder."),
            partial(_under, "network.encoder."),
            partial(_under, "features.encoder."),
        ],
    )


def _under(prefix: str, key: str) -> str | None:
    """What follows ``prefix`` in ``key``, if it begins so."""
    return key.removeprefix(prefix) if key.startswith(prefix) else None


def _freeze(module: nn.Module, name: str) -> None:
    """No gradients and no new statistics for a part of the encoder."""
    parts = dict(module.named_modules())
    part = parts.get(name) or parts.get(f"model.{name}")
    if part is None or not name:
        top = [key.removeprefix("model.") for key in parts if key and key.count(".") < 2]
        raise InputError(
            f"encoder_frozen: the encoder has no part {name!r} (some that it has: "
            f"{', '.join(top[:12])})"
        )
    part.eval()
    part.requires_grad_(False)


def _listed(options: Any) -> str:
    return f" {options}" if options else ""
