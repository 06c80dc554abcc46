"""The task of a study file, told apart by ``kind``. Imports no torch."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Discriminator, Tag

from ratewise.tasks.classification_settings import ClassificationSettings
from ratewise.tasks.segmentation_settings import SegmentationSettings
from ratewise.validation import suggestion

_KINDS = ("segmentation", "classification")


def _named(value: Any) -> Any:
    """A task without a kind is segmentation; an unknown kind is named."""
    if isinstance(value, dict):
        kind = value.get("kind", _KINDS[0])
        if kind not in _KINDS:
            close = suggestion(str(kind), _KINDS)
            raise ValueError(f"task {kind!r} is not known{close} (allowed: {', '.join(_KINDS)})")
    return value


def _kind(value: Any) -> str:
    return str(value.get("kind", _KINDS[0]) if isinstance(value, dict) else value.kind)


TaskSettings = Annotated[
    Annotated[
        Annotated[SegmentationSettings, Tag("segmentation")]
        | Annotated[ClassificationSettings, Tag("classification")],
        Discriminator(_kind),
    ],
    BeforeValidator(_named),
]
"""Settings of a task; ``kind`` is segmentation where it is left out."""


def with_prepare(values: Any) -> Any:
    """The values of settings with ``task`` and ``prepare``, the latter filled in where a
    classification leaves it out: the expert-training paper's resize and crop, of which the crop is
    then compressed (section IV-A)."""
    task = values.get("task") if isinstance(values, dict) else None
    if isinstance(task, dict) and task.get("kind") == "classification":
        return {"prepare": {"short_side": 256, "crop": [224, 224]}, **values}
    return values
