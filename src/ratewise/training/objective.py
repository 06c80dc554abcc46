"""What is trained and on what: the one interface between the loop and everything that learns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from torch import Tensor, nn

from ratewise.training.schedule import Direction
from ratewise.training.settings import OptimiserSettings


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters that an optimiser treats alike, apart from its other groups."""

    parameters: Sequence[nn.Parameter]
    lr_scale: float = 1.0
    weight_decay: float | None = None
    """None: the optimiser's."""


@dataclass(frozen=True)
class Trainable:
    """What one optimiser moves, and how."""

    groups: Sequence[ParameterGroup]
    settings: OptimiserSettings

    @classmethod
    def of(cls, *modules: nn.Module, settings: OptimiserSettings) -> Trainable:
        """All parameters of ``modules`` that require a gradient, as one group."""
        parameters = [p for m in modules for p in m.parameters() if p.requires_grad]
        return cls([ParameterGroup(parameters)], settings)


class Loss(NamedTuple):
    """A loss to go down by one step of one optimiser, and what to log beside it."""

    optimiser: str
    value: Tensor
    """A scalar, averaged over the samples of the batch."""
    logs: Mapping[str, float | Tensor] = {}


@dataclass(frozen=True)
class Selection:
    """The validation metric that chooses the best weights, lowers plateaus and stops early."""

    metric: str
    direction: Direction


class Objective(Protocol):
    """What the loop asks of the thing that it trains. Inherit to take the defaults.

    Modules are trained in the mode (``train()``, ``eval()``) and with the ``requires_grad`` that
    the objective hands them over in. State that must survive a resume lies in a module.
    """

    def modules(self) -> Mapping[str, nn.Module]:
        """Everything with state to train and to checkpoint, by name."""
        ...

    def frozen(self) -> Mapping[str, nn.Module]:
        """Networks that only help (a teacher, a perceptual loss); never saved, never stepped.

        The loop moves them to its device and passes them to :meth:`losses` and :meth:`validate`
        with the others. Their parameters must not require gradients.
        """
        return {}

    def optimisers(self) -> Mapping[str, Trainable]:
        """The optimisers by name. Called once, when the modules are on their device."""
        ...

    def losses(self, modules: Mapping[str, Any], batch: Any) -> Iterator[Loss]:
        """Yield the losses of one step in turn.

        Before this generator goes on, the loop has zeroed the gradients of the named optimiser,
        gone back from the loss and stepped, so a GAN yields ``discriminator`` and then computes
        and yields ``generator``. ``modules`` are wrapped for device, precision and distribution:
        call these, not your own. ``batch`` is what ``collate`` made, on the device.

        With ``accumulate`` above 1 there is one generator for each part of the batch, and all of
        them yield before the step; each must yield for the same optimisers in the same order.
        """
        ...

    def validate(self, modules: Mapping[str, Any], step: int) -> Mapping[str, float]:
        """Metrics of the weights after ``step`` steps (their average, with EMA), without gradients.

        The loop has put the modules in ``eval()`` and puts their modes back afterwards. With
        several devices it is called on each, over all of the data, and the first one's count.
        """
        return {}

    def selection(self) -> Selection | None:
        """Which of the metrics of :meth:`validate` selects; None keeps the last weights."""
        return None
