"""What a joint codec is trained for: lambda D + R + CE, and the quantiles of its priors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ratewise.joint.network import Joined, JointModel, rates
from ratewise.joint.settings import JointLossSettings
from ratewise.tasks import task as tasks
from ratewise.tasks.samples import Batch
from ratewise.training.objective import Loss, Objective, ParameterGroup, Selection, Trainable
from ratewise.training.settings import OptimiserSettings


class MutualEnhancement(Objective):
    """``L = lambda D + R + CE`` (Chen et al. 2021, eq. 2) for all of ``model``.

    ``cross_entropy`` is the loss of a segmentation task on logits and a batch. The quantiles of
    the factorised priors have a loss and an optimiser of their own.
    """

    def __init__(
        self,
        model: JointModel,
        lambda_: float,
        weights: JointLossSettings,
        cross_entropy: tasks.Loss,
        optimiser: OptimiserSettings,
        quantiles: OptimiserSettings,
        *,
        image_lr_scale: float = 1.0,
    ) -> None:
        self.model, self.lambda_, self.weights = model, lambda_, weights
        self.cross_entropy, self.optimiser, self.quantiles = cross_entropy, optimiser, quantiles
        self.image_lr_scale = image_lr_scale
        self._latents = [one for one in (model.image, model.semantic) if one is not None]
        model.to(memory_format=torch.channels_last)

    def modules(self) -> Mapping[str, nn.Module]:
        """The network."""
        return {"model": self.model}

    def optimisers(self) -> Mapping[str, Trainable]:
        """``network`` for all but the quantiles, ``quantiles`` for these."""
        quantiles = [latent.prior.quantiles for latent in self._latents]
        apart = {id(p) for p in quantiles}
        image = [p for p in self.model.image.parameters() if id(p) not in apart]
        apart |= {id(p) for p in image}
        rest = [p for p in self.model.parameters() if id(p) not in apart]
        groups = [ParameterGroup(image, lr_scale=self.image_lr_scale)]
        if rest:
            groups.append(ParameterGroup(rest))
        return {
            "network": Trainable(groups, self.optimiser),
            "quantiles": Trainable([ParameterGroup(quantiles)], self.quantiles),
        }

    def losses(self, modules: Mapping[str, Any], batch: Batch) -> Iterator[Loss]:
        """The loss of a batch, then the quantile loss."""
        x = batch.images[0].float() / 255
        joined: Joined = modules["model"](x.contiguous(memory_format=torch.channels_last))
        value, logs = joint_loss(joined, x, batch, self.lambda_, self.weights, self.cross_entropy)
        yield Loss("network", value, logs)
        quantile_losses = [latent.prior.quantile_loss() for latent in self._latents]
        yield Loss("quantiles", torch.stack(quantile_losses).sum())

    def selection(self) -> Selection | None:
        """The last weights count."""
        return None


def joint_loss(
    joined: Joined,
    x: Tensor,
    batch: Batch,
    lambda_: float,
    weights: JointLossSettings,
    cross_entropy: tasks.Loss,
) -> tuple[Tensor, dict[str, Tensor]]:
    """``lambda D + R + CE`` of images ``x`` ``(N, 3, H, W)`` in [0, 1], a scalar; and its terms."""
    distortion = (joined["x_hat"].float() - x).square().mean()
    logs = {"mse_plain": distortion.detach()}
    if "x_enhanced" in joined:
        enhanced = (joined["x_enhanced"].float() - x).square().mean()
        logs["mse_enhanced"] = enhanced.detach()
        distortion = weights.plain * distortion + (1 - weights.plain) * enhanced
    value = lambda_ * distortion
    for name, rate in rates(joined["likelihoods"], x).items():
        value = value + rate
        logs[f"bpp_{name}"] = rate.detach()
    if "logits" in joined:
        entropy = cross_entropy(joined["logits"], batch)
        value = value + weights.cross_entropy * entropy
        logs["cross_entropy"] = entropy.detach()
    return value, logs
