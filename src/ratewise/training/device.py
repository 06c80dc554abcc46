"""Where a run happens: device, precision, determinism."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from lightning.fabric import Fabric
from torch import Tensor, nn
from torch.utils import deterministic as _deterministic

from ratewise.errors import InputError
from ratewise.training.settings import TrainingSettings

Precision = Literal["32-true", "bf16-mixed"]

# Fabric announces its precision each time; a study would print it once per training. Which of
# the two says so depends on whether the other was imported.
for _name in ("lightning.fabric", "lightning.pytorch"):
    logging.getLogger(_name).setLevel(logging.WARNING)

_filling: Any = _deterministic  # its attribute is made at run time


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
    return fabric


def resolve_device(device: str) -> str:
    """``cpu`` or ``cuda``; ``auto`` takes CUDA where it is. Raises :class:`InputError`."""
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("device = cuda, but this machine has no CUDA device that torch can use")
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return device


def resolve_precision(precision: str, device: str) -> Precision:
    """Fabric's name; ``auto`` takes bfloat16 where the device computes in it, not emulates it."""
    if precision == "auto":
        precision = "bf16" if _fast_bfloat16(device) else "fp32"
    return "bf16-mixed" if precision == "bf16" else "32-true"


def _fast_bfloat16(device: str) -> bool:
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # Private names: where a torch version lacks them, full precision is the safe answer.
    names = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    return any(bool(getattr(torch.cpu, name, lambda: False)()) for name in names)


@contextmanager
def reproducible(device: str) -> Iterator[None]:
    """On a CPU: deterministic algorithms inside this block. The caller's settings come back.

    On CUDA several operations that segmentation needs have no deterministic form, and the rest
    slow down, so results there are the same within a tolerance only.
    """
    before = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    fill = _filling.fill_uninitialized_memory
    if device == "cpu":
        torch.use_deterministic_algorithms(True, warn_only=True)
        _filling.fill_uninitialized_memory = False  # costs time, and nobody reads it
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warn_only)
        _filling.fill_uninitialized_memory = fill


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
