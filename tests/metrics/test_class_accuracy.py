"""Top-k and accuracy per class, against torchmetrics and scikit-learn and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import confusion_matrix, top_k_accuracy_score
from torchmetrics.functional.classification import multiclass_accuracy

from ratewise.errors import InputError
from ratewise.metrics.classification import Accuracy, predictions, top_k


def _scores(classes: int, count: int = 60) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(classes)
    logits = rng.normal(size=(count, classes)).astype(np.float32)
    targets = rng.integers(0, classes, count)
    logits[np.arange(count), targets] += 1
    return logits, targets


@pytest.mark.parametrize("classes", [3, 6, 40])
def test_all_figures_equal_those_of_torchmetrics_and_scikit_learn(classes: int) -> None:
    logits, targets = _scores(classes)
    accuracy = Accuracy(classes)
    right = [accuracy.update(logits[:7], targets[:7]), accuracy.update(logits[7:], targets[7:])]
    top = {k: top_k_accuracy_score(targets, logits, k=k, labels=range(classes)) for k in (1, 2)}
    assert accuracy.top1 == pytest.approx(top[1])
    assert top_k(logits, targets, 2).mean() == pytest.approx(top[2])
    assert (np.concatenate(right) == (logits.argmax(axis=1) == targets)).all()
    expected = confusion_matrix(targets, logits.argmax(axis=1), labels=range(classes))
    assert (accuracy.matrix == expected).all()
    assert accuracy.matrix.dtype == np.int64
    assert accuracy.images == 60
    if classes > 5:
        theirs = top_k_accuracy_score(targets, logits, k=5, labels=range(classes))
        assert accuracy.top5 == pytest.approx(theirs)
    tensors = torch.from_numpy(logits), torch.from_numpy(targets)
    per_class = multiclass_accuracy(*tensors, num_classes=classes, average="none").numpy()
    present = np.isin(np.arange(classes), targets)
    assert accuracy.per_class[present] == pytest.approx(per_class[present])
    assert np.isnan(accuracy.per_class[~present]).all()


def test_a_tie_counts_against_the_model() -> None:
    same, targets = np.zeros((3, 4)), np.array([0, 1, 3])
    assert not top_k(same, targets, 3).any()
    assert top_k(same, targets, 4).all()
    assert predictions(same, targets).tolist() == [1, 0, 0]
    accuracy = Accuracy(4)
    assert not accuracy.update(same, targets).any()
    assert accuracy.top1 == 0
    assert np.trace(accuracy.matrix) == 0


def test_scores_that_are_no_numbers_are_never_right() -> None:
    nan, infinity = math.nan, math.inf
    logits = np.array([[nan, nan, nan], [nan, 0, 1], [2, nan, 1], [-infinity] * 3])
    targets = np.array([0, 0, 0, 0])
    assert not top_k(logits, targets).any()
    assert (predictions(logits, targets) != 0).all()


def test_the_top_five_of_five_classes_say_nothing() -> None:
    logits, targets = _scores(5)
    accuracy = Accuracy(5)
    accuracy.update(logits, targets)
    assert math.isnan(accuracy.top5)
    assert accuracy.top1 > 0


def test_without_images_there_are_no_figures() -> None:
    accuracy = Accuracy(7)
    accuracy.update(np.zeros((0, 7)), np.zeros(0, np.int64))
    assert accuracy.images == 0
    assert math.isnan(accuracy.top1)
    assert math.isnan(accuracy.top5)
    assert np.isnan(accuracy.per_class).all()


@pytest.mark.parametrize(
    ("shape", "targets", "message"),
    [
        ((2, 3), [0, 3], "target class id 3 is not 0 to 2"),
        ((2, 3), [-1, 0], "target class id -1 is not 0 to 2"),
        ((2, 3), [0], "(N, C) and (N,)"),
        ((2, 4), [0, 1], "(2, 4) is not (images, 3 classes)"),
        ((3,), [0, 1, 2], "(3,) is not (images, 3 classes)"),
    ],
)
def test_what_does_not_fit_is_named_and_not_counted(
    shape: tuple[int, ...], targets: list[int], message: str
) -> None:
    accuracy = Accuracy(3)
    with pytest.raises(InputError) as caught:
        accuracy.update(np.zeros(shape), np.array(targets))
    assert message in str(caught.value)
    assert accuracy.images == 0


def test_a_number_that_counts_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="k = 0"):
        top_k(np.zeros((1, 2)), np.array([0]), 0)
    with pytest.raises(InputError, match="not 0"):
        Accuracy(0)
