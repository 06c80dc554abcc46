"""Perceptual indices of a set of test images, one by one and as a set beside the originals."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from ratewise.data.store import Store, open_store
from ratewise.errors import ImageError, InputError, StageError
from ratewise.execution import map_items, progress
from ratewise.files import write_json
from ratewise.images import Image
from ratewise.metrics.distortion import decibels, ms_ssim, psnr
from ratewise.metrics.perception import patch_kid, success_rate
from ratewise.metrics.perception.backbone import load_backbone
from ratewise.metrics.perception.hosa import load_hosa
from ratewise.metrics.perception.niqe import load_niqe
from ratewise.study.analysis.files import INDICES, perception_files
from ratewise.study.analysis_settings import PerceptionSettings
from ratewise.study.image_rows import finite, write_rows
from ratewise.study.outputs import ANALYSIS, IMAGES, STORE, evenly
from ratewise.study.plan import Stage
from ratewise.study.scheduler import StageContext

_LOADERS: dict[str, Callable[[Path], Callable[[Image], float]]] = {
    "hosa": load_hosa,
    "niqe": load_niqe,
}
_KID_SIDE, _OBSERVED_SIDE = 64, 32
"""Sides of the patches that KID and the success rate look at, or the images' shorter side."""


def run(
    stage: Stage, inputs: Mapping[str, Path], folder: Path, context: StageContext
) -> list[Path]:
    """The stage runner: leaves a row per image, and the means and distances of the set."""
    settings = _settings(context)
    images = open_store(inputs["images"] / STORE)
    originals = open_store(inputs["originals"] / STORE) if "originals" in inputs else None
    files = perception_files(settings, context.base)
    known = [name for name in INDICES if name in stage.params["indices"] and name in files.indices]
    indices = evenly(len(images), stage.params["images"])
    rows = _rows(_Job(images, originals, files.root, tuple(known)), indices, stage, context)
    missing = {name: "its parameters are not there" for name in INDICES if name not in known}
    found: dict[str, Any] = {"images": len(indices), "sizes": _sizes(images, indices)}
    for name in ("psnr", "ms_ssim_db", *known):
        values = [row[name] for row in rows if not math.isnan(row[name])]
        found[name] = finite(sum(values) / len(values)) if values else None
        if name in known and not values:
            missing[name] = "the images are too small for it"
    if originals is not None:
        found |= _distances(stage, settings, files.backbone, images, originals, indices, missing)
    write_rows(folder / IMAGES, rows)
    write_json(folder / ANALYSIS, {**found, "missing": missing})
    return [folder / IMAGES, folder / ANALYSIS]


@dataclass(frozen=True)
class _Job:
    images: Store
    originals: Store | None
    root: Path | None
    indices: tuple[str, ...]


def _rows(
    job: _Job, indices: Sequence[int], stage: Stage, context: StageContext
) -> list[dict[str, Any]]:
    for name in job.indices:
        _loaded(name, job.root)  # what is wrong with its files is said once, not for every image
    rows: list[dict[str, Any]] = []
    with progress(stage.title, len(indices), quiet=context.quiet) as bar:
        for outcome in map_items(_row, indices, context.resources, context=job):
            if outcome.value is None:
                failure = outcome.failure.message if outcome.failure else "no result"
                key = job.images.records[outcome.item].key
                raise StageError(f"{key}: its perceptual indices cannot be computed: {failure}")
            rows.append(outcome.value)
            bar.advance()
    return rows


def _row(job: _Job, index: int) -> dict[str, Any]:
    image = job.images.image(index)
    row: dict[str, Any] = {"key": job.images.records[index].key, "psnr": math.inf}
    row["ms_ssim_db"] = math.inf
    if job.originals is not None:
        original = job.originals.image(index)
        row["psnr"], row["ms_ssim_db"] = psnr(original, image), decibels(ms_ssim(original, image))
    for name in INDICES:
        row[name] = math.nan
        if name in job.indices:
            try:
                row[name] = _loaded(name, job.root)(image)
            except ImageError:  # too small for it
                continue
    return row


@lru_cache(maxsize=4)
def _loaded(name: str, root: Path | None) -> Callable[[Image], float]:
    """An index with its parameters; loaded once per process."""
    if root is None:
        raise InputError(f"the parameters of {name} are gone")
    return _LOADERS[name](root)


def _distances(
    stage: Stage,
    settings: PerceptionSettings,
    backbone: Path | None,
    images: Store,
    originals: Store,
    indices: Sequence[int],
    missing: dict[str, str],
) -> dict[str, Any]:
    """How far the set is from the originals; what cannot be had goes into ``missing``."""
    found: dict[str, Any] = {}
    one, other = ([store.image(index) for index in indices] for store in (originals, images))
    side = min(min(image.shape[:2]) for image in one)
    if settings.backbone is None or backbone is None:
        missing["kid"] = "no backbone is given"
    else:
        norm = settings.backbone.normalisation
        network = load_backbone(
            backbone,
            settings.backbone.name,
            options=settings.backbone.options,
            mean=norm.mean,
            std=norm.std,
        )
        kid = patch_kid(
            one,
            other,
            network,
            side=min(_KID_SIDE, side),
            patches=settings.backbone.patches,
        )
        found["kid"] = {"value": kid.kid, "deviation": kid.deviation, "patches": kid.samples}
    if not stage.params["success_rate"]:
        missing["success_rate"] = "it is not asked for"
        return found
    try:
        rate = success_rate(one, other, side=min(_OBSERVED_SIDE, side))
        found["success_rate"] = {"value": rate.rate, "low": rate.low, "high": rate.high}
    except InputError as error:  # too few images, or too small ones
        missing["success_rate"] = str(error)
    return found


def _sizes(store: Store, indices: Sequence[int]) -> list[str]:
    records = store.records
    return list(dict.fromkeys(f"{records[i].width}x{records[i].height}" for i in indices))


def _settings(context: StageContext) -> PerceptionSettings:
    analysis = context.settings.analysis
    if analysis is None or analysis.perception is None:
        raise StageError("the study file asks for no perceptual indices")
    return analysis.perception
