"""The terms of a restorer's loss (Katakol et al. 2021, appendix B), one function each.

Images are float ``(N, 3, H, W)`` in [-1, 1]; restored ones may go beyond. Every term is a scalar
that falls as the images come closer, averaged over the batch and computed in float32. The paper
prints MS-SSIM itself as a term to minimise, and the discriminators' loss with the sign of one to
maximise: here both are what is meant, to be minimised.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ratewise.errors import InputError
from ratewise.metrics.distortion import MS_SSIM_MIN_SIDE
from ratewise.restoration.discriminators import Judgement

_MS_SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_C1, _C2 = 0.01**2, 0.03**2
_RADIUS, _SIGMA = 5, 1.5

_SMALLEST = 1e-4
"""A scale's similarity counts as this where it is lower: the power has no slope at 0."""


def l1_loss(restored: Tensor, original: Tensor) -> Tensor:
    """The mean absolute difference."""
    return F.l1_loss(restored.float(), original.float())


def mse_loss(restored: Tensor, original: Tensor) -> Tensor:
    """The mean squared difference."""
    return F.mse_loss(restored.float(), original.float())


def ms_ssim_loss(restored: Tensor, original: Tensor) -> Tensor:
    """``1 - MS-SSIM`` (Wang et al. 2003), the mean over the images.

    The MS-SSIM of :func:`ratewise.metrics.distortion.ms_ssim`: Gaussian windows that lie inside
    the image. Own, because torchmetrics' windows are not separated, which takes five times as
    long and would be most of a step, and because its gradient is NaN where a similarity is
    negative. Raises :class:`InputError` if a side is under 176.
    """
    if min(restored.shape[-2:]) < MS_SSIM_MIN_SIDE:
        height, width = restored.shape[-2:]
        raise InputError(
            f"losses.ms_ssim needs images of {MS_SSIM_MIN_SIDE} pixels a side at least (five "
            f"scales), not {width}x{height}"
        )
    x, y = ((image.float() + 1) / 2 for image in (restored, original))
    product = x.new_ones(x.shape[0])
    for scale, weight in enumerate(_MS_SSIM_WEIGHTS):
        if scale:
            x, y = F.avg_pool2d(x, 2), F.avg_pool2d(y, 2)
        similarity = _similarity(x, y, whole=scale == len(_MS_SSIM_WEIGHTS) - 1)
        product = product * similarity.clamp(min=_SMALLEST) ** weight
    return 1 - product.mean()


def _similarity(x: Tensor, y: Tensor, *, whole: bool) -> Tensor:
    """Contrast and structure, with ``whole`` luminance too, of each image: ``(N,)``."""
    mean_x, squares, product = _blurred(torch.cat([x, x * x + y * y, x * y], 1)).chunk(3, 1)
    mean_y = _blurred(y)
    means, mean_squares = mean_x * mean_y, mean_x * mean_x + mean_y * mean_y
    similarity = (2 * (product - means) + _C2) / (squares - mean_squares + _C2)
    if whole:
        similarity = similarity * (2 * means + _C1) / (mean_squares + _C1)
    return similarity.mean((1, 2, 3))


def _blurred(x: Tensor) -> Tensor:
    """Gaussian means of 11x11 pixels, where all of them are inside."""
    channels = x.shape[1]
    places = torch.arange(-_RADIUS, _RADIUS + 1, device=x.device, dtype=x.dtype)
    window = torch.exp(-(places**2) / (2 * _SIGMA**2))
    window = (window / window.sum()).expand(channels, 1, 1, -1)
    x = x.contiguous(memory_format=torch.channels_last)
    x = F.conv2d(x, window, groups=channels)
    return F.conv2d(x, window.transpose(2, 3), groups=channels)


def adversarial_loss(restored: Sequence[Judgement]) -> Tensor:
    """``-log D(restored)``, summed over the discriminators, averaged over their maps."""
    return _sum([F.softplus(-judgement.logits.float()).mean() for judgement in restored])


def discriminator_loss(original: Sequence[Judgement], restored: Sequence[Judgement]) -> Tensor:
    """``-log D(original) - log(1 - D(restored))``, summed and averaged likewise."""
    return _sum(
        [
            F.softplus(-real.logits.float()).mean() + F.softplus(made.logits.float()).mean()
            for real, made in zip(original, restored, strict=True)
        ]
    )


def feature_loss(restored: Sequence[Tensor], original: Sequence[Tensor]) -> Tensor:
    """The mean absolute difference of a classifier's features, summed over its stages (VGG)."""
    return _sum(
        [
            F.l1_loss(made.float(), real.detach().float())
            for made, real in zip(restored, original, strict=True)
        ]
    )


def matching_loss(restored: Sequence[Judgement], original: Sequence[Judgement]) -> Tensor:
    """The same of all layers of all discriminators (DIST)."""
    return _sum(
        [
            feature_loss(made.features, real.features)
            for made, real in zip(restored, original, strict=True)
        ]
    )


def probability(judgements: Sequence[Judgement]) -> Tensor:
    """The mean of D over the maps of all discriminators, without gradient."""
    means = [judgement.logits.detach().float().sigmoid().mean() for judgement in judgements]
    return torch.stack(means).mean()


def _sum(terms: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(terms)).sum()
