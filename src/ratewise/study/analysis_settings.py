"""The part of a study file on analyses beside the result rows: what is to be measured.

Imports no torch: a study is planned from these settings alone.
"""

from __future__ import annotations

from collections.abc import Collection

from pydantic import Field, model_validator

from ratewise.training.normalisation import Normalisation
from ratewise.validation import Settings


class BackboneSettings(Settings):
    """The classifier whose features patch KID compares; its weights are a local file."""

    name: str = Field("mobilenetv2_100", description="A model of timm.")
    options: dict[str, bool | int | float | str] = Field(
        {}, description="Options of that model, such as pad_type: same."
    )
    weights: str = Field(description="A .safetensors file.")
    normalisation: Normalisation = Normalisation()
    patches: int = Field(2048, ge=2, description="Drawn from each set of images.")


class PerceptionSettings(Settings):
    """Perceptual indices of the test images: originals, compressed, restored (Table IV, Figs. 5
    and 10 of the driving paper)."""

    iqa: str | None = Field(
        None,
        description="The folder of the indices' parameters; null: the one RATEWISE_IQA names.",
    )
    backbone: BackboneSettings | None = Field(None, description="For patch KID; null: none.")
    success_rate: bool = Field(
        True, description="Train a small network to tell each set from the originals."
    )
    images: int = Field(
        200, ge=1, description="At most so many test images, evenly spread; all are in memory."
    )


class FeaturesSettings(Settings):
    """Average activations of a layer of the OO model (Fig. 11)."""

    layer: str = Field(
        "shallow",
        description="'shallow': the encoder's features at a quarter of the sides; or the name of a "
        "part of the network, such as encoder.layer1.",
    )
    images: int | None = Field(None, ge=1, description="At most so many test images; null: all.")


class InformationSettings(Settings):
    """Semantic information loss from the cross-entropies of OO and CC (section III-C)."""

    images: int | None = Field(None, ge=2, description="At most so many test images; null: all.")
    pixels: int = Field(
        4096, ge=1, description="Of an image, at most, that the temperature is fitted on."
    )


class TimingSettings(Settings):
    """Seconds per image of inference on this machine (Table VI)."""

    images: int = Field(20, ge=1, description="Test images that are timed, one by one.")
    repeats: int = Field(3, ge=1, description="How often each is timed; the median counts.")


class DistortionSettings(Settings):
    """SSIM of the test images, as rows of results (``test_ssim``; table I of the expert-training
    paper). Their PSNR is always there."""

    images: int | None = Field(None, ge=1, description="At most so many test images; null: all.")


class AnalysisSettings(Settings):
    """What is analysed beside the result rows; a part that is left out is not."""

    distortion: DistortionSettings | None = None
    perception: PerceptionSettings | None = None
    features: FeaturesSettings | None = None
    information: InformationSettings | None = None
    timing: TimingSettings | None = None

    @model_validator(mode="after")
    def _asks_for_something(self) -> AnalysisSettings:
        if not any(getattr(self, name) is not None for name in type(self).model_fields):
            raise ValueError(
                "give at least one of perception, features, information, timing and distortion, "
                "such as timing: {}"
            )
        return self

    def check(self, trained_on: Collection[str], *, compresses: bool) -> None:
        """Raise ValueError if a study has no model or no images that an analysis needs.

        ``trained_on`` has the training channels of the configurations that use all images.
        """
        if not compresses:
            raise ValueError("analysis needs a codec; png stands for originals")
        for name in ("features", "timing", "information"):
            if getattr(self, name) is not None and "O" not in trained_on:
                raise ValueError(f"analysis.{name} needs a model that is trained on originals: OO")
        if self.information is not None and "C" not in trained_on:
            raise ValueError(
                "analysis.information needs a model that is trained on compressed images: CC or CO"
            )
