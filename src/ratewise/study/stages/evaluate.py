"""Score a trained model on one test channel, and keep a few of its predictions for pictures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ratewise.data.store import open_store
from ratewise.files import write_json
from ratewise.study.outputs import MODEL, PREDICTED, STORE, shown_indices
from ratewise.study.plan import Stage
from ratewise.study.scheduler import StageContext
from ratewise.study.stages.scoring import subsets_of, write_masks, write_scores
from ratewise.tasks import task_of


def run(
    stage: Stage, inputs: Mapping[str, Path], folder: Path, context: StageContext
) -> list[Path]:
    """The stage runner: leaves the metrics, a row per image, and the predictions of a few images:
    masks, or the names of their classes."""
    store = open_store(inputs["images"] / STORE)
    task = task_of(context.settings.task, store, store.path)
    model = task.load(inputs["model"] / MODEL)
    scored = task.evaluate(model, store, subsets_of(stage, store))
    shown = {
        index: task.predict(model, [store.image(index)])[0] for index in shown_indices(len(store))
    }
    if store.labels is not None and task.settings.kind == "classification":
        write_json(folder / PREDICTED, {str(i): store.labels[id_] for i, id_ in shown.items()})
        pictures = [folder / PREDICTED]
    else:
        pictures = write_masks(folder, shown)
    return [*write_scores(folder, scored.metrics, scored.images), *pictures]
