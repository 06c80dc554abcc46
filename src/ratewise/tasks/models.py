"""Trained models of any task, from a file that says which one it is."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from ratewise.data.store import Store
from ratewise.errors import InputError
from ratewise.tasks import classification_predictor, predictor
from ratewise.tasks.class_names import check_same_classes
from ratewise.tasks.classification_predictor import ClassificationPredictor, LoadedClassifier
from ratewise.tasks.classification_weights import FORMAT as CLASSIFICATION
from ratewise.tasks.predictor import LoadedModel, SegmentationPredictor
from ratewise.training.weights import load_weights

TrainedModel = LoadedModel | LoadedClassifier
"""A model of segmentation, or of classification."""

Evaluation = predictor.Evaluation | classification_predictor.Evaluation


def load_any(path: Path) -> TrainedModel:
    """The model of a weights file, on the CPU and in ``eval()``; the header says of which task.

    Raises :class:`InputError` if the file is none that a task's ``save`` wrote.
    """
    try:
        header = load_weights(path)[1]
        found = header.get("format")
        if found == predictor.FORMAT:
            return predictor.load_model(path)
        if found == CLASSIFICATION:
            return classification_predictor.load_model(path)
    except InputError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"{path}: the header of the weights is damaged ({type(error).__name__}: {error})"
        ) from None
    what = f"it says that it is {found!r}" if found else "its header does not say of which task"
    raise InputError(f"{path}: is not the file of a trained task model: {what}")


def class_names(model: TrainedModel) -> tuple[str, ...]:
    """The names of the classes that a model predicts, in the order of their ids."""
    return model.labels if isinstance(model, LoadedClassifier) else model.classes.names


def evaluate_on(
    model: TrainedModel,
    store: Store,
    name: str,
    *,
    device: str = "auto",
    precision: Literal["auto", "fp32", "bf16"] = "fp32",
    batch_size: int = 8,
) -> Evaluation:
    """The metrics of a model on all images of a store: of its masks, or of its labels.

    ``name`` is what errors call the model. Raises :class:`InputError` if the store has no masks or
    labels, an image lacks its own, or the classes are not the model's.
    """
    if isinstance(model, LoadedClassifier):
        if store.labels is None:
            raise InputError(f"{store.path}: has no labels, which a classifier is measured with")
        check_same_classes(model.labels, store.labels, name)
        classifier = ClassificationPredictor(
            model.model, device=device, precision=precision, batch_size=batch_size
        )
        return classification_predictor.evaluate(classifier, store, model.labels, chunk=batch_size)
    if store.classes is None:
        raise InputError(f"{store.path}: has no masks, which a segmentation model is measured with")
    check_same_classes(model.classes.names, store.classes.names, name)
    segmenter = SegmentationPredictor(
        model.model, device=device, precision=precision, batch_size=batch_size
    )
    return predictor.evaluate(segmenter, store, model.classes, chunk=batch_size)
