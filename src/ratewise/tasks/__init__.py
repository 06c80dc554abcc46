"""What a model does: segmentation and classification, each with its model, loss and metrics.

The settings import no torch, so that a study is planned without it; nor does this.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ratewise.errors import InputError

if TYPE_CHECKING:
    from ratewise.data.classes import Classes
    from ratewise.tasks.task import Task


class Classified(Protocol):
    """A store or a data set: the classes of its masks, and those of whole images."""

    @property
    def classes(self) -> Classes | None: ...
    @property
    def labels(self) -> tuple[str, ...] | None: ...


def task_of(settings: Any, images: Classified, name: Path | str) -> Task:
    """The task of ``settings`` for the classes of ``images``, which ``name`` names in errors.

    Raises :class:`InputError` if they have none of the kind that the task needs.
    """
    if settings.kind == "classification":
        if images.labels is None:
            raise InputError(
                f"{name}: has no classes of whole images, and classification needs them"
            )
        from ratewise.tasks.classification_task import ClassificationTask

        return ClassificationTask(settings, images.labels)
    if images.classes is None:
        raise InputError(f"{name}: has no masks, which segmentation needs")
    from ratewise.tasks.segmentation_task import SegmentationTask

    return SegmentationTask(settings, images.classes)
