"""What stages leave in their folders, by name."""

from __future__ import annotations

from pathlib import Path

STORE = "store"
"""The folder of a prepare, compress or restore stage that holds its store."""

MODEL = "model.safetensors"
"""The file of a train stage that holds its weights."""

OUTPUTS = "outputs.npy"
"""The file of a teacher stage that holds what its model predicts of each image."""

RESTORER = "restorer.safetensors"
"""The file of a restorer stage that holds its weights."""

SEEN = "images.json"
"""The file of a restorer stage that lists the originals it was trained on: the key and the SHA-256
of the file of each."""

QUALITY = "quality.csv"
"""The file of a restore stage that compares its images, and those that they were made from, with
the originals: rows of :class:`ratewise.study.quality.Quality`."""

METRICS = "metrics.json"
"""The file of a stage that scores predictions (evaluate, predict_bitstreams) that holds its
numbers."""

ANALYSIS = "analysis.json"
"""The file of a stage of an analysis (perception, features, cross_entropy, timing) that holds what
it found."""

IMAGES = "images.csv"
"""The file of a stage that scores predictions, and of a perception, distortion or cross_entropy
stage, that has a row per image."""

_SHOWN = 8


def shown_indices(count: int) -> list[int]:
    """The test images whose predictions are kept for pictures: up to eight, evenly spread."""
    return evenly(count, _SHOWN)


def evenly(count: int, most: int | None) -> list[int]:
    """At most so many of ``count`` images, evenly spread; all of them for None."""
    shown = count if most is None else min(count, most)
    return [index * count // shown for index in range(shown)]


PREDICTED = "predictions.json"
"""The file of an evaluate stage that names the classes predicted for the images that are shown."""


def prediction_path(folder: Path, index: int) -> Path:
    """Where an evaluate stage keeps the prediction of a test image."""
    return folder / "predictions" / f"{index}.png"
