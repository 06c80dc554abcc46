"""What the labels of each test image cost in bits under a model, at a temperature fitted on others.

The temperature is cross-fitted: the test images are cut in two contiguous halves, and each half is
scored at the temperature that is best on the other. Held-out training images would be another
choice; but most studies hold out none, and those that do choose the model's weights on them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from ratewise.data.store import Store, open_store
from ratewise.errors import StageError
from ratewise.execution import progress
from ratewise.files import write_json
from ratewise.images import IGNORE
from ratewise.metrics.calibration import cross_entropy_bits, fit_temperature
from ratewise.study.image_rows import write_rows
from ratewise.study.outputs import ANALYSIS, IMAGES, MODEL, STORE, evenly
from ratewise.study.plan import Stage
from ratewise.study.privileged import frames_of
from ratewise.study.scheduler import StageContext
from ratewise.tasks.inspection import class_scores
from ratewise.tasks.predictor import load_model
from ratewise.training.device import resolve_device

_SEED = 0


def run(
    stage: Stage, inputs: Mapping[str, Path], folder: Path, context: StageContext
) -> list[Path]:
    """The stage runner: leaves a row per image, and the temperatures."""
    device = resolve_device(context.settings.task.training.device)
    store = open_store(inputs["images"] / STORE)
    indices = evenly(len(store), stage.params["images"])
    # Only the originals know which tiles are of one frame.
    originals = open_store(inputs.get("originals", inputs["images"]) / STORE)
    frames = [frame for frame, _ in frames_of(originals.records)]
    halves = contiguous_halves([frames[index] for index in indices])
    scored = _Scored(load_model(inputs["model"] / MODEL).model.to(device), store, device)
    with progress(stage.title, 2 * len(indices), quiet=context.quiet) as bar:
        samples: list[list[tuple[_Scores, _Labels]]] = [[], []]
        for index, half in zip(indices, halves, strict=True):
            samples[half].append(scored.some(index, int(stage.params["pixels"])))
            bar.advance()
        # Each half is scored at the temperature of the other.
        temperatures = [_fitted(samples[1 - half]) for half in (0, 1)]
        rows = []
        for index, half in zip(indices, halves, strict=True):
            rows.append(
                {
                    "key": store.records[index].key,
                    "frame": frames[index],
                    "half": half,
                    **scored.bits(index, temperatures[half]),
                }
            )
            bar.advance()
    write_rows(folder / IMAGES, rows)
    write_json(folder / ANALYSIS, {"images": len(rows), "temperatures": temperatures})
    return [folder / IMAGES, folder / ANALYSIS]


def contiguous_halves(frames: Sequence[str]) -> list[int]:
    """0 for the images of the first half of the frames, 1 for the others; no frame is cut.

    Raises :class:`StageError` for a single frame.
    """
    order = {frame: place for place, frame in enumerate(dict.fromkeys(frames))}
    if len(order) < 2:
        raise StageError("the temperature is fitted on another half, and there is one test frame")
    return [int(order[frame] >= (len(order) + 1) // 2) for frame in frames]


_Scores = NDArray[np.float32]
_Labels = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class _Scored:
    model: nn.Module
    store: Store
    device: str

    def _pixels(self, index: int) -> tuple[_Scores, _Labels]:
        """Scores ``(N, C)`` and labels ``(N,)`` of the pixels of an image that are not ignored."""
        mask = self.store.mask(index)
        scores = class_scores(self.model, self.store.image(index), self.device)
        kept = mask != IGNORE
        return scores[:, kept].T, mask[kept]

    def some(self, index: int, most: int) -> tuple[_Scores, _Labels]:
        """The same of at most so many of them, drawn by chance."""
        scores, labels = self._pixels(index)
        if len(labels) > most:
            rng = np.random.default_rng([_SEED, index])
            chosen = rng.choice(len(labels), most, replace=False)
            scores, labels = scores[chosen], labels[chosen]
        return scores, labels

    def bits(self, index: int, temperature: float) -> dict[str, float | int]:
        """What the labels of an image cost at a temperature, and at none."""
        scores, labels = self._pixels(index)
        if not len(labels):
            return {"pixels": 0, "bits": 0.0, "bits_uncalibrated": 0.0}
        fitted, plain = (_total(scores, labels, t) for t in (temperature, 1.0))
        return {"pixels": len(labels), "bits": fitted, "bits_uncalibrated": plain}


def _total(scores: _Scores, labels: _Labels, temperature: float) -> float:
    return sum(
        float(cross_entropy_bits(*part, temperature).sum()) for part in _parts(scores, labels)
    )


def _parts(scores: _Scores, labels: _Labels, size: int = 2**18) -> Iterator[tuple[Any, Any]]:
    """Pieces, so that the memory in double precision stays small."""
    for start in range(0, len(labels), size):
        yield scores[start : start + size], labels[start : start + size]


def _fitted(samples: Sequence[tuple[_Scores, _Labels]]) -> float:
    labels = np.concatenate([labels for _, labels in samples])
    if not len(labels):
        raise StageError("the temperature is fitted on a half of the images without any label")
    return fit_temperature(np.concatenate([scores for scores, _ in samples]), labels)
