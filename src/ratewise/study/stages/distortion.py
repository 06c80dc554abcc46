"""How far the test images are from their originals: SSIM, image by image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ratewise.data.store import Store, open_store
from ratewise.errors import StageError
from ratewise.execution import map_items, progress
from ratewise.files import write_json
from ratewise.metrics.distortion import ssim
from ratewise.study.image_rows import write_rows
from ratewise.study.outputs import ANALYSIS, IMAGES, STORE, evenly
from ratewise.study.plan import Stage
from ratewise.study.scheduler import StageContext


def run(
    stage: Stage, inputs: Mapping[str, Path], folder: Path, context: StageContext
) -> list[Path]:
    """The stage runner: leaves a row per image, and the mean."""
    images = open_store(inputs["images"] / STORE)
    originals = open_store(inputs["originals"] / STORE)
    indices = evenly(len(images), stage.params["images"])
    rows: list[dict[str, Any]] = []
    with progress(stage.title, len(indices), quiet=context.quiet) as bar:
        job = _Pair(images, originals)
        for outcome in map_items(_similarity, indices, context.resources, context=job):
            if outcome.value is None:
                raise StageError(f"{images.records[outcome.item].path}: {outcome.failure}")
            rows.append({"key": images.records[outcome.item].key, "ssim": outcome.value})
            bar.advance()
    write_rows(folder / IMAGES, rows)
    mean = sum(row["ssim"] for row in rows) / len(rows)
    write_json(folder / ANALYSIS, {"images": len(rows), "ssim": mean})
    return [folder / IMAGES, folder / ANALYSIS]


@dataclass(frozen=True)
class _Pair:
    """The images and their originals."""

    images: Store
    originals: Store


def _similarity(pair: _Pair, index: int) -> float:
    return ssim(pair.originals.image(index), pair.images.image(index))
