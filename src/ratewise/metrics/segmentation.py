"""How well class ids are predicted: confusion matrix, IoU per class, their means, pixel accuracy.

A confusion matrix is ``int64 (C, C)``: ``matrix[t, p]`` counts the pixels of true class ``t`` that
were predicted as ``p``. Pixels whose target is ignored are in no count. Matrices of several images
add up, and every figure here is computed from the sum over a split (as for Cityscapes and PASCAL
VOC), unless a caller passes the matrix of one image.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ratewise.errors import InputError
from ratewise.images import IGNORE

Matrix = NDArray[np.int64]


def confusion_matrix(
    target: NDArray[Any], prediction: NDArray[Any], classes: int, ignore: int = IGNORE
) -> Matrix:
    """Counts of (true class, predicted class) over the pixels of one or more masks.

    Both arrays hold integer class ids and have the same shape. Raises :class:`InputError` if the
    shapes differ, a predicted id is not below ``classes`` (even where the target is ignored), or a
    target id is neither below ``classes`` nor ``ignore``.

    >>> confusion_matrix(np.array([0, 1, 1, 255]), np.array([0, 0, 1, 1]), 2).tolist()
    [[1, 0], [1, 1]]
    """
    if target.shape != prediction.shape:
        raise InputError(
            f"the prediction's shape {prediction.shape} is not the target's {target.shape}"
        )
    valid = target != ignore
    true = target[valid].astype(np.int64)
    _check_ids("target", true, classes, f" or {ignore} (ignored)")
    _check_ids("predicted", prediction, classes, "")
    cells = true * classes + prediction[valid].astype(np.int64)
    return np.bincount(cells, minlength=classes**2).astype(np.int64).reshape(classes, classes)


def iou_per_class(matrix: Matrix) -> NDArray[np.float64]:
    """Intersection over union of each class, 0 to 1: ``tp / (tp + fp + fn)``.

    NaN for a class that is neither present in the target nor predicted; 0 for one that is only
    predicted.

    >>> iou_per_class(np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0]])).tolist()
    [0.5, 0.5, nan]
    """
    hits = np.diag(matrix).astype(np.float64)
    union = matrix.sum(axis=0) + matrix.sum(axis=1) - hits
    iou = np.full(len(matrix), np.nan)
    np.divide(hits, union, out=iou, where=union > 0)
    return iou


def mean_iou(matrix: Matrix) -> float:
    """Mean of the IoU over the classes that are present in the target; NaN if none is.

    So every model that is tested on the same images is averaged over the same classes. A class that
    is predicted but nowhere present does not count as a zero of its own; its pixels count as misses
    of the classes that they belong to.
    """
    return group_iou(matrix, range(len(matrix)))


def group_iou(matrix: Matrix, ids: Sequence[int]) -> float:
    """Mean of the IoU over those of the classes ``ids`` that are present in the target.

    NaN if none is. The classes stay apart: taking one of the group for another is an error.
    """
    chosen = [i for i in ids if matrix[i].sum() > 0]
    return float(iou_per_class(matrix)[chosen].mean()) if chosen else float("nan")


def merged(matrix: Matrix, groups: Sequence[Sequence[int]]) -> Matrix:
    """The confusion matrix of ``groups`` of classes, each taken for one class.

    Its :func:`mean_iou` is Cityscapes' category IoU, where the groups are the categories: taking
    one class of a group for another is no error. Each class must be in one group.

    >>> merged(np.array([[1, 2, 0], [0, 1, 1], [0, 0, 3]]), [[0, 1], [2]]).tolist()
    [[4, 1], [0, 3]]
    """
    if sorted(i for group in groups for i in group) != list(range(len(matrix))):
        raise InputError(f"the groups do not have each of {len(matrix)} classes once")
    rows = np.stack([matrix[list(group)].sum(0) for group in groups])
    return np.stack([rows[:, list(group)].sum(1) for group in groups], axis=1)


def pixel_accuracy(matrix: Matrix) -> float:
    """Share of the pixels that are not ignored whose class is right, 0 to 1; NaN without any."""
    total = int(matrix.sum())
    return float(np.trace(matrix) / total) if total else float("nan")


class ConfusionMatrix:
    """Adds up the confusion matrices of images."""

    def __init__(self, classes: int, ignore: int = IGNORE) -> None:
        if not 1 <= classes <= ignore:
            raise InputError(f"the number of classes must be 1 to {ignore}, not {classes}")
        self._ignore = ignore
        self._matrix: Matrix = np.zeros((classes, classes), np.int64)

    @property
    def matrix(self) -> Matrix:
        """The sum so far, ``int64 (C, C)``: true class by predicted class."""
        return self._matrix.copy()

    def update(self, target: NDArray[Any], prediction: NDArray[Any]) -> Matrix:
        """Add an image (or several) and return its own matrix. Errors: :func:`confusion_matrix`."""
        matrix = confusion_matrix(target, prediction, len(self._matrix), self._ignore)
        self._matrix += matrix
        return matrix


def _check_ids(what: str, ids: NDArray[Any], classes: int, also: str) -> None:
    if ids.size == 0:
        return
    for worst in (int(ids.max()), int(ids.min())):
        if not 0 <= worst < classes:
            raise InputError(f"{what} class id {worst} is not 0 to {classes - 1}{also}")
