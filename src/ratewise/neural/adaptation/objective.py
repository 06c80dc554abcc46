"""What a codec is adapted for: lambda D + R on images of its new domain."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ratewise.images import Image
from ratewise.neural.models import Coded, CompressionModel, estimated_bpp
from ratewise.neural.priors import gaussian_likelihood, rounded
from ratewise.neural.training.objective import Distortion, distortion_of
from ratewise.neural.training.patches import to_tensor
from ratewise.training.objective import Loss, Objective, ParameterGroup, Selection, Trainable
from ratewise.training.settings import OptimiserSettings

HELD_OUT_LOSS = "holdout_loss"
LEAST_SIDE = 192
"""Of what MS-SSIM is computed on: a multiple of 64 at which its five scales exist."""

_MOST_SIDE = 1024
"""Of what is validated on."""


class AdaptationObjective(Objective):
    """``lambda D + R`` on patches, for the parameters of ``model`` that require a gradient.

    The weights that do best on ``held_out`` (``uint8 (H, W, 3)``) are kept, and
    ``stop_after`` of the training counts validations without a better one.
    """

    def __init__(
        self,
        model: CompressionModel,
        lambda_: float,
        distortion: Distortion,
        optimiser: OptimiserSettings,
        held_out: Sequence[Image],
    ) -> None:
        self.model, self.lambda_, self.distortion = model, lambda_, distortion
        self.optimiser = optimiser
        stride = model.architecture.stride
        least = max(stride, LEAST_SIDE if distortion == "ms_ssim" else 0)
        self._held_out = [_cut(image, stride, least) for image in held_out]
        model.to(memory_format=torch.channels_last)

    def modules(self) -> Mapping[str, nn.Module]:
        """The network."""
        return {"model": self.model}

    def optimisers(self) -> Mapping[str, Trainable]:
        """``network``: what learns."""
        learning = [p for p in self.model.parameters() if p.requires_grad]
        return {"network": Trainable([ParameterGroup(learning)], self.optimiser)}

    def losses(self, modules: Mapping[str, Any], batch: Tensor) -> Iterator[Loss]:
        """The loss of a batch ``(N, 3, patch, patch)``."""
        x = batch.contiguous(memory_format=torch.channels_last)
        coded: Coded = modules["model"](x)
        distortion, rate = distortion_of(coded, x, self.distortion), estimated_bpp(coded)
        logs = {"distortion": distortion.detach(), "estimated_bpp": rate.detach()}
        yield Loss("network", self.lambda_ * distortion + rate, logs)

    def validate(self, modules: Mapping[str, Any], step: int) -> Mapping[str, float]:
        """``holdout_loss`` and its two terms, with latents rounded as a bitstream has them."""
        if not self._held_out:
            return {}
        device = next(self.model.parameters()).device
        found = [self._measured(x[None].to(device)) for x in self._held_out]
        distortion, rate = (sum(column) / len(found) for column in zip(*found, strict=True))
        return {
            HELD_OUT_LOSS: self.lambda_ * distortion + rate,
            "holdout_distortion": distortion,
            "holdout_bpp": rate,
        }

    @torch.no_grad()
    def _measured(self, x: Tensor) -> tuple[float, float]:
        coded = coded_exactly(self.model, x)
        distortion = distortion_of(coded, x, self.distortion)
        return float(distortion), float(estimated_bpp(coded))

    def selection(self) -> Selection | None:
        """The loss of the images held out, where there are any."""
        return Selection(HELD_OUT_LOSS, "min") if self._held_out else None


def coded_exactly(model: CompressionModel, x: Tensor) -> Coded:
    """The pass of a bitstream over ``x``: latents are rounded for rate and picture alike."""
    assert model.h_a is not None
    y = model.g_a(x).float()
    z = model.h_a(model.hyper_input(y)).float()
    medians = model.prior.medians
    z_hat = rounded(z - medians) + medians
    scales, means = model.scales_and_means(z_hat)
    centred = rounded(y if means is None else y - means)
    likelihoods = {
        "y": gaussian_likelihood(centred, scales),
        "z": model.prior.likelihood(z_hat),
    }
    y_hat = centred if means is None else centred + means
    return {"x_hat": model.g_s(y_hat).clamp(0, 1), "likelihoods": likelihoods}


def _cut(image: Image, stride: int, least: int) -> Tensor:
    """``image`` in [0, 1], from the top left, its sides multiples of ``stride``.

    They are ``least`` at least, the last row and column being repeated, and :data:`_MOST_SIDE` at
    most, so that large photographs are validated in bounded time and memory.
    """
    height, width = (
        max(least, min(side, _MOST_SIDE) // stride * stride) for side in image.shape[:2]
    )
    x = to_tensor(image)[:, :height, :width]
    missing = (0, width - x.shape[2], 0, height - x.shape[1])
    return nn.functional.pad(x[None], missing, "replicate")[0] if any(missing) else x
