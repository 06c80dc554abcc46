"""What a learned codec is trained for: lambda D + R, and the quantiles of its prior."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ratewise.images import Image
from ratewise.metrics.distortion import psnr
from ratewise.neural.coder import NeuralCoder
from ratewise.neural.models import Coded, CompressionModel, estimated_bpp
from ratewise.neural.weights import pack
from ratewise.training.objective import Loss, Objective, ParameterGroup, Selection, Trainable
from ratewise.training.settings import OptimiserSettings

Distortion = Literal["mse", "ms_ssim"]

CALIBRATION = 4
"""So many of the images held out show :func:`ratewise.neural.weights.pack` its ranges."""


def distortion_of(coded: Coded, x: Tensor, kind: Distortion) -> Tensor:
    """``255**2 * MSE``, or ``1 - MS-SSIM``, of ``x`` ``(N, 3, H, W)``; a scalar."""
    x_hat = coded["x_hat"].float()
    if kind == "mse":
        return 255**2 * torch.mean((x_hat - x) ** 2)
    from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

    return 1 - torch.as_tensor(
        multiscale_structural_similarity_index_measure(x_hat, x, data_range=1.0)
    )


class RateDistortion(Objective):
    """``lambda D + R`` on patches, and the quantile loss in an optimiser of its own."""

    def __init__(
        self,
        model: CompressionModel,
        lambda_: float,
        distortion: Distortion,
        optimiser: OptimiserSettings,
        quantiles: OptimiserSettings,
        held_out: Sequence[Image] = (),
    ) -> None:
        self.model, self.lambda_, self.distortion = model, lambda_, distortion
        self.optimiser, self.quantiles, self.held_out = optimiser, quantiles, held_out
        model.to(memory_format=torch.channels_last)

    def modules(self) -> Mapping[str, nn.Module]:
        """The network."""
        return {"model": self.model}

    def optimisers(self) -> Mapping[str, Trainable]:
        """``network`` for all but the quantiles, ``quantiles`` for these."""
        quantiles = self.model.prior.quantiles
        rest = [p for p in self.model.parameters() if p is not quantiles]
        return {
            "network": Trainable([ParameterGroup(rest)], self.optimiser),
            "quantiles": Trainable([ParameterGroup([quantiles])], self.quantiles),
        }

    def losses(self, modules: Mapping[str, Any], batch: Tensor) -> Iterator[Loss]:
        """The loss of a batch ``(N, 3, patch, patch)``, then the quantile loss."""
        x = batch.contiguous(memory_format=torch.channels_last)
        coded: Coded = modules["model"](x)
        distortion, rate = distortion_of(coded, x, self.distortion), estimated_bpp(coded)
        yield Loss(
            "network",
            self.lambda_ * distortion + rate,
            {"distortion": distortion.detach(), "estimated_bpp": rate.detach()},
        )
        yield Loss("quantiles", self.model.prior.quantile_loss())

    def validate(self, modules: Mapping[str, Any], step: int) -> Mapping[str, float]:
        """``bpp`` of real files, and ``psnr``, of the images held out, with the weights as they
        are now: packed, coded and decoded as they will be in use. Nothing without such images."""
        if not self.held_out:
            return {}
        coder = NeuralCoder(pack(self.model, self.held_out[:CALIBRATION]))
        files = coder.encode(self.held_out)
        decoded = coder.decode(files)
        pixels = [image.shape[0] * image.shape[1] for image in self.held_out]
        rates = [8 * len(file) / count for file, count in zip(files, pixels, strict=True)]
        quality = [psnr(a, b) for a, b in zip(self.held_out, decoded, strict=True)]
        return {"bpp": sum(rates) / len(rates), "psnr": sum(quality) / len(quality)}

    def selection(self) -> Selection | None:
        """The last weights count: schedules end low, and a choice among them would overfit."""
        return None
