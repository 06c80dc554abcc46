"""The enhancement module by itself, trained on after everything has learned together.

Ours: the picture that it is given has stopped changing, and a step needs the gradients of this
module alone. Nothing that decides the parts of a file learns, so what is gained is gained at equal
rate.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ratewise.joint.network import JointModel
from ratewise.tasks.samples import Batch
from ratewise.training.objective import Loss, Objective, ParameterGroup, Selection, Trainable
from ratewise.training.settings import OptimiserSettings


class Enhancing(nn.Module):
    """The enhanced picture of ``model``, whose other modules give what a decoder has, and stay."""

    def __init__(self, model: JointModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The plain picture and the enhanced one of ``x``, ``(N, 3, H, W)`` in [0, 1]."""
        assert self.model.enhancement is not None
        with torch.no_grad():
            given = self.model.plain(x)
        return given["x_hat"], self.model.enhancement(given["x_hat"], given["logits"])


class EnhancementLast(Objective):
    """D of the enhanced picture, times lambda, for the enhancement module of ``model`` alone."""

    def __init__(self, model: JointModel, lambda_: float, optimiser: OptimiserSettings) -> None:
        self.enhancing = Enhancing(model)
        self.lambda_, self.optimiser = lambda_, optimiser
        model.to(memory_format=torch.channels_last)
        model.eval().requires_grad_(False)  # batch norms too stay what they are
        assert model.enhancement is not None
        model.enhancement.requires_grad_(True)

    def modules(self) -> Mapping[str, nn.Module]:
        """The network."""
        return {"model": self.enhancing}

    def optimisers(self) -> Mapping[str, Trainable]:
        """``enhancement``."""
        module = self.enhancing.model.enhancement
        assert module is not None
        group = ParameterGroup(list(module.parameters()))
        return {"enhancement": Trainable([group], self.optimiser)}

    def losses(self, modules: Mapping[str, Any], batch: Batch) -> Iterator[Loss]:
        """The loss of a batch."""
        x = batch.images[0].float() / 255
        plain, enhanced = modules["model"](x.contiguous(memory_format=torch.channels_last))
        logs = {
            f"mse_{name}": (picture.float() - x).square().mean()
            for name, picture in (("plain", plain), ("enhanced", enhanced))
        }
        value = self.lambda_ * logs["mse_enhanced"]
        yield Loss("enhancement", value, {name: one.detach() for name, one in logs.items()})

    def selection(self) -> Selection | None:
        """The last weights count."""
        return None
