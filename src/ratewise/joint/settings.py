"""How joint codecs are trained: what ``ratewise codec train`` reads of ``kind: joint``.

Imports no torch.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, field_validator, model_validator

from ratewise.data.datasets import DatasetSettings
from ratewise.data.prepare import PrepareSettings
from ratewise.joint.architecture import JointArchitecture
from ratewise.neural.training.settings import ImagesSettings
from ratewise.tasks.segmentation_settings import AugmentationSettings, ClassWeights
from ratewise.training.settings import OptimiserSettings, TrainingSettings
from ratewise.validation import Settings

_NAME = r"^[A-Za-z0-9][A-Za-z0-9._+-]*$"

Seed = Annotated[int, Field(ge=0, lt=2**32)]


class JointLossSettings(Settings):
    """Weights of ``L = lambda D + R + CE`` (Chen et al. 2021, eq. 2).

    D is the mean squared error on images in [0, 1], R bits per pixel of both parts, CE the
    cross-entropy in nats of the pixels that have a label. Lambda 256 to 8192 of the paper is then
    0.0039 to 0.126 of ``msh``, times 255 squared (our reading: the paper does not say it).
    """

    plain: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Share of D that is of the plain picture, which must do without the semantic "
        "part; the rest is of the enhanced one. 0 is the paper's.",
    )
    cross_entropy: NonNegativeFloat = 1.0


class PhaseSettings(Settings):
    """A part of the network alone, before or after everything learns together."""

    optimiser: OptimiserSettings = OptimiserSettings(kind="adam", lr=1e-3)
    training: TrainingSettings

    @field_validator("training")
    @classmethod
    def _devices_and_seed_are_those_of_all(cls, value: TrainingSettings) -> TrainingSettings:
        if value.devices * value.nodes > 1:
            raise ValueError("devices and nodes are set in training, for all phases")
        if "seed" in value.model_fields_set:
            raise ValueError("seed is set in training, for all phases")
        return value


class VariantSettings(Settings):
    """A network to train: the settings' architecture, with some of its modules left out."""

    name: str = Field(pattern=_NAME)
    lambdas: tuple[PositiveFloat, ...] = Field(default=(), description="By default all.")
    seeds: tuple[Seed, ...] = Field(default=(), description="By default the settings'.")
    aggregation: bool | None = Field(default=None, description="null: the architecture's.")
    quantisation: bool | None = Field(default=None, description="null: the architecture's.")
    segmentation: bool | None = Field(default=None, description="null: the architecture's.")
    enhancement: Literal[False] | None = Field(
        default=None, description="false leaves it out; null: the architecture's."
    )

    def of(self, architecture: JointArchitecture) -> JointArchitecture:
        """The architecture of this variant."""
        values = architecture.to_json()
        for name in ("aggregation", "quantisation", "segmentation"):
            given = getattr(self, name)
            if given is not None:
                values[name] = given
        if self.enhancement is False or not values["segmentation"]:
            values["enhancement"] = None
        return JointArchitecture(**values)


class JointTrainingSettings(Settings):
    """Joint codecs for the classes of a data set: variants by lambdas and seeds, each trained and
    measured.

    ``photographs`` are images without labels to learn from beside the data set's: they count for
    D and R. ``pictures`` are images to measure rate and distortion on, beside the test split.
    """

    kind: Literal["joint"]
    name: str = Field(pattern=_NAME)
    description: str = ""
    data: DatasetSettings
    train_split: str = "train"
    test_split: str = "val"
    prepare: PrepareSettings = PrepareSettings()
    photographs: tuple[ImagesSettings, ...] = ()
    pictures: tuple[ImagesSettings, ...] = ()
    test_images: int | None = Field(
        default=None, ge=1, description="So many of the test images, at even distances."
    )
    architecture: JointArchitecture = JointArchitecture()
    variants: tuple[VariantSettings, ...] = Field(
        default=(VariantSettings(name="joint"),), min_length=1
    )
    lambdas: tuple[PositiveFloat, ...] = Field(
        default=(256, 512, 1024, 2048, 4096, 6144, 8192),
        min_length=1,
        description="Of L = lambda D + R + CE; by default the paper's seven.",
    )
    seeds: tuple[Seed, ...] = Field(
        default=(), description="Of each codec; by default training.seed alone."
    )
    start: str | tuple[str, ...] | None = Field(
        default=None,
        description="Where the image's codec begins: msh:quality=3, or a file of weights of msh; "
        "one for all lambdas or one for each.",
    )
    image_lr_scale: PositiveFloat = Field(
        default=1.0, description="Factor on lr for the image's codec."
    )
    loss: JointLossSettings = JointLossSettings()
    semantic_first: PhaseSettings | None = Field(
        default=None,
        description="The semantic half alone, on the labelled images, with the image's codec as it "
        "starts and nothing quantised. It does not depend on lambda, quantisation and enhancement: "
        "variants share it.",
    )
    enhancement_last: PhaseSettings | None = Field(
        default=None,
        description="The enhancement module alone, on what the others decode. Rates stay as they "
        "are.",
    )
    class_weights: ClassWeights = Field(
        default=None, description="Of the cross-entropy, as in a segmentation task."
    )
    augmentation: AugmentationSettings = AugmentationSettings()
    optimiser: OptimiserSettings = OptimiserSettings(kind="adam", lr=1e-4)
    quantile_lr: PositiveFloat = 1e-3
    training: TrainingSettings = TrainingSettings(steps=20_000, batch_size=8, clip_norm=1.0)
    storage: Literal["fp32", "fp16"] = Field(default="fp32", description="Of the weights' files.")

    @field_validator("variants")
    @classmethod
    def _names_differ(cls, value: tuple[VariantSettings, ...]) -> tuple[VariantSettings, ...]:
        names = [variant.name for variant in value]
        if len(set(names)) < len(names):
            raise ValueError("two variants have one name")
        if strange := [name for name in names if re.search(r"-seed\d+$", name)]:
            raise ValueError(f"{strange[0]!r} ends as the files of another seed do: name seeds")
        return value

    @field_validator("lambdas")
    @classmethod
    def _lambdas_differ(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if len({f"{one:g}" for one in value}) < len(value):
            raise ValueError("one of them is there twice (six digits count)")
        return value

    @model_validator(mode="after")
    def _parts_fit(self) -> JointTrainingSettings:
        if isinstance(self.start, tuple) and len(self.start) != len(self.lambdas):
            raise ValueError(f"start has {len(self.start)} entries for {len(self.lambdas)} lambdas")
        if self.photographs and self.augmentation.crop is None:
            raise ValueError(
                "photographs have other sizes than the data set's images: set augmentation.crop to "
                "[width, height]"
            )
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("seeds: one of them is there twice")
        for variant in self.variants:
            for name in ("lambdas", "seeds"):
                given = getattr(variant, name)
                if len(set(given)) < len(given):
                    raise ValueError(f"variant {variant.name}: one of its {name} is there twice")
            strange = [one for one in variant.lambdas if one not in self.lambdas]
            if strange:
                known = ", ".join(f"{one:g}" for one in self.lambdas)
                raise ValueError(
                    f"variant {variant.name}: lambda {strange[0]:g} is none of lambdas ({known})"
                )
        return self

    def seeds_of(self, variant: VariantSettings) -> tuple[int, ...]:
        """The seeds that a variant is trained with."""
        return variant.seeds or self.seeds or (self.training.seed,)

    def start_of(self, lambda_: float) -> str | None:
        """Where the image's codec begins for a lambda."""
        if isinstance(self.start, tuple):
            return self.start[self.lambdas.index(lambda_)]
        return self.start
