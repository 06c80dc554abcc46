"""Train a model of the task on one training channel; exactly resumable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ratewise.data.store import open_store
from ratewise.recipes import recipe
from ratewise.recipes.assembly import Ingredients
from ratewise.recipes.settings import RecipeSettings, StandardSettings, adapted
from ratewise.study.outputs import MODEL, OUTPUTS, STORE
from ratewise.study.plan import Stage
from ratewise.study.scheduler import StageContext
from ratewise.study.spending import chosen_images
from ratewise.tasks import task_of
from ratewise.tasks.samples import Pick
from ratewise.training.loop import fit

if TYPE_CHECKING:
    from ratewise.study.settings import StudySettings


def run(
    stage: Stage, inputs: Mapping[str, Path], folder: Path, context: StageContext
) -> list[Path]:
    """The stage runner: leaves the weights and the training log."""
    seed, learnt = int(stage.params["seed"]), _recipe(stage, context.settings)
    settings = adapted(context.settings.task, learnt)
    store = open_store(inputs["images"] / STORE)
    task = task_of(settings, store, store.path)
    originals = open_store(inputs["originals"] / STORE) if "originals" in inputs else store
    chosen = chosen_images(stage, lambda role: open_store(inputs[role] / STORE).records)
    stores, pick = [store], None
    if chosen.originals:
        weight = float(stage.params["images"]["original_weight"])
        stores, pick = [store, originals], _Mixture(chosen.originals, weight)
    if learnt.kind == "expert":
        stores = [*stores, originals]  # last, where the recipe looks for them
    assembly = recipe(learnt.kind)(
        Ingredients(
            task,
            stores,
            seed,
            chosen.indices,
            context.base,
            pick,
            learnt,
            inputs["start"] / MODEL if "start" in inputs else None,
            np.load(inputs["teacher"] / OUTPUTS, mmap_mode="r") if "teacher" in inputs else None,
        )
    )
    fit(
        assembly.objective,
        assembly.source,
        settings.training.model_copy(update={"seed": seed}),
        folder / "training",
        collate=assembly.collate,
        identity={"stage": stage.fingerprint},
        title=stage.title,
        quiet=context.quiet,
    )
    origin = {"stage": stage.fingerprint, "title": stage.title, "codec": store.codec}
    task.save(folder / MODEL, assembly.model, origin)
    return [folder / MODEL]


def _recipe(stage: Stage, settings: StudySettings) -> RecipeSettings:
    """The recipe of a study that a stage was planned for."""
    for one in (*settings.recipes, StandardSettings()):
        task = adapted(settings.task, one).deciding()
        same = all(task[key] == stage.params["task"][key] for key in ("optimiser", "training"))
        if same and one.deciding(settings.task.network) == stage.params["recipe"]:
            return one
    raise AssertionError(f"{stage.title}: planned for a recipe that the study does not have")


@dataclass(frozen=True)
class _Mixture:
    """The channel and weight of each image of a mixture: its own, or the original's."""

    originals: frozenset[int]
    weight: float

    def __call__(self, index: int) -> Pick:
        return Pick((1,), self.weight) if index in self.originals else Pick((0,))
