"""How a codec is adapted: what ``ratewise codec adapt`` takes. Imports no torch."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, PositiveFloat, model_validator

from ratewise.training.settings import OptimiserSettings, TrainingSettings
from ratewise.validation import Settings

AUTO, NONE = "auto", "none"
"""What is encoded with, in place of an adaptation's name: whichever is best, the source."""

_LR = {"cawf": 4e-3, "cawf_maps": 5e-3, "low_rank": 5e-3, "finetune": 1e-3}
"""By way."""

_OPTIONS: dict[str, set[str]] = {
    "cawf": {"size", "form", "kernel", "prior"},
    "low_rank": {"size"},
    "finetune": {"part"},
}
"""What only some methods have."""


class AdaptationSettings(Settings):
    """The method, its size, and the training.

    ========= ====================================================================================
    cawf      custom filters beside the source's, which stays as it is (Katakol et al., 2021)
    low_rank  low-rank additions to the transforms, the entropy model frozen
    finetune  the source's own weights go on learning: ``part`` all, encoder, or decoder. The
              baselines: they forget
    ========= ====================================================================================
    """

    method: Literal["cawf", "low_rank", "finetune"] = "cawf"
    size: float = Field(
        default=0.08,
        gt=0,
        le=0.5,
        description="Of cawf and low_rank: at most this share of the source's parameters is added.",
    )
    form: Literal["filters", "maps"] = Field(
        default="filters",
        description="Whether cawf adds filters to those of g_a and g_s, or only feature maps.",
    )
    kernel: Literal[3, 5] = Field(default=3, description="Side of cawf's filters in layers of 5x5.")
    prior: bool = Field(default=True, description="Whether cawf extends the entropy model, too.")
    part: Literal["all", "encoder", "decoder"] = Field(
        default="all", description="What finetune trains: the decoder is g_s, the encoder g_a, h_a."
    )
    rd_lambda: PositiveFloat | None = Field(
        default=None, description="Of lambda D + R; by default what the source was trained for."
    )
    steps: int = Field(default=1500, ge=1)
    lr: PositiveFloat | None = Field(
        default=None,
        description="By default 0.004 (cawf), 0.005 (of maps; low_rank), 0.001 (finetune).",
    )
    batch_size: int = Field(default=8, ge=1)
    patch: int = Field(default=192, ge=64, multiple_of=64, description="Side of a patch.")
    scale: tuple[Annotated[float, Field(gt=0, le=1)], Annotated[float, Field(gt=0, le=1)]] = Field(
        default=(0.75, 1.0), description="Images are shrunk by a factor of this range."
    )
    held_out: int | None = Field(
        default=None,
        ge=1,
        description="Images that choose the weights; by default a fifth, 1 to 16.",
    )
    validate_every: int = Field(default=100, ge=1, description="Steps between validations.")
    stop_after: int | None = Field(
        default=6, ge=1, description="Validations without a better one that end the training."
    )
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    seed: int = Field(default=0, ge=0, lt=2**32)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    workers: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _options_are_of_the_method(self) -> AdaptationSettings:
        given = self.model_fields_set
        if self.method != "finetune" and "part" in given and self.part != "all":
            raise ValueError(f"part is an option of finetune, not of {self.method}")
        if self.method != "cawf" and {"form", "kernel", "prior"} & given:
            raise ValueError(f"form, kernel and prior are options of cawf, not of {self.method}")
        if self.method == "finetune" and "size" in given:
            raise ValueError("size is an option of cawf and low_rank: finetune adds nothing")
        if self.scale[0] > self.scale[1]:
            raise ValueError("scale must be a range from the smaller to the larger factor")
        return self

    @property
    def way(self) -> str:
        """The method; ``cawf_maps`` where cawf adds maps alone."""
        return "cawf_maps" if self.form == "maps" else self.method

    @property
    def optimiser(self) -> OptimiserSettings:
        """Adam, its learning rate falling to 0."""
        return OptimiserSettings(
            kind="adam", lr=self.lr or _LR[self.way], schedule={"kind": "poly", "power": 1.0}
        )

    def training(self, images: int) -> TrainingSettings:
        """The loop's settings, where an epoch has so many ``images``."""
        per_epoch = max(1, images // min(self.batch_size, images))
        return TrainingSettings(
            steps=self.steps,
            batch_size=self.batch_size,
            clip_norm=1.0,
            precision=self.precision,
            seed=self.seed,
            validate_every=max(1, round(self.validate_every / per_epoch)),
            stop_after=self.stop_after,
            workers=self.workers,
            device=self.device,
        )

    def deciding(self) -> dict[str, Any]:
        """The settings that decide the weights (JSON-able), without those of other methods."""
        others = set().union(*_OPTIONS.values()) - _OPTIONS[self.method]
        found = self.model_dump(mode="json", exclude={"device", "workers", *others})
        return found | {"lr": self.optimiser.lr}  # a default may change
