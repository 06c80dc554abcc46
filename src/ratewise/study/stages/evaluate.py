"""Score a trained model on one test channel, and keep a few of its predictions for pictures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ratewise.data.store import open_store
from ratewise.files import write_json
from ratewise.images import write_png
from ratewise.study.outputs import METRICS, MODEL, STORE, prediction_path, shown_indices
from ratewise.study.plan import Stage
from ratewise.study.scheduler import StageContext
from ratewise.tasks.predictor import SegmentationPredictor, evaluate, load_model


def run(
    stage: Stage, inputs: Mapping[str, Path], folder: Path, context: StageContext
) -> list[Path]:
    """The stage runner: leaves the metrics and the predictions of a few images."""
    loaded = load_model(inputs["model"] / MODEL)
    store = open_store(inputs["images"] / STORE)
    training = context.settings.task.training
    predictor = SegmentationPredictor(
        loaded.model, device=training.device, precision=training.precision
    )
    metrics = dict(evaluate(predictor, store, loaded.classes).metrics)
    del metrics["images"]
    files = []
    for index in shown_indices(len(store)):
        path = prediction_path(folder, index)
        write_png(path, predictor.predict([store.image(index)])[0])
        files.append(path)
    write_json(folder / METRICS, metrics)
    return [folder / METRICS, *files]
