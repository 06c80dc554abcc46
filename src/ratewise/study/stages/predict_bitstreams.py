"""Score the masks that a codec reads from its own files, and keep a few for pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ratewise import codecs
from ratewise.codecs.base import predicts
from ratewise.data.store import open_store
from ratewise.images import Mask
from ratewise.study.bitstreams import BYTES, SEMANTIC_BYTES
from ratewise.study.outputs import STORE, shown_indices
from ratewise.study.plan import Stage
from ratewise.study.scheduler import StageContext
from ratewise.study.stages.scoring import subsets_of, write_masks, write_scores
from ratewise.tasks.predictor import evaluate_masks
from ratewise.tasks.segmentation_task import scored


def run(
    stage: Stage, inputs: Mapping[str, Path], folder: Path, context: StageContext
) -> list[Path]:
    """The stage runner: leaves the metrics, a row per image with the bytes of its file and of what
    the mask needs of it, and the masks of a few images."""
    store = open_store(inputs["images"] / STORE)
    codec = codecs.codec(stage.params["codec"])
    assert predicts(codec)
    assert store.classes is not None

    def masks(indices: Sequence[int]) -> list[Mask]:
        return codec.predict_batch([store.data(index) for index in indices])

    found = scored(evaluate_masks(masks, store, store.classes, subsets=subsets_of(stage, store)))
    rows = []
    for index, row in enumerate(found.images):
        data = store.data(index)
        parts = codec.parts(data)
        needed = parts["header"] + parts["semantic"]
        rows.append({**row, BYTES: len(data), SEMANTIC_BYTES: needed})
    shown = {index: masks([index])[0] for index in shown_indices(len(store))}
    return [*write_scores(folder, found.metrics, rows), *write_masks(folder, shown)]
