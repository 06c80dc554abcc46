"""A task small enough to compute by hand: the class of an image of one grey value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ratewise.tasks.divergence import pointwise_divergence
from ratewise.tasks.samples import Batch, Form, StoreSource
from ratewise.training.objective import ParameterGroup, Selection
from ratewise.training.settings import OptimiserSettings, TrainingSettings

GREYS = (0, 51, 102, 153)


@dataclass(frozen=True)
class Record:
    key: str
    width: int = 4
    height: int = 4


@dataclass
class Greys:
    """Images of one grey value each, and the class ``index % 2``."""

    offset: int = 0
    records: list[Record] = field(default_factory=lambda: [Record(f"{i}") for i in range(4)])

    def __len__(self) -> int:
        return len(self.records)

    def image(self, index: int) -> np.ndarray:
        return np.full((4, 4, 3), GREYS[index] + self.offset, np.uint8)

    def mask(self, index: int) -> np.ndarray:
        raise NotImplementedError

    def label(self, index: int) -> int:
        return index % 2


class Net(nn.Module):
    """A frozen body and a head: logits = head(body(mean pixel))."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.body, self.norm, self.head = nn.Linear(3, 5), nn.BatchNorm1d(5), nn.Linear(5, 3)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator))

    def forward(self, images: Tensor) -> Tensor:
        out: Tensor = self.head(self.norm(self.body(images.mean((2, 3)))))
        return out


_OPTIMISER = OptimiserSettings(lr=0.1)
TRAINING = TrainingSettings(steps=3, batch_size=4, device="cpu", precision="fp32")


@dataclass(frozen=True)
class _Settings:
    optimiser: OptimiserSettings = _OPTIMISER
    training: TrainingSettings = TRAINING
    augmentation: Any = None
    holdout: float = 0.0
    cache_mebibytes: int = 1
    network: str = "mnasnet_100"


def _label(store: Any, index: int) -> np.ndarray:
    return np.asarray(store.label(index), np.int64)


def _same(images: Any, target: Any, settings: Any, rng: Any) -> Any:
    return tuple(images), target


def _no_size(settings: Any) -> None:
    return None


_SETTINGS = _Settings()
_FORM = Form(_label, _same, _no_size, "a size")


@dataclass(frozen=True)
class GreyTask:
    settings: Any = _SETTINGS
    form: Form = _FORM

    @property
    def selection(self) -> Selection:
        return Selection("holdout_loss", "min")

    def initial_model(self, seed: int, base: Path) -> nn.Module:
        return Net(seed)

    def groups(self, model: nn.Module) -> list[ParameterGroup]:
        return [ParameterGroup([p for p in model.parameters() if p.requires_grad])]

    def last_layer(self, model: nn.Module) -> nn.Module:
        return model.get_submodule("head")

    def loss(self, source: StoreSource) -> Any:
        return lambda outputs, batch: F.cross_entropy(outputs, batch.targets)

    def divergence(self, teacher: Tensor, outputs: Tensor, batch: Batch) -> Tensor:
        return (pointwise_divergence(teacher, outputs) * batch.weights).mean()

    def save(self, path: Path, model: nn.Module, origin: Mapping[str, Any]) -> None:
        torch.save(model.state_dict(), path)

    def load(self, path: Path) -> nn.Module:
        model = Net()
        model.load_state_dict(torch.load(path, weights_only=True))
        return model.eval()
