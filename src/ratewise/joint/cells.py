"""The codecs of a run: variants by lambdas."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ratewise.joint.architecture import JointArchitecture
from ratewise.joint.settings import JointTrainingSettings


@dataclass(frozen=True)
class Cell:
    """One codec to train."""

    variant: str
    lambda_: float
    architecture: JointArchitecture
    start: str | None

    @property
    def name(self) -> str:
        """The beginning of the names of its files."""
        return f"{self.variant}-{self.lambda_:g}"

    def weights(self, folder: Path) -> Path:
        """What its training leaves: the packed codec, or a network that has no bitstream."""
        ending = "" if self.architecture.has_bitstream else "-network"
        return folder / f"{self.name}{ending}.safetensors"


def cells(settings: JointTrainingSettings) -> list[Cell]:
    """Every codec of the settings, by variant and lambda."""
    return [
        Cell(
            variant.name,
            lambda_,
            variant.of(settings.architecture),
            settings.start_of(lambda_),
        )
        for variant in settings.variants
        for lambda_ in variant.lambdas or settings.lambdas
    ]
