"""How a segmentation model is built and trained. Imports no torch: studies are planned from it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, PositiveFloat, field_validator, model_validator

from ratewise.training.normalisation import Normalisation
from ratewise.training.settings import OptimiserSettings, ScheduleSettings, TrainingSettings
from ratewise.validation import Settings, suggestion

ARCHITECTURES = (
    "DPT",
    "DeepLabV3",
    "DeepLabV3Plus",
    "FPN",
    "Linknet",
    "MAnet",
    "PAN",
    "PSPNet",
    "Segformer",
    "UPerNet",
    "Unet",
    "UnetPlusPlus",
)
"""The classes of segmentation-models-pytorch."""

ERFNET = "ERFNet"
"""An architecture of our own, whose encoder is part of it."""

STRIDED = ("DeepLabV3", "DeepLabV3Plus", "PAN")
"""The architectures whose encoder takes an output stride."""

_NETWORK_OF_ERFNET = "erfnet"

ClassWeights = Literal["median_frequency", "sqrt_median_frequency"] | list[PositiveFloat] | None


class AugmentationSettings(Settings):
    """Random scale, then crop, then flip; every channel of a sample and its mask alike."""

    scale: tuple[PositiveFloat, PositiveFloat] = Field(
        (0.5, 2.0),
        description="Range of the factor on both sides, drawn uniformly in its logarithm.",
    )
    crop: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] | None = Field(
        None, description="Width and height in pixels; null: those of the image."
    )
    flip: bool = Field(True, description="Mirror left and right half of the time.")

    @field_validator("scale")
    @classmethod
    def _ascending(cls, value: tuple[float, float]) -> tuple[float, float]:
        if value[0] > value[1]:
            raise ValueError("the first scale must not be above the second")
        return value


class SegmentationSettings(Settings):
    """A segmentation task: model, loss, augmentation, optimiser and training.

    ``architecture`` is checked here; ``encoder``, ``encoder_options`` and ``encoder_frozen`` by
    ``ratewise.tasks.segmentation.check``, which builds the model once (and so imports torch).
    """

    kind: Literal["segmentation"] = "segmentation"
    architecture: str = Field(
        "DeepLabV3Plus",
        description=f"A class of segmentation-models-pytorch, or '{ERFNET}', which has an encoder "
        "of its own.",
    )
    encoder: str = Field(
        "resnet18",
        description="An encoder of segmentation-models-pytorch, or 'tu-' and a model of timm.",
    )
    encoder_options: dict[str, bool | int | float | str] = Field(
        {}, description="Options of a timm encoder, such as pad_type: same."
    )
    encoder_weights: str | None = Field(
        None,
        description="null: random; 'imagenet': from the hub; else a .safetensors or .pth file.",
    )
    encoder_frozen: list[str] = Field(
        [], description="Parts of the encoder that keep their weights and statistics: conv1, bn1."
    )
    encoder_lr_scale: PositiveFloat = Field(1.0, description="Factor on lr for the encoder.")
    decoder_options: dict[str, bool | int | float | str | list[int]] = Field(
        {}, description="Options of the architecture, such as decoder_channels: 128."
    )
    output_stride: Literal[8, 16] = Field(
        16, description=f"Of the encoder's last features, for {', '.join(STRIDED)}."
    )
    normalisation: Normalisation | None = Field(
        None,
        description="null: what timm knows of a 'tu-' encoder, nothing for ERFNet, else "
        "ImageNet's.",
    )
    class_weights: ClassWeights = Field(
        None,
        description="One per class, or from the training masks: the median of the classes' "
        "frequencies over the class's, or the square root of that.",
    )
    augmentation: AugmentationSettings = Field(default_factory=AugmentationSettings)
    optimiser: OptimiserSettings = OptimiserSettings(
        kind="adamw", lr=1e-3, weight_decay=1e-2, schedule=ScheduleSettings(kind="poly")
    )
    training: TrainingSettings = TrainingSettings(epochs=30, batch_size=8)
    holdout: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Share of the training images that chooses the best weights; 0: the last ones.",
    )
    cache_mebibytes: int = Field(
        2048, ge=0, description="Memory for decoded training images; the rest is decoded each time."
    )

    @model_validator(mode="before")
    @classmethod
    def _erfnet_has_its_encoder(cls, values: Any) -> Any:
        if not isinstance(values, dict) or values.get("architecture") != ERFNET:
            return values
        own = _NETWORK_OF_ERFNET
        for name in ("encoder", "encoder_options", "decoder_options"):
            if values.get(name) and values[name] != own:
                raise ValueError(
                    f"architecture {ERFNET} has an encoder and a decoder of its own: leave out "
                    f"{name}"
                )
        if values.get("encoder_weights") == "imagenet":
            raise ValueError(
                f"encoder_weights = imagenet: there are none of {ERFNET} on the hub; give null or "
                "a file of its encoder"
            )
        return {**values, "encoder": own}

    @field_validator("architecture")
    @classmethod
    def _architecture_is_known(cls, name: str) -> str:
        known = (*ARCHITECTURES, ERFNET)
        if name not in known:
            raise ValueError(
                f"not an architecture{suggestion(name, known)} (allowed: {', '.join(known)})"
            )
        return name

    @field_validator("encoder_weights")
    @classmethod
    def _weights_are_named(cls, value: str | None) -> str | None:
        if value == "":
            raise ValueError("give null, 'imagenet' or a file")
        return value

    @property
    def title(self) -> str:
        """What result rows call the model."""
        return ERFNET if self.architecture == ERFNET else f"{self.architecture} {self.encoder}"

    @property
    def network(self) -> str:
        """The name of the encoder."""
        return self.encoder.removeprefix("tu-")

    @property
    def weights_key(self) -> str:
        """The setting that names the weights."""
        return "encoder_weights"

    @property
    def starts_trained(self) -> bool:
        """Whether the weights are those of a whole model, which recipes can begin with: no."""
        return False

    @property
    def weights_file(self) -> str | None:
        """The file that the encoder starts from, as it is spelled in the settings, if any."""
        return None if self.encoder_weights in (None, "imagenet") else self.encoder_weights

    def deciding(self) -> dict[str, Any]:
        """The settings that decide what comes out (JSON-able): all but where and how it runs."""
        values = self.model_dump(mode="json", exclude={"training", "cache_mebibytes"})
        return {**values, "training": self.training.deciding()}
