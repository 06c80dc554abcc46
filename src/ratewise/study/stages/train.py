"""Train a model of the task on one training channel; exactly resumable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ratewise.data.store import open_store
from ratewise.errors import StageError
from ratewise.recipes import recipe
from ratewise.recipes.assembly import Ingredients
from ratewise.study.outputs import MODEL, STORE
from ratewise.study.plan import Stage
from ratewise.study.scheduler import StageContext
from ratewise.study.spending import chosen_images
from ratewise.tasks.predictor import save_model
from ratewise.tasks.samples import Pick
from ratewise.training.loop import fit


def run(
    stage: Stage, inputs: Mapping[str, Path], folder: Path, context: StageContext
) -> list[Path]:
    """The stage runner: leaves the weights and the training log."""
    task, seed = context.settings.task, int(stage.params["seed"])
    store = open_store(inputs["images"] / STORE)
    if store.classes is None:
        raise StageError(f"{store.path}: has no masks, and segmentation is trained on them")
    originals = open_store(inputs["originals"] / STORE) if "originals" in inputs else store
    chosen = chosen_images(stage, lambda role: open_store(inputs[role] / STORE).records)
    stores, pick = [store], None
    if chosen.originals:
        weight = float(stage.params["images"]["original_weight"])
        stores, pick = [store, originals], _Mixture(chosen.originals, weight)
    assembly = recipe(stage.params["recipe"])(
        Ingredients(task, store.classes, stores, seed, chosen.indices, context.base, pick)
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


@dataclass(frozen=True)
class _Mixture:
    """The channel and weight of each image of a mixture: its own, or the original's."""

    originals: frozenset[int]
    weight: float

    def __call__(self, index: int) -> Pick:
        return Pick((1,), self.weight) if index in self.originals else Pick((0,))
