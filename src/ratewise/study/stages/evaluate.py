"""Score a trained model on one test channel, and keep a few of its predictions for pictures."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from ratewise.data.store import Store, open_store
from ratewise.errors import StageError
from ratewise.files import write_json
from ratewise.images import write_png
from ratewise.study.image_rows import write_rows
from ratewise.study.outputs import (
    IMAGES,
    METRICS,
    MODEL,
    PREDICTED,
    STORE,
    prediction_path,
    shown_indices,
)
from ratewise.study.plan import Stage
from ratewise.study.scheduler import StageContext
from ratewise.tasks import task_of


def run(
    stage: Stage, inputs: Mapping[str, Path], folder: Path, context: StageContext
) -> list[Path]:
    """The stage runner: leaves the metrics, a row per image, and the predictions of a few images:
    masks, or the names of their classes."""
    store = open_store(inputs["images"] / STORE)
    task = task_of(context.settings.task, store, store.path)
    model = task.load(inputs["model"] / MODEL)
    scored = task.evaluate(model, store, _subsets(stage.params.get("subsets", {}), store))
    write_rows(folder / IMAGES, scored.images)
    files = [folder / IMAGES]
    shown = shown_indices(len(store))
    predicted = [task.predict(model, [store.image(index)])[0] for index in shown]
    if store.labels is not None and task.settings.kind == "classification":
        names = {str(i): store.labels[id_] for i, id_ in zip(shown, predicted, strict=True)}
        write_json(folder / PREDICTED, names)
        files.append(folder / PREDICTED)
    else:
        for index, mask in zip(shown, predicted, strict=True):
            path = prediction_path(folder, index)
            write_png(path, mask)
            files.append(path)
    write_json(folder / METRICS, scored.metrics)
    return [folder / METRICS, *files]


def _subsets(patterns: Mapping[str, str], store: Store) -> dict[str, list[int]]:
    """The images of each subset, by the patterns of their keys."""
    found = {}
    for name, pattern in patterns.items():
        keys = [record.key for record in store.records]
        found[name] = [i for i, key in enumerate(keys) if fnmatchcase(key, pattern)]
        if not found[name]:
            raise StageError(f"subsets.{name} = {pattern!r}: no test image has such a key")
    return found
