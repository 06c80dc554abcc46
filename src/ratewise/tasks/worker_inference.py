"""Predicting by workers, of a cluster or here: each loads the model once and is given files."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from ratewise.execution import Resources, map_items
from ratewise.tasks.decoding import Decoding
from ratewise.tasks.inference import Prediction, predict_files
from ratewise.tasks.inputs import Input
from ratewise.tasks.models import load_any

_BATCHES = 4
"""Batches in a chunk: enough that sending it costs little, few enough that workers end together."""


@dataclass(frozen=True)
class PredictJob:
    """What a worker needs to predict; every worker must see the files."""

    model: Path
    decoding: Decoding
    device: str = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "fp32"
    batch_size: int = 32


Predict = Callable[[PredictJob, Sequence[Input]], Iterable[Prediction]]


def predict_by_model(job: PredictJob, inputs: Sequence[Input]) -> Iterable[Prediction]:
    """Predictions of a task's model, which this process has loaded or loads now."""
    return predict_files(
        _loaded(job.model),
        inputs,
        job.decoding,
        device=job.device,
        precision=job.precision,
        batch_size=job.batch_size,
    )


@lru_cache(maxsize=1)
def _loaded(model: Path) -> Any:
    return load_any(model)


def predict_by_workers(
    job: PredictJob,
    inputs: Iterable[Input],
    resources: Resources,
    predict: Predict = predict_by_model,
) -> Generator[Prediction, None, None]:
    """The predictions for files, in their order, by the workers of ``resources``.

    ``predict`` is what a worker does with its files; a function of a module. Files are batched
    within chunks, so that other files may share a batch than in one process: scores can differ
    in their last bits where files of several sizes come in turn.
    """
    chunks = _chunks(inputs, _BATCHES * job.batch_size)
    for outcome in map_items(_predicted, chunks, resources, context=(predict, job)):
        if outcome.failure is None:
            yield from outcome.value or ()
        else:
            for item in outcome.item:
                why = f"{outcome.failure.kind}: {outcome.failure.message}"
                yield Prediction(item, error=f"{item.path}: cannot be predicted on ({why})")


def _chunks(inputs: Iterable[Input], size: int) -> Iterator[list[Input]]:
    rest = iter(inputs)
    while chunk := list(islice(rest, size)):
        yield chunk


def _predicted(work: tuple[Predict, PredictJob], inputs: Sequence[Input]) -> list[Prediction]:
    predict, job = work
    return list(predict(job, inputs))
