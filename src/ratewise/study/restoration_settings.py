"""The part of a study file on restoration: restorers, and the images they are trained on.

Imports no torch: a study is planned from these settings alone.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any, Literal

from pydantic import Field, PositiveFloat, field_validator, model_validator

from ratewise.data.datasets import DatasetSettings
from ratewise.data.prepare import PrepareSettings
from ratewise.restoration.settings import RestorerSettings
from ratewise.study.channels import RESTORER_NAME
from ratewise.validation import Settings


class PrivilegedSettings(Settings):
    """The privileged set that R's restorer is trained on: one of four.

    - ``groups`` of the training split, such as drives: their images then leave the training set of
      the task in every configuration, so that all train on the same images;
    - ``split``: another split of the study's data set;
    - ``data`` and ``split``: a split of another data set, prepared like the study's;
    - ``share``: so many per cent of the training split (RO is then rO at that share).
    """

    groups: list[str] | None = Field(default=None, min_length=1)
    split: str | None = None
    data: DatasetSettings | None = None
    share: float | None = Field(default=None, gt=0, lt=100, description="Per cent.")

    @model_validator(mode="after")
    def _one_of_four(self) -> PrivilegedSettings:
        given = [key for key in ("groups", "split", "share") if getattr(self, key) is not None]
        if len(given) != 1:
            raise ValueError(
                "give one of groups, split, share, or data with split "
                f"(given: {', '.join(given) or 'none'})"
            )
        if self.data is not None and self.split is None:
            raise ValueError("data needs split, the split of it to train on")
        return self

    @property
    def fraction(self) -> Fraction | None:
        """``share`` as a fraction."""
        return None if self.share is None else Fraction(str(self.share)) / 100


class AuxiliarySettings(Settings):
    """The data set of another domain that A's restorer is trained on; it needs no masks."""

    data: DatasetSettings
    split: str = "train"
    prepare: PrepareSettings = PrepareSettings()


class RestorationSettings(Settings):
    """How the configurations with R, A, o and r are made."""

    restorers: dict[str, RestorerSettings] = Field(
        min_length=1,
        description="Each with its name; the first restores where no other is named. A bare "
        "string is the name of a preset.",
    )
    privileged: PrivilegedSettings = PrivilegedSettings(share=50)
    auxiliary: AuxiliarySettings | None = None
    range: bool = Field(
        default=False,
        description="One restorer per codec, for all its operating points in the study; else one "
        "per operating point.",
    )
    overlap: Literal["cross_fit", "exclude", "allow"] = Field(
        default="cross_fit",
        description="How privileged images of the training split are restored: cross_fit: by "
        "restorers trained on another part of them; exclude: not at all, the task is trained on "
        "the others; allow: by the restorer that was trained on them.",
    )
    margin: int = Field(
        default=5,
        ge=0,
        description="Frames to either side of a restored one, in its group, that its restorer is "
        "not trained on.",
    )
    seed: int = Field(
        default=0, ge=0, lt=2**32, description="Of the restorers, and of privileged shares."
    )
    original_weight: PositiveFloat = Field(
        default=5.0, description="Weight of an original's loss in o+c and o+r; the others' is 1."
    )

    @field_validator("restorers")
    @classmethod
    def _names_can_be_spelled(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name in value:
            if not re.fullmatch(RESTORER_NAME, name):
                raise ValueError(
                    f"{name!r} is no name for a restorer (allowed: letters, digits, '.', '_', '-', "
                    "the first a letter or digit)"
                )
        return value

    @property
    def first(self) -> str:
        """The name of the restorer that is used where no other is named."""
        return next(iter(self.restorers))


def deciding(settings: RestorerSettings, weights: str | None) -> dict[str, Any]:
    """What decides the restorer that is trained by ``settings``, JSON-able.

    ``weights`` is the digest of ``features.weights``: a file counts by its content, not by where it
    lies, and what no term of the loss reads does not count.
    """
    values = settings.deciding()
    used = settings.losses.features > 0
    return {**values, "features": {**values["features"], "weights": weights} if used else None}
