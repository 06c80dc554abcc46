"""How learned codecs are trained: what ``ratewise codec train`` reads. Imports no torch."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, PositiveFloat, field_validator, model_validator

from ratewise.training.settings import OptimiserSettings, Schedule, ScheduleSettings
from ratewise.validation import Settings


class ArchitectureSettings(Settings):
    """The network: ``kind`` and the widths N (inside) and M (of the latent y)."""

    kind: Literal["factorized", "hyperprior", "msh"] = "msh"
    N: int = Field(default=128, ge=1, le=1024)
    M: int = Field(default=192, ge=1, le=2048)

    @model_validator(mode="after")
    def _msh_halves_y(self) -> ArchitectureSettings:
        if self.kind == "msh" and self.M % 2:
            raise ValueError(f"M = {self.M} must be even for msh (h_s has 3/2 M inside)")
        return self


class PhaseSettings(Settings):
    """One stretch of training: its length and learning rate."""

    steps: int = Field(ge=1)
    lr: PositiveFloat = 1e-4
    schedule: Schedule = ScheduleSettings()


class ImagesSettings(Settings):
    """Where photographs come from: a folder of images, or splits of a data set."""

    root: str | None = None
    data: str = Field(default="folder", description="folder, or a data set's name")
    splits: tuple[str, ...] = Field(default=(), description="Of the data set; by default train.")
    options: dict[str, Any] = Field(default={}, description="Options of the data set.")
    repeat: int = Field(default=1, ge=1, description="How often an epoch visits each image.")

    @model_validator(mode="after")
    def _splits_are_of_a_data_set(self) -> ImagesSettings:
        if self.data == "folder" and (self.splits or self.options):
            raise ValueError("splits and options belong to a data set; name it with data")
        if self.data == "folder" and self.root is None:
            raise ValueError("root is missing: the folder of the images")
        return self


class CodecTrainingSettings(Settings):
    """A family of codecs that share everything but lambda: one run trains them all.

    The loss is ``lambda * 255**2 * MSE + bpp`` (or ``lambda * (1 - MS-SSIM) + bpp``). ``shared``
    trains once, at ``shared_lambda``; ``each`` goes on from there for every lambda of ``lambdas``,
    the first of which becomes quality 1.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    description: str = ""
    images: tuple[ImagesSettings, ...] = Field(min_length=1)
    validation: int = Field(
        default=8, ge=0, description="Images held out of training, to measure real bytes on."
    )
    architecture: ArchitectureSettings = ArchitectureSettings()
    distortion: Literal["mse", "ms_ssim"] = "mse"
    lambdas: tuple[PositiveFloat, ...] = Field(min_length=1)
    shared: PhaseSettings | None = None
    shared_lambda: PositiveFloat | None = Field(
        default=None, description="By default the middle one of lambdas."
    )
    start: str | None = Field(
        default=None,
        description="Weights to begin with: a -training file, or CompressAI's checkpoint.",
    )
    each: PhaseSettings
    patch: int = Field(default=256, ge=64, multiple_of=64, description="Side of a patch.")
    scale: tuple[
        Annotated[float, Field(gt=0, le=1)],
        Annotated[float, Field(gt=0, le=1)],
    ] = Field(default=(0.5, 1.0), description="Images are shrunk by a factor of this range.")
    batch_size: int = Field(default=16, ge=1)
    quantile_lr: PositiveFloat = 1e-3
    clip_norm: PositiveFloat | None = 1.0
    ema: float | None = Field(default=None, gt=0, lt=1)
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    validate_every: int = Field(default=2000, ge=1, description="Steps between validations.")
    seed: int = Field(default=0, ge=0, lt=2**32)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    devices: int = Field(default=1, ge=1)
    nodes: int = Field(default=1, ge=1)
    workers: int = Field(default=0, ge=0)
    tensorboard: bool = False
    storage: Literal["fp32", "fp16"] = Field(default="fp32", description="Of the weights' files.")

    @field_validator("lambdas")
    @classmethod
    def _lambdas_rise(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if list(value) != sorted(set(value)):
            raise ValueError("must rise: quality 1 is the first and has the least rate")
        return value

    @model_validator(mode="after")
    def _parts_fit(self) -> CodecTrainingSettings:
        if self.scale[0] > self.scale[1]:
            raise ValueError("scale must be a range from the smaller to the larger factor")
        if self.shared_lambda is not None and self.shared is None:
            raise ValueError("shared_lambda needs shared")
        if self.distortion == "ms_ssim" and self.patch < 192:
            raise ValueError("ms_ssim needs patches of 192 at least")
        return self

    @property
    def common_lambda(self) -> float:
        """The lambda of the shared phase."""
        return self.shared_lambda or self.lambdas[len(self.lambdas) // 2]

    def optimiser(self, phase: PhaseSettings) -> OptimiserSettings:
        """Adam for the network."""
        return OptimiserSettings(kind="adam", lr=phase.lr, schedule=phase.schedule)

    def quantile_optimiser(self) -> OptimiserSettings:
        """Adam for the quantiles of the factorised prior."""
        return OptimiserSettings(kind="adam", lr=self.quantile_lr)
