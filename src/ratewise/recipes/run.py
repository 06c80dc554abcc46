"""``ratewise task train`` from end to end: store the images, train by the standard recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ratewise.data.compress import compress_store
from ratewise.data.datasets import open_dataset
from ratewise.data.manifest import MANIFEST
from ratewise.data.sources import DatasetSource
from ratewise.data.store import FAILURES, open_store
from ratewise.errors import InputError
from ratewise.execution import Resources
from ratewise.execution.locks import locked
from ratewise.files import sha256_file
from ratewise.recipes import recipe
from ratewise.recipes.assembly import Ingredients
from ratewise.tasks import task_of
from ratewise.tasks.training_settings import TaskTrainingSettings
from ratewise.training.launch import is_first
from ratewise.training.loop import FitResult, fit

MODEL = "model.safetensors"
"""The file of the weights."""

_STORES, _TRAINING = "stores", "training"


def train_from_settings(
    settings: TaskTrainingSettings,
    folder: Path,
    *,
    base: Path = Path(),
    resources: Resources = Resources(),
    quiet: bool = False,
) -> FitResult:
    """Make the store under ``folder/stores``, train in ``folder``, leave :data:`MODEL` there.

    Each part goes on where an earlier call was killed. Paths in the settings are relative to
    ``base``. Raises :class:`InputError` if the settings do not fit the images, or some of these
    cannot be stored.
    """
    dataset = open_dataset(settings.data, base)
    task = task_of(settings.task, dataset, dataset.root or dataset.name)
    task.check(base)
    stored = folder / _STORES / settings.split
    source = DatasetSource(dataset, settings.split, settings.prepare)
    with locked(
        folder / f"{_STORES}.lock"
    ):  # of several processes that train together one makes it
        summary = compress_store(source, stored, settings.codec, resources=resources, quiet=quiet)
    if summary.failed:
        raise InputError(
            f"{summary.failed} of {summary.images + summary.failed} images cannot be stored; "
            f"{stored / FAILURES} names them: repair or remove them"
        )
    store = open_store(stored)
    training = settings.task.training
    assembly = recipe("standard")(Ingredients(task, [store], training.seed, base=base))
    identity: dict[str, Any] = {
        "task": settings.task.deciding(),
        "images": sha256_file(stored / MANIFEST),
    }
    if settings.task.weights_file is not None:
        identity["start"] = sha256_file(base / settings.task.weights_file)
    result = fit(
        assembly.objective,
        assembly.source,
        training,
        folder / _TRAINING,
        collate=assembly.collate,
        identity=identity,
        title=settings.name,
        quiet=quiet,
    )
    origin = {
        "name": settings.name,
        "data": dataset.name,
        "split": settings.split,
        "prepare": settings.prepare.label,
        "codec": store.codec,
        "seed": training.seed,
    }
    if is_first():
        task.save(folder / MODEL, assembly.model, origin)
    return result
