"""What a frozen model predicts of every original of a store, once for all experts it teaches."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

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
    path = folder / OUTPUTS
    found: NDArray[np.float32] | None = None
    with progress(stage.title, len(store), quiet=context.quiet) as bar:
        for start in range(0, len(store), _CHUNK):
            indices = range(start, min(start + _CHUNK, len(store)))
            part = task.outputs(model, [store.image(index) for index in indices])
            if found is None:  # on disk: the outputs for all of ImageNet are 5 GB
                shape = (len(store), *part.shape[1:])
                found = open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
            found[start : start + len(part)] = part
            bar.advance(len(indices))
    assert isinstance(found, np.memmap)
    found.flush()
    return [path]
