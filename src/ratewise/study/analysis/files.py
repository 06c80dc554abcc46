"""The files that analyses rest on: parameters of perceptual indices, weights of a classifier."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ratewise.errors import InputError
from ratewise.metrics.perception.parameters import parameters_root
from ratewise.study.analysis_settings import PerceptionSettings

INDICES = ("hosa", "niqe")
"""The indices of single images, which are the folders of their parameters too."""


@dataclass(frozen=True)
class PerceptionFiles:
    """``root`` holds the indices' folders, ``indices`` the files of those that are there."""

    root: Path | None = None
    indices: dict[str, list[Path]] = field(default_factory=dict)
    backbone: Path | None = None


def perception_files(settings: PerceptionSettings | None, base: Path) -> PerceptionFiles:
    """What is there for the indices; relative paths start from ``base``.

    Raises :class:`InputError` for a folder or a file that is named and does not exist.
    """
    if settings is None:
        return PerceptionFiles()
    try:
        root = parameters_root(None if settings.iqa is None else base / settings.iqa)
    except InputError as error:
        raise InputError(f"analysis.perception.iqa: {error}") from None
    found = {
        name: sorted(path for path in (root / name).iterdir() if path.is_file())
        for name in (INDICES if root is not None else ())
        if root is not None and (root / name).is_dir()
    }
    backbone = None if settings.backbone is None else base / settings.backbone.weights
    if backbone is not None and not backbone.is_file():
        raise InputError(f"analysis.perception.backbone.weights: {backbone}: no such file")
    return PerceptionFiles(root, found, backbone)
