"""What ``ratewise task train`` reads: data, preparation, codec, task. Imports no torch."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator, model_validator

from ratewise import codecs
from ratewise.data.datasets import DatasetSettings
from ratewise.data.prepare import PrepareSettings
from ratewise.errors import InputError
from ratewise.tasks.settings import TaskSettings, with_prepare
from ratewise.validation import Settings


class TaskTrainingSettings(Settings):
    """One model of a task, outside of a study: the standard recipe on one channel.

    The seed is the one of ``task.training``.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    description: str = ""
    data: DatasetSettings
    split: str = Field("train", description="Of the data set.")
    prepare: PrepareSettings = Field(
        PrepareSettings(),
        description="For classification by default the short side to 256, then a crop of 224x224.",
    )
    codec: str = Field("png", description="What the images go through, such as bpg:qp=46.")
    task: TaskSettings

    @model_validator(mode="before")
    @classmethod
    def _classifiers_see_squares(cls, values: Any) -> Any:
        return with_prepare(values)

    @field_validator("codec")
    @classmethod
    def _codec_is_known(cls, spec: str) -> str:
        try:
            return codecs.codec(spec).spec
        except InputError as error:
            raise ValueError(str(error)) from None
