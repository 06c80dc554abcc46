"""From files to predictions, as they come off a link: recognise, decode, predict in batches.

Expert-training paper, Fig. 1: a bitstream arrives, is decoded, and the model predicts.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ratewise.errors import InputError, first_line
from ratewise.execution import Outcome, Resources, map_items
from ratewise.execution.ahead import ahead
from ratewise.images import Image, Mask
from ratewise.tasks.classification_predictor import ClassificationPredictor, LoadedClassifier
from ratewise.tasks.decoding import Decoded, Decoding, decode
from ratewise.tasks.inputs import Input
from ratewise.tasks.models import TrainedModel
from ratewise.tasks.predictor import SegmentationPredictor

_AHEAD_BYTES = 2**28
"""Decoded pixels that may wait for the model; one image may be larger."""

_BATCH_PIXELS = 2**22
"""Of a batch; one image may have more."""

_TOP = 5

Scores = NDArray[np.float64]
Values = Sequence[Scores | Mask]
_Outcome = Outcome[Input, Decoded]


@dataclass(frozen=True)
class Prediction:
    """What a model says of a file: scores of the image or a mask, or why there are none.

    ``codec`` and what follows are None for a file that could not be decoded. ``scores`` are the
    probabilities of the classes, ``float64 (C,)``; ``mask`` is ``uint8 (H, W)`` and has the size of
    the image as it was prepared.
    """

    input: Input
    codec: str | None = None
    bytes: int | None = None
    width: int | None = None
    height: int | None = None
    scores: Scores | None = field(default=None, repr=False)
    mask: Mask | None = field(default=None, repr=False)
    error: str | None = None


def predict_files(
    model: TrainedModel,
    inputs: Iterable[Input],
    decoding: Decoding = Decoding(),
    *,
    device: str = "auto",
    precision: Literal["auto", "fp32", "bf16"] = "fp32",
    batch_size: int = 32,
    resources: Resources = Resources(),
) -> Generator[Prediction, None, None]:
    """The predictions of a model for files, in their order.

    Files are decoded ahead of the model by a thread, or by the processes of ``resources`` if they
    are several; what is ahead is bounded, so memory does not grow with the number of files.
    Consecutive images of one size go through the model together, ``batch_size`` at most and fewer
    where they are large. A file that cannot be decoded or predicted on gives a prediction with an
    error, and the others go on.

    Raises :class:`InputError` at once for a batch size below 1, and a device that is not there.
    """
    if batch_size < 1:
        raise InputError(f"batch_size = {batch_size}: must be 1 or more")
    run = _runner(model, device, precision, batch_size)
    return _predictions(run, _decoded(inputs, decoding, resources), batch_size)


def facts(prediction: Prediction, classes: Sequence[str]) -> dict[str, Any]:
    """A prediction as JSON-able values: the file, then ``error``, or what was predicted.

    Of scores ``class``, ``probability`` and ``top5``; of a mask ``classes``, the share of the
    pixels of each class that it shows.
    """
    found: dict[str, Any] = {"file": str(prediction.input.path)}
    for name in ("codec", "width", "height", "bytes"):
        value = getattr(prediction, name)
        if value is not None:
            found[name] = value
    if prediction.error is not None:
        return {**found, "error": prediction.error}
    if prediction.scores is not None:
        best = np.argsort(-prediction.scores, kind="stable")[:_TOP]
        top = [
            {"class": classes[place], "probability": _share(prediction.scores[place])}
            for place in best
        ]
        return {**found, **top[0], "top5": top}
    assert prediction.mask is not None
    counts = np.bincount(prediction.mask.ravel(), minlength=len(classes))
    shares = zip(classes, counts / prediction.mask.size, strict=True)
    return {**found, "classes": {name: _share(share) for name, share in shares if share}}


def _share(value: float) -> float:
    """To six digits."""
    return float(f"{value:.6g}")


def softmax(logits: NDArray[Any]) -> Scores:
    """Probabilities ``(C,)`` of logits ``(C,)``, in float64."""
    powers = np.exp(logits.astype(np.float64) - logits.max())
    shares: Scores = powers / powers.sum()
    return shares


def _runner(
    model: TrainedModel, device: str, precision: Any, batch_size: int
) -> Callable[[Sequence[Image]], Values]:
    """What gives the scores or masks of images of one size."""
    options: dict[str, Any] = {"device": device, "precision": precision, "batch_size": batch_size}
    if isinstance(model, LoadedClassifier):
        classifier = ClassificationPredictor(model.model, **options)
        return lambda images: [softmax(row) for row in classifier.class_scores(images)]
    return SegmentationPredictor(model.model, **options).predict


def _decoded(
    inputs: Iterable[Input], decoding: Decoding, resources: Resources
) -> Generator[_Outcome, None, None]:
    outcomes = map_items(decode, inputs, resources, context=decoding)
    if resources.processes > 1:
        return outcomes  # they run ahead on their own
    return ahead(outcomes, _AHEAD_BYTES, _size)


def _size(outcome: _Outcome) -> int:
    return 0 if outcome.value is None else outcome.value.image.nbytes


def _predictions(
    run: Callable[[Sequence[Image]], Values],
    outcomes: Generator[_Outcome, None, None],
    batch_size: int,
) -> Generator[Prediction, None, None]:
    batch: list[_Outcome] = []
    with closing(outcomes):
        for outcome in outcomes:
            if batch and not _fits(outcome, batch, batch_size):
                yield from _of_batch(run, batch)
                batch = []
            if outcome.value is None:
                yield _undecoded(outcome)
            else:
                batch.append(outcome)
        if batch:
            yield from _of_batch(run, batch)


def _fits(outcome: _Outcome, batch: Sequence[_Outcome], batch_size: int) -> bool:
    """Whether an image may join a batch."""
    first = batch[0].value
    if outcome.value is None or first is None or len(batch) >= batch_size:
        return False
    shape = outcome.value.image.shape
    pixels = (len(batch) + 1) * shape[0] * shape[1]
    return shape == first.image.shape and pixels <= _BATCH_PIXELS


def _of_batch(
    run: Callable[[Sequence[Image]], Values], batch: Sequence[_Outcome]
) -> Iterator[Prediction]:
    """The predictions of a batch; where it fails as a whole, each image is tried alone."""
    try:
        values = run([outcome.value.image for outcome in batch if outcome.value is not None])
    except Exception as error:  # a size that the network refuses, or memory that is not there
        if len(batch) > 1:
            for outcome in batch:
                yield from _of_batch(run, [outcome])
            return
        reason = first_line(error)
        path = batch[0].item.path
        yield _prediction(batch[0], error=f"{path}: the model cannot predict on it ({reason})")
        return
    for outcome, value in zip(batch, values, strict=True):
        kind = "scores" if value.ndim == 1 else "mask"
        yield _prediction(outcome, **{kind: value})


def _prediction(outcome: _Outcome, **values: Any) -> Prediction:
    seen = outcome.value
    assert seen is not None
    return Prediction(outcome.item, seen.codec, seen.bytes, seen.width, seen.height, **values)


def _undecoded(outcome: _Outcome) -> Prediction:
    failure = outcome.failure
    assert failure is not None
    message = failure.message
    if str(outcome.item.path) not in message:
        message = f"{outcome.item.path}: cannot be decoded ({failure.kind}: {message})"
    return Prediction(outcome.item, error=message)
