"""What the stages that score predictions share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from ratewise.data.store import Store
from ratewise.errors import StageError
from ratewise.files import write_json
from ratewise.images import Mask, write_png
from ratewise.study.image_rows import write_rows
from ratewise.study.outputs import IMAGES, METRICS, prediction_path
from ratewise.study.plan import Stage


def subsets_of(stage: Stage, store: Store) -> dict[str, list[int]]:
    """The images of each subset that a stage is to score apart, by the patterns of their keys.

    Raises :class:`StageError` for a subset without images.
    """
    found = {}
    for name, pattern in stage.params.get("subsets", {}).items():
        keys = [record.key for record in store.records]
        found[name] = [i for i, key in enumerate(keys) if fnmatchcase(key, pattern)]
        if not found[name]:
            raise StageError(f"subsets.{name} = {pattern!r}: no test image has such a key")
    return found


def write_masks(folder: Path, masks: Mapping[int, Mask]) -> list[Path]:
    """Leave masks for pictures, by the index of their image; returns the files."""
    files = []
    for index, mask in masks.items():
        path = prediction_path(folder, index)
        write_png(path, mask)
        files.append(path)
    return files


def write_scores(
    folder: Path, metrics: Mapping[str, float], images: Sequence[Mapping[str, Any]]
) -> list[Path]:
    """Leave the metrics and a row per image; returns the files."""
    write_rows(folder / IMAGES, images)
    write_json(folder / METRICS, metrics)
    return [folder / METRICS, folder / IMAGES]
