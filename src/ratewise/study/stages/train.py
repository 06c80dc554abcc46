"""Train a model of the task on one training channel; exactly resumable."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

from ratewise.data.store import open_store
from ratewise.errors import StageError
from ratewise.recipes import recipe
from ratewise.recipes.assembly import Ingredients
from ratewise.study.plan import Stage
from ratewise.study.results import MODEL, STORE
from ratewise.study.scheduler import StageContext
from ratewise.study.shares import share_indices
from ratewise.tasks.predictor import save_model
from ratewise.training.loop import fit


def run(
    stage: Stage, inputs: Mapping[str, Path], folder: Path, context: StageContext
) -> list[Path]:
    """The stage runner: leaves the weights and the training log."""
    task, seed = context.settings.task, int(stage.params["seed"])
    store = open_store(inputs["images"] / STORE)
    if store.classes is None:
        raise StageError(f"{store.path}: has no masks, and segmentation is trained on them")
    assembly = recipe(stage.params["recipe"])(
        Ingredients(
            task,
            store.classes,
            [store],
            seed,
            share_indices(len(store), Fraction(stage.params["share"]), seed),
            context.base,
        )
    )
    fit(
        assembly.objective,
        assembly.source,
        task.training.model_copy(update={"seed": seed}),
        folder / "training",
        collate=assembly.collate,
        identity={"stage": stage.fingerprint},
        title=stage.title,
        quiet=context.quiet,
    )
    origin = {"stage": stage.fingerprint, "title": stage.title, "codec": store.codec}
    save_model(folder / MODEL, assembly.model, task, store.classes, origin=origin)
    return [folder / MODEL]
