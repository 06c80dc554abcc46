"""The perceptual index that is at hand, for logs: HOSA, else NIQE, else none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from ratewise.images import Image
from ratewise.metrics.perception.hosa import load_hosa
from ratewise.metrics.perception.niqe import load_niqe
from ratewise.metrics.perception.parameters import ROOT_VARIABLE, parameters_root


class PerceptualIndex(Protocol):
    """A score of a single image, lower is better; ``name`` says which."""

    @property
    def name(self) -> str:
        """``hosa`` or ``niqe``."""

    def __call__(self, image: Image, /) -> float:
        """The score of ``uint8 (H, W, 3)``."""


_LOADERS: dict[str, Callable[[Path], PerceptualIndex]] = {"hosa": load_hosa, "niqe": load_niqe}


def perceptual_index(folder: Path | None = None) -> PerceptualIndex | None:
    """HOSA where ``folder`` has its parameters, else NIQE where it has those, else None.

    Without ``folder``, in the one that ``RATEWISE_IQA`` names; :func:`why_no_index` says why
    there is none. Raises :class:`ratewise.errors.InputError` if the folder named does not exist,
    or an index's files are incomplete or damaged.
    """
    root = parameters_root(folder)
    for name, load in _LOADERS.items():
        if root is not None and (root / name).is_dir():
            return load(root)
    return None


def why_no_index(folder: Path | None = None) -> str | None:
    """Why :func:`perceptual_index` gives None, as a sentence without its full stop; else None."""
    root = parameters_root(folder)
    if root is None:
        return (
            f"no perceptual index: no folder of its parameters is given and {ROOT_VARIABLE} "
            "is not set (docs/perceptual-index.md)"
        )
    if not any((root / name).is_dir() for name in _LOADERS):
        return f"no perceptual index: {root} has neither a folder 'hosa' nor 'niqe'"
    return None
