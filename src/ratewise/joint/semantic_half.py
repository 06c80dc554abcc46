"""The semantic half of a joint codec by itself, trained before everything learns together.

Ours: a network for maps learns more slowly than a codec that has learned already adapts, and a step
without the picture takes a third of the time. Nothing is quantised yet: the entropy model of s
learns what the latent is like, and the latent does not learn to be cheap. So one half is the start
of a variant with quantisation and of one without, and what differs between them later is the
quantisation's doing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypedDict

import torch
from torch import Tensor, nn

from ratewise.joint.network import JointModel, padded, rates
from ratewise.joint.settings import JointLossSettings
from ratewise.tasks import task as tasks
from ratewise.tasks.samples import Batch
from ratewise.training.objective import Loss, Objective, ParameterGroup, Selection, Trainable
from ratewise.training.settings import OptimiserSettings


class Segmented(TypedDict):
    """What the training pass of the semantic half gives, as :class:`Joined` has it."""

    logits: Tensor
    likelihoods: dict[str, Tensor]


class SemanticHalf(nn.Module):
    """What ``model`` has for the map, to train alone: the image's codec gives features and stays.

    Gives ``logits`` of s as it is, and ``likelihoods`` that lead no gradients to s (none from a
    model without quantisation).
    """

    def __init__(self, model: JointModel) -> None:
        super().__init__()
        self.model = model

    def parts(self) -> dict[str, nn.Module]:
        """What learns, by its name in the model: aggregation, decoder and the model of s."""
        one = self.model
        every = {"aggregation": one.aggregation, "decoder": one.decoder, "semantic": one.semantic}
        return {name: part for name, part in every.items() if part is not None}

    def learning(self) -> list[nn.Parameter]:
        """The weights of :meth:`parts`."""
        return [parameter for part in self.parts().values() for parameter in part.parameters()]

    def forward(self, x: Tensor) -> Segmented:
        """The training pass over ``x``, as that of :class:`JointModel` has it."""
        model, (height, width) = self.model, x.shape[-2:]
        assert model.aggregation is not None
        assert model.decoder is not None
        with torch.no_grad():
            features, y = model.features(padded(x))
        likelihoods: dict[str, Tensor] = {}
        s = model.aggregation(features, y).float()
        if model.semantic is not None:
            _, likelihoods = model.semantic.coded(s.detach())
        logits = model.decoder(s)[..., :height, :width].float()
        return {
            "logits": logits,
            "likelihoods": {f"semantic.{name}": value for name, value in likelihoods.items()},
        }


class SemanticFirst(Objective):
    """CE of the map, on features of an image's codec that stays as it is; and R of the entropy
    model of s, on latents that stay as they are."""

    def __init__(
        self,
        half: SemanticHalf,
        weights: JointLossSettings,
        cross_entropy: tasks.Loss,
        optimiser: OptimiserSettings,
        quantiles: OptimiserSettings,
    ) -> None:
        self.half, self.weights, self.cross_entropy = half, weights, cross_entropy
        self.optimiser, self.quantiles = optimiser, quantiles
        half.model.to(memory_format=torch.channels_last)
        learning = {id(parameter) for parameter in half.learning()}
        for parameter in half.parameters():
            parameter.requires_grad_(id(parameter) in learning)

    def modules(self) -> Mapping[str, nn.Module]:
        """The network."""
        return {"model": self.half}

    def optimisers(self) -> Mapping[str, Trainable]:
        """``network``, and with quantisation ``quantiles``."""
        semantic = self.half.model.semantic
        quantiles = [] if semantic is None else [semantic.prior.quantiles]
        apart = {id(parameter) for parameter in quantiles}
        rest = [parameter for parameter in self.half.learning() if id(parameter) not in apart]
        found = {"network": Trainable([ParameterGroup(rest)], self.optimiser)}
        if quantiles:
            found["quantiles"] = Trainable([ParameterGroup(quantiles)], self.quantiles)
        return found

    def losses(self, modules: Mapping[str, Any], batch: Batch) -> Iterator[Loss]:
        """The loss of a batch, then the quantile loss."""
        x = batch.images[0].float() / 255
        found: Segmented = modules["model"](x.contiguous(memory_format=torch.channels_last))
        value = self.weights.cross_entropy * self.cross_entropy(found["logits"], batch)
        logs = {"cross_entropy": value.detach()}
        for name, rate in rates(found["likelihoods"], x).items():
            value = value + rate
            logs[f"bpp_{name}"] = rate.detach()
        yield Loss("network", value, logs)
        if self.half.model.semantic is not None:
            yield Loss("quantiles", self.half.model.semantic.prior.quantile_loss())

    def selection(self) -> Selection | None:
        """The last weights count."""
        return None
