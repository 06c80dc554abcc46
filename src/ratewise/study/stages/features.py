"""Average activations of a layer of a trained model over a set of test images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

from ratewise.data.store import open_store
from ratewise.files import write_json
from ratewise.study.outputs import ANALYSIS, MODEL, STORE, evenly
from ratewise.study.plan import Stage
from ratewise.study.scheduler import StageContext
from ratewise.tasks.inspection import channel_averages
from ratewise.tasks.predictor import load_model
from ratewise.tasks.segmentation import SegmentationModel


def run(
    stage: Stage, inputs: Mapping[str, Path], folder: Path, context: StageContext
) -> list[Path]:
    """The stage runner: leaves the average of each channel."""
    store = open_store(inputs["images"] / STORE)
    indices = evenly(len(store), stage.params["images"])
    layer = str(stage.params["layer"])
    averages = channel_averages(
        cast("SegmentationModel", load_model(inputs["model"] / MODEL).model),
        (store.image(index) for index in indices),
        layer,
        context.settings.task.training.device,
    )
    found = {
        "layer": layer,
        "stride": averages.stride,
        "images": len(indices),
        "channels": averages.values,
    }
    write_json(folder / ANALYSIS, found)
    return [folder / ANALYSIS]
