"""IoU and its relatives, against torchmetrics and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import (
    multiclass_accuracy,
    multiclass_confusion_matrix,
    multiclass_jaccard_index,
)

from ratewise.errors import InputError
from ratewise.metrics.segmentation import (
    ConfusionMatrix,
    confusion_matrix,
    group_iou,
    iou_per_class,
    mean_iou,
    pixel_accuracy,
)


def _masks(classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    target = rng.integers(0, classes, (3, 20, 17)).astype(np.uint8)
    prediction = np.where(rng.random(target.shape) < 0.6, target, rng.integers(0, classes))
    target[rng.random(target.shape) < 0.1] = 255
    return target, prediction.astype(np.uint8)


@pytest.mark.parametrize("classes", [1, 2, 11, 19])
def test_all_figures_equal_those_of_torchmetrics(classes: int) -> None:
    target, prediction = _masks(classes)
    matrix = confusion_matrix(target, prediction, classes)
    if classes == 1:  # torchmetrics wants two
        assert matrix.tolist() == [[int((target != 255).sum())]]
        return
    true, predicted = torch.from_numpy(target).long(), torch.from_numpy(prediction).long()
    options = {"num_classes": classes, "ignore_index": 255}
    assert (matrix == multiclass_confusion_matrix(predicted, true, **options).numpy()).all()
    theirs = multiclass_jaccard_index(predicted, true, average="none", **options)
    np.testing.assert_allclose(iou_per_class(matrix), theirs.numpy(), atol=1e-6)
    mean = multiclass_jaccard_index(predicted, true, average="macro", **options)
    assert mean_iou(matrix) == pytest.approx(float(mean), abs=1e-6)
    accuracy = multiclass_accuracy(predicted, true, average="micro", **options)
    assert pixel_accuracy(matrix) == pytest.approx(float(accuracy), abs=1e-6)


def test_a_class_that_is_neither_there_nor_predicted_is_nan_and_in_no_mean() -> None:
    matrix = np.array([[3, 1, 0], [0, 4, 0], [0, 0, 0]])
    assert math.isnan(iou_per_class(matrix)[2])
    assert mean_iou(matrix) == pytest.approx((3 / 4 + 4 / 5) / 2)
    assert group_iou(matrix, [1, 2]) == pytest.approx(4 / 5)
    assert math.isnan(group_iou(matrix, [2]))


def test_a_class_that_is_only_predicted_has_iou_zero_and_is_in_no_mean() -> None:
    matrix = np.array([[3, 1], [0, 0]])
    assert iou_per_class(matrix).tolist() == [0.75, 0.0]
    assert mean_iou(matrix) == 0.75


def test_a_class_that_is_never_found_counts_as_zero() -> None:
    assert mean_iou(np.array([[3, 0], [1, 0]])) == pytest.approx(0.75 / 2)


def test_nothing_but_ignored_pixels_gives_nan() -> None:
    matrix = confusion_matrix(np.full((2, 2), 255), np.zeros((2, 2), int), 3)
    assert matrix.sum() == 0
    assert math.isnan(mean_iou(matrix))
    assert math.isnan(pixel_accuracy(matrix))


def test_images_add_up_and_each_gives_its_own_matrix() -> None:
    target, prediction = _masks(5)
    whole = ConfusionMatrix(5)
    parts = [whole.update(t, p) for t, p in zip(target, prediction, strict=True)]
    assert (whole.matrix == sum(parts)).all()
    assert (whole.matrix == confusion_matrix(target, prediction, 5)).all()
    assert (parts[0] == confusion_matrix(target[0], prediction[0], 5)).all()


@pytest.mark.parametrize(
    ("target", "prediction", "message"),
    [
        ([0, 1], [0, 2], "predicted class id 2 is not 0 to 1"),
        ([255, 1], [255, 1], "predicted class id 255 is not 0 to 1"),
        ([0, 2], [0, 1], r"target class id 2 is not 0 to 1 or 255 \(ignored\)"),
        ([0, -1], [0, 1], "target class id -1"),
        ([0, 1], [0, 1, 1], r"shape \(3,\) is not the target's \(2,\)"),
    ],
)
def test_wrong_ids_and_shapes_are_refused(
    target: list[int], prediction: list[int], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        confusion_matrix(np.array(target), np.array(prediction), 2)


@pytest.mark.parametrize("classes", [0, 256])
def test_an_impossible_number_of_classes_is_refused(classes: int) -> None:
    with pytest.raises(InputError, match="number of classes"):
        ConfusionMatrix(classes)
