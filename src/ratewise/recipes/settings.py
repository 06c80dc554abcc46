"""How a model learns from what arrives, as a study file says it. Imports no torch."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, NonNegativeFloat, Tag

from ratewise.tasks.settings import TaskSettings
from ratewise.training.settings import OptimiserSettings
from ratewise.validation import Settings, suggestion

Start = Literal["weights", "originals"]

PRINTED_WEIGHT = 0.01
"""alpha of the expert-training paper, section IV-A."""

_WEIGHTS = {"mnasnet": 3.2, "resnet50": 3.84}
_OTHER_WEIGHT = 3.2


class RecipeSettings(Settings):
    """What every recipe can be told."""

    kind: str
    name: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        description="In results; null: the recipe's kind. Two recipes of one kind need names.",
    )
    configurations: list[str | dict[str, Any]] | None = Field(
        None, min_length=1, description="What it is used for; null: the study's configurations."
    )
    optimiser: OptimiserSettings | None = Field(None, description="null: the task's.")
    epochs: int | None = Field(None, ge=1, description="null: as long as the task's training says.")

    @property
    def title(self) -> str:
        """What result rows call it."""
        return self.name or self.kind

    @property
    def originals_only(self) -> bool:
        """Whether it learns from originals, whatever the model is tested on."""
        return False

    def deciding(self, network: str) -> Any:
        """What decides the weights of a network called so, beside the task's settings and the
        model that training begins with (JSON-able)."""
        hidden = {"name", "configurations", "optimiser", "epochs", "start"}
        return self.model_dump(mode="json", exclude=hidden)


class StandardSettings(RecipeSettings):
    """The loss of the task on the training images, from the task's initial weights."""

    kind: Literal["standard"] = "standard"

    def deciding(self, network: str) -> Any:
        """Its kind: there is nothing else."""
        return self.kind


class FromTrained(RecipeSettings):
    """A recipe that begins with a trained model."""

    start: Start | None = Field(
        None,
        description="The trained model to begin with: 'weights': the task's, as they are; "
        "'originals': one that the standard recipe trained on the originals, with the same seed. "
        "null: the weights if they are of a whole model, else originals.",
    )


class PretrainedSettings(FromTrained):
    """The model that the recipes below begin with, not trained any further."""

    kind: Literal["pretrained"] = "pretrained"

    @property
    def originals_only(self) -> bool:
        """Yes."""
        return True


class BitstreamSettings(RecipeSettings):
    """The codec is the model: masks are read from the files of codecs that predict
    (:class:`ratewise.codecs.base.PredictingCodec`), and nothing is trained.

    It is used with those codecs of a study that predict. Their test images are compressed, and what
    they were trained on, elsewhere, were originals: OC.
    """

    kind: Literal["bitstream"] = "bitstream"
    part: Literal["all", "semantic"] = Field(
        "all",
        description="The bytes that count: 'all': of the whole files; 'semantic': of those that a "
        "mask needs, header and semantic part.",
    )

    @property
    def title(self) -> str:
        """``bitstream`` or ``bitstream-semantic`` without a name of its own."""
        return self.name or (self.kind if self.part == "all" else f"{self.kind}-{self.part}")

    @property
    def originals_only(self) -> bool:
        """Yes."""
        return True


class FinetuneSettings(FromTrained):
    """The loss of the task on the training images, from a trained model."""

    kind: Literal["finetune"] = "finetune"


class StabilitySettings(FromTrained):
    """Stability training (Zheng et al., CVPR 2016; eq. 1 and 2 of the expert-training paper).

    ``L0(x) + weight * KL(f(x) || f(x'))``, x' being x with white Gaussian noise. Only the last
    layer learns; all else, statistics of batch norm included, stays as it is.
    """

    kind: Literal["stability"] = "stability"
    weight: NonNegativeFloat = Field(0.005, description="alpha, of the mean over the samples.")
    sigma: NonNegativeFloat = Field(
        0.04, description="Standard deviation of the noise, on images in [0, 1]."
    )

    @property
    def originals_only(self) -> bool:
        """Yes."""
        return True


class ExpertSettings(FromTrained):
    """Expert training (Marie et al. 2022, eq. 3 and 4).

    ``L0(x~) + weight * KL(g(x) || f(x~))``: f learns to predict of the compressed image x~ what a
    frozen teacher g, the model that f begins as, predicts of the original x.
    """

    kind: Literal["expert"] = "expert"
    weight: NonNegativeFloat | Literal["printed"] | None = Field(
        None,
        description="Of the mean over the samples. The paper prints alpha = 0.01 ('printed'); its "
        "public code sums over the batch, so what was used is alpha times the batch size: 3.2 for "
        "MnasNet, 3.84 for ResNet50. null: these, and 3.2 for other networks.",
    )

    def deciding(self, network: str) -> Any:
        """Its kind and the weight that is used; with weight 0 it is fine-tuning."""
        weight = self.effective_weight(network)
        return {"kind": self.kind, "weight": weight} if weight else {"kind": "finetune"}

    def effective_weight(self, network: str) -> float:
        """The weight on the mean KL for a network called so."""
        if self.weight == "printed":
            return PRINTED_WEIGHT
        if self.weight is not None:
            return self.weight
        found = (weight for name, weight in _WEIGHTS.items() if network.startswith(name))
        return next(found, _OTHER_WEIGHT)


def adapted(task: TaskSettings, recipe: RecipeSettings) -> TaskSettings:
    """A task's settings with the optimiser and the length of a recipe, where it has its own."""
    changed: dict[str, Any] = {}
    if recipe.optimiser is not None:
        changed["optimiser"] = recipe.optimiser
    if recipe.epochs is not None:
        length = {"epochs": recipe.epochs, "steps": None}
        changed["training"] = task.training.model_copy(update=length)
    return task.model_copy(update=changed)


KINDS: dict[str, type[RecipeSettings]] = {
    "standard": StandardSettings,
    "pretrained": PretrainedSettings,
    "bitstream": BitstreamSettings,
    "finetune": FinetuneSettings,
    "stability": StabilitySettings,
    "expert": ExpertSettings,
}


def _by_name(value: Any) -> Any:
    """A bare name stands for the recipe with its defaults; an unknown one is named."""
    if isinstance(value, str):
        value = {"kind": value}
    if isinstance(value, dict):
        kind = value.get("kind")
        if kind not in KINDS:
            close = suggestion(str(kind), KINDS)
            raise ValueError(f"recipe {kind!r} is not known{close} (allowed: {', '.join(KINDS)})")
    return value


def _kind(value: Any) -> str:
    return str(value["kind"] if isinstance(value, dict) else value.kind)


Recipe = Annotated[
    Annotated[
        Annotated[StandardSettings, Tag("standard")]
        | Annotated[PretrainedSettings, Tag("pretrained")]
        | Annotated[BitstreamSettings, Tag("bitstream")]
        | Annotated[FinetuneSettings, Tag("finetune")]
        | Annotated[StabilitySettings, Tag("stability")]
        | Annotated[ExpertSettings, Tag("expert")],
        Discriminator(_kind),
    ],
    BeforeValidator(_by_name),
]
"""A recipe, told apart by ``kind``; a bare name stands for it with its defaults."""
