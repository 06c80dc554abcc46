"""Lightning Fabric as the loop uses it, and frozen networks in its precision."""

from __future__ import annotations

import atexit
import logging
from typing import Any

import torch
from lightning.fabric import Fabric
from torch import Tensor, nn

from ratewise.errors import InputError
from ratewise.training.device import resolve_device, resolve_precision
from ratewise.training.settings import TrainingSettings

# Fabric announces its precision each time; a study would print it once per training. Which of
# the two says so depends on whether the other was imported.
for _name in ("lightning.fabric", "lightning.pytorch"):
    logging.getLogger(_name).setLevel(logging.WARNING)


def make_fabric(settings: TrainingSettings) -> Fabric:
    """Fabric on the device of ``settings``, launched when it has several.

    Raises :class:`InputError` when CUDA or as many of its devices are asked for as are not there.
    """
    device = resolve_device(settings.device)
    if device == "cuda" and settings.devices > torch.cuda.device_count():
        raise InputError(
            f"devices = {settings.devices}, but this machine has {torch.cuda.device_count()}"
        )
    fabric = Fabric(
        accelerator=device,
        devices=settings.devices,
        num_nodes=settings.nodes,
        precision=resolve_precision(settings.precision, device),
    )
    if settings.devices * settings.nodes > 1:
        fabric.launch()
        atexit.unregister(_leave)
        atexit.register(_leave)
    return fabric


def _leave() -> None:
    """Leave the group of processes before the interpreter goes: what is left of it may abort."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


class InPrecision(nn.Module):
    """A frozen network run like the trained ones: in the run's precision, floats as output."""

    def __init__(self, module: nn.Module, fabric: Fabric) -> None:
        super().__init__()
        self.module = fabric.to_device(module)
        self._autocast = fabric.autocast

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the network returns, with floating-point tensors as float32."""
        from lightning_utilities.core.apply_func import apply_to_collection

        with self._autocast():
            output = self.module(*args, **kwargs)
        return apply_to_collection(
            output, Tensor, lambda value: value.float() if value.is_floating_point() else value
        )
