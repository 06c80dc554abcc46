"""How well the classes of whole images are predicted: top-k, accuracy per class, confusions.

A tie counts against the model: the true class is in the top k only if fewer than k other classes
score as high as it, or higher. So a model that says nothing, with equal scores for all, is never
right, and NaN scores are never right either.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ratewise.errors import InputError

Matrix = NDArray[np.int64]
Correct = NDArray[np.bool_]

_TOP = 5


def top_k(logits: NDArray[Any], targets: NDArray[Any], k: int = 1) -> Correct:
    """Whether the true class of each image is among the ``k`` that score highest: ``bool (N,)``.

    ``logits`` ``(N, C)`` are scores in any unit, ``targets`` ``(N,)`` integer class ids. A tie
    counts against the model. With ``k >= C`` every image is right. Raises :class:`InputError` if
    the shapes do not fit, ``k`` is below 1, or a target is not 0 to C - 1.

    >>> top_k(np.array([[1.0, 3.0, 2.0], [5.0, 5.0, 0.0]]), np.array([2, 0])).tolist()
    [False, False]
    >>> top_k(np.array([[1.0, 3.0, 2.0], [5.0, 5.0, 0.0]]), np.array([2, 0]), k=2).tolist()
    [True, True]
    """
    if k < 1:
        raise InputError(f"k = {k}: the number of classes that count must be at least 1")
    ahead: Correct = _not_below(logits, targets).sum(axis=1) < k
    return ahead


def predictions(logits: NDArray[Any], targets: NDArray[Any]) -> NDArray[np.int64]:
    """The class of each image that counts as predicted: ``int64 (N,)``.

    It is the one that scores highest, and the true class only where :func:`top_k` says so: in a tie
    it is the first of the other classes. Errors: :func:`top_k`.
    """
    rivals = _not_below(logits, targets)
    ids = targets.astype(np.int64)
    best = logits.argmax(axis=1).astype(np.int64)
    tied = (best == ids) & rivals.any(axis=1)
    predicted: NDArray[np.int64] = np.where(tied, rivals.argmax(axis=1), best)
    return predicted


class Accuracy:
    """Adds up images whose true class is known. All figures are shares, 0 to 1.

    Raises :class:`InputError` for a number of classes below 1.
    """

    def __init__(self, classes: int) -> None:
        if classes < 1:
            raise InputError(f"the number of classes must be at least 1, not {classes}")
        self._matrix: Matrix = np.zeros((classes, classes), np.int64)
        self._in_top = 0

    def update(self, logits: NDArray[Any], targets: NDArray[Any]) -> Correct:
        """Add images and return which of them are right, ``bool (N,)``.

        ``logits`` are ``(N, C)``, ``targets`` integers ``(N,)``. Errors: :func:`top_k`, and another
        number of classes; nothing is added then.
        """
        classes = len(self._matrix)
        if logits.ndim != 2 or logits.shape[1] != classes:
            raise InputError(f"the scores' shape {logits.shape} is not (images, {classes} classes)")
        predicted = predictions(logits, targets)
        self._in_top += int(top_k(logits, targets, _TOP).sum())
        np.add.at(self._matrix, (targets.astype(np.int64), predicted), 1)
        right: Correct = predicted == targets
        return right

    @property
    def matrix(self) -> Matrix:
        """The confusion matrix, ``int64 (C, C)``: images by true class and predicted class."""
        return self._matrix.copy()

    @property
    def images(self) -> int:
        """How many there were."""
        return int(self._matrix.sum())

    @property
    def top1(self) -> float:
        """Share of the images whose class is right; NaN without any."""
        return float(np.trace(self._matrix) / self.images) if self.images else float("nan")

    @property
    def top5(self) -> float:
        """Share of the images whose class is among the best five.

        NaN without images, and for five classes or fewer, where it says nothing.
        """
        if not self.images or len(self._matrix) <= _TOP:
            return float("nan")
        return self._in_top / self.images

    @property
    def per_class(self) -> NDArray[np.float64]:
        """Share of the images of each class that are right, ``(C,)``; NaN for one without any."""
        counts = self._matrix.sum(axis=1)
        shares = np.full(len(counts), np.nan)
        np.divide(np.diag(self._matrix), counts, out=shares, where=counts > 0)
        return shares


def _not_below(logits: NDArray[Any], targets: NDArray[Any]) -> Correct:
    """Which other classes do not score lower than the true one: ``bool (N, C)``.

    Said this way round, a NaN on either side counts against the model.
    """
    if logits.ndim != 2 or targets.shape != logits.shape[:1]:
        raise InputError(
            f"scores of shape {logits.shape} and targets of shape {targets.shape} are not (N, C) "
            "and (N,)"
        )
    classes = logits.shape[1]
    if targets.size:
        for worst in (int(targets.max()), int(targets.min())):
            if not 0 <= worst < classes:
                raise InputError(f"target class id {worst} is not 0 to {classes - 1}")
    rows = np.arange(len(targets))
    ids = targets.astype(np.int64)
    found: Correct = ~(logits < logits[rows, ids][:, None])
    found[rows, ids] = False
    return found
