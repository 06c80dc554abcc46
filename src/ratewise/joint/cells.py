"""The codecs of a run: variants by seeds and lambdas."""

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
    seed: int
    architecture: JointArchitecture
    start: str | None
    name: str
    """The beginning of the names of its files."""

    def weights(self, folder: Path) -> Path:
        """What its training leaves: the packed codec, or a network that has no bitstream."""
        ending = "" if self.architecture.has_bitstream else "-network"
        return folder / f"{self.name}{ending}.safetensors"


def cells(settings: JointTrainingSettings) -> list[Cell]:
    """Every codec of the settings, by variant, seed and lambda.

    Names end with lambda, so that those of a variant and seed are seen as one curve. Only seeds
    other than ``training.seed`` are part of them.
    """
    return [
        Cell(
            variant.name,
            lambda_,
            seed,
            variant.of(settings.architecture),
            settings.start_of(lambda_),
            f"{variant.name}{'' if seed == settings.training.seed else f'-seed{seed}'}-{lambda_:g}",
        )
        for variant in settings.variants
        for seed in settings.seeds_of(variant)
        for lambda_ in variant.lambdas or settings.lambdas
    ]
