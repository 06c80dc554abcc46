"""Small objectives and sources that the training tests share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from ratewise.training.objective import Loss, Objective, Selection, Trainable
from ratewise.training.settings import OptimiserSettings


class Line:
    """y = 3 x0 - 2 x1 + noise from the sample's own generator."""

    def __init__(self, samples: int = 24, noise: float = 0.01) -> None:
        self._x = np.random.default_rng(0).normal(size=(samples, 2)).astype(np.float32)
        self._noise = noise

    def __len__(self) -> int:
        return len(self._x)

    def get(self, index: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        x = self._x[index]
        y = 3 * x[0] - 2 * x[1] + self._noise * rng.normal()
        return x, np.array([y], np.float32)


class Regression(Objective):
    """A linear layer fitted to :class:`Line`; validation gives the numbers of ``metrics``."""

    def __init__(
        self, settings: OptimiserSettings, metrics: list[float] | None = None, poison: int = -1
    ) -> None:
        torch.manual_seed(0)
        self.model = nn.Linear(2, 1)
        self.settings, self.metrics, self.poison = settings, metrics, poison
        self.steps = 0

    def modules(self) -> Mapping[str, nn.Module]:
        return {"model": self.model}

    def optimisers(self) -> Mapping[str, Trainable]:
        return {"main": Trainable.of(self.model, settings=self.settings)}

    def losses(self, modules: Mapping[str, Any], batch: Any) -> Iterator[Loss]:
        x, y = batch
        loss = F.mse_loss(modules["model"](x), y)
        if self.steps == self.poison:
            loss = loss * float("nan")
        self.steps += 1
        yield Loss("main", loss, {"absolute": loss.detach().sqrt()})

    def validate(self, modules: Mapping[str, Any], step: int) -> Mapping[str, float]:
        return {"score": self.metrics.pop(0)} if self.metrics is not None else {}

    def selection(self) -> Selection | None:
        return Selection("score", "max") if self.metrics is not None else None


class Pictures:
    """4x4 pictures of one channel with noise from the sample's generator."""

    def __len__(self) -> int:
        return 14

    def get(self, index: int, rng: np.random.Generator) -> torch.Tensor:
        return torch.from_numpy(rng.normal(index % 3, 1.0, (1, 4, 4)).astype(np.float32))


class SmallGan(Objective):
    """Two networks against each other: batch norm, dropout, noise, Adam and SGD, a selection."""

    def __init__(self) -> None:
        torch.manual_seed(1)
        self.generator = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 1, 1)
        )
        self.discriminator = nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Dropout2d(0.3), nn.Flatten(), nn.Linear(16, 1)
        )
        self.order: list[str] = []

    def modules(self) -> Mapping[str, nn.Module]:
        return {"generator": self.generator, "discriminator": self.discriminator}

    def optimisers(self) -> Mapping[str, Trainable]:
        slow = OptimiserSettings(kind="sgd", lr=0.05, schedule={"kind": "plateau", "patience": 1})
        fast = OptimiserSettings(kind="adam", lr=0.01, betas=(0.5, 0.99), schedule="poly")
        return {
            "discriminator": Trainable.of(self.discriminator, settings=slow),
            "generator": Trainable.of(self.generator, settings=fast),
        }

    def losses(self, modules: Mapping[str, Any], batch: Any) -> Iterator[Loss]:
        fake = modules["generator"](torch.randn_like(batch))
        real_score = modules["discriminator"](batch)
        fake_score = modules["discriminator"](fake.detach())
        value = F.softplus(-real_score).mean() + F.softplus(fake_score).mean()
        self.order.append("discriminator")
        yield Loss("discriminator", value, {"real": real_score.mean()})
        self.order.append("generator")
        yield Loss("generator", F.softplus(-modules["discriminator"](fake)).mean())

    def validate(self, modules: Mapping[str, Any], step: int) -> Mapping[str, float]:
        image = modules["generator"](torch.randn(4, 1, 4, 4))
        return {"distance": float((image.mean() - 1).abs())}

    def selection(self) -> Selection | None:
        return Selection("distance", "min")
