"""What a restorer is made of and how it is trained.

Imports no torch: studies are planned from these settings alone. The defaults are the driving
paper's, appendices B and C, as printed; :mod:`ratewise.restoration.presets` has smaller ones.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, NonNegativeFloat, model_validator

from ratewise.restoration.presets import with_preset
from ratewise.training.normalisation import Normalisation
from ratewise.training.settings import OptimiserSettings, StepSchedule, TrainingSettings
from ratewise.validation import Settings


class FineNetSettings(Settings):
    """The adversarial generator: ``x + G(x)``, an encoder, residual blocks, a decoder (App. B).

    ``width`` is that of the first layer and doubles with each of ``downsamplings``.
    """

    kind: Literal["finenet"] = "finenet"
    width: int = Field(default=64, ge=1, le=512)
    blocks: int = Field(default=9, ge=0, le=64, description="Residual blocks.")
    downsamplings: int = Field(default=3, ge=1, le=5)
    upsampling: Literal["transposed", "resize"] = Field(
        default="transposed",
        description="Transposed convolutions, or nearest-neighbour and then a convolution.",
    )
    padding: Literal["reflect", "zeros"] = Field(
        default="reflect", description="Of the residual blocks; zeros give bright spots."
    )
    norm: Literal["instance", "none"] = "instance"
    output_norm: bool = Field(
        default=True,
        description="Instance norm before the last tanh: printed in the paper, absent from the "
        "common implementation.",
    )


class RdnSettings(Settings):
    """The residual dense network (App. C): ``blocks`` D, ``layers`` C, ``growth`` G."""

    kind: Literal["rdn"] = "rdn"
    width: int = Field(default=64, ge=1, le=512, description="G0, of the global features.")
    blocks: int = Field(default=16, ge=1, le=64, description="Global layers.")
    layers: int = Field(default=6, ge=1, le=32, description="Local layers of a block.")
    growth: int = Field(default=32, ge=1, le=256)


def _finenet_by_default(value: Any) -> Any:
    return {"kind": "finenet", **value} if isinstance(value, dict) else value


Generator = Annotated[
    FineNetSettings | RdnSettings,
    Field(discriminator="kind"),
    BeforeValidator(_finenet_by_default),
]


class DiscriminatorSettings(Settings):
    """``count`` conditional discriminators, each seeing the images at a quarter of the last's
    sides: 4x4 convolutions of ``width`` times 1, 2, 4, ... and one output map (App. B).
    """

    count: int = Field(default=2, ge=1, le=4)
    width: int = Field(default=64, ge=1, le=512)
    layers: int = Field(default=4, ge=1, le=6)
    last_stride: Literal[1, 2] = Field(
        default=2, description="Of the last layer: 2 in the paper, 1 in common implementations."
    )
    output_kernel: Literal[1, 4] = Field(
        default=1, description="Of the output: 1 in the paper, 4 in common implementations."
    )
    spectral_norm: bool = False


class LossSettings(Settings):
    """The weights of the generator's loss, images in [-1, 1]; 0 leaves a term out.

    The paper's: GAN + 10 (2 L1 + VGG + MS-SSIM + DIST).
    """

    adversarial: NonNegativeFloat = Field(default=1.0, description="-log D, over discriminators.")
    l1: NonNegativeFloat = 20.0
    mse: NonNegativeFloat = 0.0
    ms_ssim: NonNegativeFloat = Field(default=10.0, description="Of 1 - MS-SSIM.")
    features: NonNegativeFloat = Field(
        default=10.0, description="VGG: L1 between a classifier's features of both images."
    )
    matching: NonNegativeFloat = Field(
        default=10.0, description="DIST: L1 between the discriminators' features of both images."
    )

    @model_validator(mode="after")
    def _something_to_minimise(self) -> LossSettings:
        if not any(self.model_dump().values()):
            raise ValueError("every weight is 0: there is nothing to minimise")
        return self


class FeatureSettings(Settings):
    """The classifier whose features the loss compares."""

    backbone: str = Field(
        default="vgg19", description="A model of timm, or 'torchvision:' and one of torchvision."
    )
    options: dict[str, bool | int | float | str] = Field(
        default={}, description="Options of a timm model, such as pad_type: same."
    )
    weights: str | None = Field(
        default=None,
        description="A local .safetensors or .pth file. null: the loss goes without this term, "
        "and training says so.",
    )
    blocks: int = Field(default=5, ge=1, le=8, description="How many of its stages count.")
    normalisation: Normalisation = Normalisation()


class RestorerSettings(Settings):
    """A restorer. ``preset`` (:mod:`ratewise.restoration.presets`) fills in what is not given."""

    preset: str | None = None
    generator: Generator = FineNetSettings()
    discriminators: DiscriminatorSettings | None = DiscriminatorSettings()
    losses: LossSettings = LossSettings()
    features: FeatureSettings = FeatureSettings()
    patch: int | None = Field(
        default=256, ge=32, description="Side of the training patches; null: whole images."
    )
    optimiser: OptimiserSettings = OptimiserSettings(
        kind="adam",
        lr=2e-4,
        betas=(0.1, 0.9),
        schedule=StepSchedule(milestones=(80_000,), factor=0.1),
    )
    training: TrainingSettings = TrainingSettings(steps=135_000, batch_size=1)
    validation: int = Field(
        default=8, ge=0, description="Images held out of training, to measure restoration on."
    )

    @model_validator(mode="before")
    @classmethod
    def _filled_in(cls, value: Any) -> Any:
        return with_preset(value)

    @model_validator(mode="after")
    def _terms_have_what_they_need(self) -> RestorerSettings:
        losses = self.losses
        if self.discriminators is None and (losses.adversarial or losses.matching):
            raise ValueError("losses.adversarial and losses.matching need discriminators")
        if self.discriminators is not None and not losses.adversarial:
            raise ValueError("discriminators without losses.adversarial: set one of them to null/0")
        if losses.ms_ssim and self.patch is not None and self.patch < 176:
            raise ValueError("losses.ms_ssim needs patches of 176 at least (five scales)")
        return self

    @property
    def adversarial(self) -> bool:
        """Whether the images are judged by discriminators."""
        return self.discriminators is not None

    def deciding(self) -> dict[str, Any]:
        """The settings that decide what comes out (JSON-able): all but where and how it runs."""
        values = self.model_dump(mode="json", exclude={"training", "preset"})
        return {**values, "training": self.training.deciding()}
