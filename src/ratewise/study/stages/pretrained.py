"""The model that the settings' weights are, not trained here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ratewise.data.store import open_store
from ratewise.study.outputs import MODEL, STORE
from ratewise.study.plan import Stage
from ratewise.study.scheduler import StageContext
from ratewise.tasks import task_of


def run(
    stage: Stage, inputs: Mapping[str, Path], folder: Path, context: StageContext
) -> list[Path]:
    """The stage runner: leaves the weights. The images say which classes there are."""
    store = open_store(inputs["images"] / STORE)
    task = task_of(context.settings.task, store, store.path)
    model = task.initial_model(int(stage.params.get("seed", 0)), context.base)
    task.save(folder / MODEL, model, {"stage": stage.fingerprint, "title": stage.title})
    return [folder / MODEL]
