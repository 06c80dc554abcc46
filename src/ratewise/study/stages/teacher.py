"""What a frozen model predicts of every original of a store, once for all experts it teaches."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ratewise.data.store import open_store
from ratewise.execution import progress
from ratewise.study.outputs import MODEL, OUTPUTS, STORE
from ratewise.study.plan import Stage
from ratewise.study.scheduler import StageContext
from ratewise.tasks import task_of

_CHUNK = 32


def run(
    stage: Stage, inputs: Mapping[str, Path], folder: Path, context: StageContext
) -> list[Path]:
    """The stage runner: leaves the outputs, ``float32 (images, K)`` in the order of the store."""
    store = open_store(inputs["images"] / STORE)
    task = task_of(context.settings.task, store, store.path)
    model = task.load(inputs["model"] / MODEL)
    parts = []
    with progress(stage.title, len(store), quiet=context.quiet) as bar:
        for start in range(0, len(store), _CHUNK):
            indices = range(start, min(start + _CHUNK, len(store)))
            parts.append(task.outputs(model, [store.image(index) for index in indices]))
            bar.advance(len(indices))
    path = folder / OUTPUTS
    np.save(path, np.concatenate(parts))
    return [path]
