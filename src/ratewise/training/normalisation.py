"""What a classifier sees of an image: its colours, shifted and scaled. Imports no torch."""

from __future__ import annotations

from typing import Any

from pydantic import PositiveFloat, field_validator

from ratewise.validation import Settings

Triple = tuple[float, float, float]
PositiveTriple = tuple[PositiveFloat, PositiveFloat, PositiveFloat]


class Normalisation(Settings):
    """What the network sees of RGB in 0 to 1: ``(x - mean) / std``, per colour."""

    mean: Triple = (0.485, 0.456, 0.406)
    std: PositiveTriple = (0.229, 0.224, 0.225)

    @field_validator("mean", "std", mode="before")
    @classmethod
    def _one_for_all(cls, value: Any) -> Any:
        return (value,) * 3 if isinstance(value, (int, float)) else value
