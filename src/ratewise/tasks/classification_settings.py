"""How a classifier is built and trained. Imports no torch: studies are planned from it."""

from __future__ import annotations

from pathlib import PurePath
from typing import Annotated, Any, Literal

from pydantic import Field, PositiveFloat, field_validator, model_validator

from ratewise.training.normalisation import Normalisation
from ratewise.training.settings import OptimiserSettings, ScheduleSettings, TrainingSettings
from ratewise.validation import Settings

WEIGHTS_SUFFIXES = (".safetensors", ".pth", ".pt", ".ckpt")
"""Of the files that weights are read from."""

Share = Annotated[float, Field(gt=0, le=1)]
Side = Annotated[int, Field(ge=1)]


class ClassificationAugmentation(Settings):
    """A random part of the image at a random aspect ratio, then a flip (torchvision's
    RandomResizedCrop and RandomHorizontalFlip); every channel of a sample alike."""

    crop_scale: tuple[Share, Share] = Field(
        (0.08, 1.0), description="Range of the part's share of the area, drawn uniformly."
    )
    ratio: tuple[PositiveFloat, PositiveFloat] = Field(
        (3 / 4, 4 / 3),
        description="Range of the part's width over height, drawn uniformly in its logarithm.",
    )
    flip: bool = Field(True, description="Mirror left and right half of the time.")
    size: tuple[Side, Side] | None = Field(
        None, description="Width and height of the result in pixels; null: those of the image."
    )

    @field_validator("crop_scale", "ratio")
    @classmethod
    def _ascending(cls, value: tuple[float, float]) -> tuple[float, float]:
        if value[0] > value[1]:
            raise ValueError(f"the first must not be above the second, as in {list(value)}")
        return value


class ClassificationSettings(Settings):
    """A classification task: model, head, augmentation, optimiser and training.

    The defaults are those of expert training (Marie et al., 2022, section IV-A). ``model``,
    ``model_options``, ``weights`` and the classes are checked by
    ``ratewise.tasks.classification.check``, which builds the model once (and so imports torch).
    """

    kind: Literal["classification"] = "classification"
    model: str = Field("mnasnet_100", description="A model of timm, with or without its tag.")
    model_options: dict[str, bool | int | float | str | list[int]] = Field(
        {}, description="Options of the model in timm, such as pad_type: same."
    )
    weights: str | None = Field(
        None,
        description="null: random; 'imagenet': from timm's hub; else a .safetensors or .pth file: "
        "a state dict of timm's model, or a model that was trained here.",
    )
    head: Literal["new", "restricted"] = Field(
        "new",
        description="new: a last layer for the data set's classes; restricted: the model keeps its "
        "outputs, and the data set's classes are some of them.",
    )
    head_classes: list[str] | None = Field(
        None,
        min_length=1,
        description="The names of a restricted model's outputs, in their order; null: ImageNet's "
        "1000 synsets (n01440764, ...).",
    )
    normalisation: Normalisation | None = Field(
        None, description="null: that of a model trained here, else what timm knows of the model."
    )
    augmentation: ClassificationAugmentation | None = Field(
        None, description="null: none, as in the paper."
    )
    optimiser: OptimiserSettings = OptimiserSettings(
        kind="adam", lr=1e-5, betas=(0.5, 0.99), schedule=ScheduleSettings(kind="plateau")
    )
    training: TrainingSettings = TrainingSettings(epochs=45, batch_size=32)
    holdout: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="Share of the training images that chooses the best weights and lowers the "
        "plateau schedule's learning rate; 0: the last weights.",
    )
    cache_mebibytes: int = Field(
        2048, ge=0, description="Memory for decoded training images; the rest is decoded each time."
    )

    @field_validator("weights")
    @classmethod
    def _weights_are_named(cls, value: str | None) -> str | None:
        if value in (None, "imagenet") or PurePath(str(value)).suffix in WEIGHTS_SUFFIXES:
            return value
        raise ValueError(f"give null, 'imagenet' or a file ({', '.join(WEIGHTS_SUFFIXES)})")

    @field_validator("head_classes")
    @classmethod
    def _names_differ(cls, value: list[str] | None) -> list[str] | None:
        if value is not None and len(set(value)) < len(value):
            twice = next(name for name in value if value.count(name) > 1)
            raise ValueError(f"the output {twice!r} is named twice")
        return value

    @model_validator(mode="after")
    def _head_classes_are_of_a_restricted_head(self) -> ClassificationSettings:
        if self.head_classes is not None and self.head != "restricted":
            raise ValueError("head_classes are the outputs of a restricted head: set head to it")
        return self

    @property
    def title(self) -> str:
        """What result rows call the model."""
        return self.model

    @property
    def network(self) -> str:
        """The name of the model."""
        return self.model

    @property
    def weights_key(self) -> str:
        """The setting that names the weights."""
        return "weights"

    @property
    def starts_trained(self) -> bool:
        """Whether the weights are those of a whole model, which recipes can begin with."""
        return self.weights is not None and self.head == "restricted"

    @property
    def weights_file(self) -> str | None:
        """The file that the model starts from, as it is spelled in the settings, if any."""
        return None if self.weights in (None, "imagenet") else self.weights

    def deciding(self) -> dict[str, Any]:
        """The settings that decide what comes out (JSON-able): all but where and how it runs."""
        values = self.model_dump(mode="json", exclude={"training", "cache_mebibytes"})
        return {**values, "training": self.training.deciding()}
