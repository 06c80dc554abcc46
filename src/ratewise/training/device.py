"""Where a run happens: device, precision, determinism. Without Fabric, which loads slowly."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch.utils import deterministic as _deterministic

from ratewise.errors import InputError

Precision = Literal["32-true", "bf16-mixed"]

_filling: Any = _deterministic  # its attribute is made at run time


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
