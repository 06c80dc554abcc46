"""How a training run is set up: its length, optimiser, schedule, precision, checkpoints.

This file imports no torch: a study is planned from these settings alone.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    Tag,
    field_validator,
    model_validator,
)

from ratewise.validation import Settings

_SCHEDULE_OPTIONS = {
    "constant": {"warmup"},
    "poly": {"power", "warmup"},
    "one_cycle": {"warmup", "start_divisor", "end_divisor"},
    "plateau": {"factor", "patience", "minimum"},
}
_OPTIMISER_OPTIONS = {
    "adamw": {"betas"},
    "adam": {"betas"},
    "sgd": {"momentum", "nesterov"},
}


def _refuse_foreign_options(settings: Settings, options: dict[str, set[str]]) -> None:
    """An option of another kind would be ignored in silence, so it is an error.

    One that has its default value is none: settings that were written out are read back.
    """
    kind: str = getattr(settings, "kind")  # noqa: B009  (every caller has a kind)
    foreign = set().union(*options.values()) - options[kind]
    fields = type(settings).model_fields
    for name in sorted(foreign & settings.model_fields_set):
        if getattr(settings, name) == fields[name].default:
            continue
        owners = ", ".join(sorted(owner for owner in options if name in options[owner]))
        raise ValueError(f"{name} is an option of {owners}, not of {kind}")


class ScheduleSettings(Settings):
    """How the learning rate changes over a run, as a factor of the optimiser's ``lr``.

    ========== ====================================================================================
    constant   1 throughout
    poly       ``(1 - t/T) ** power``
    one_cycle  cosine up from ``1/start_divisor`` to 1 during the ``warmup`` share of the run, then
               cosine down to ``1/(start_divisor * end_divisor)`` (Smith and Topin, 2018)
    plateau    times ``factor`` each time ``patience`` validations in a row bring no improvement of
               the selection metric; training stops when ``minimum`` is reached
    ========== ====================================================================================

    ``constant`` and ``poly`` may rise linearly during the ``warmup`` share of the run first.
    """

    kind: Literal["constant", "poly", "one_cycle", "plateau"] = "constant"
    warmup: float | None = Field(
        default=None, ge=0, lt=1, description="Share of the run; by default 0, of one_cycle 0.3."
    )
    power: PositiveFloat = 0.9
    start_divisor: float = Field(default=25.0, ge=1)
    end_divisor: float = Field(default=1e4, ge=1)
    factor: float = Field(default=0.2, gt=0, lt=1)
    patience: int = Field(default=3, ge=1, description="Validations without improvement.")
    minimum: float = Field(
        default=1 / 125, gt=0, lt=1, description="Training stops at this factor."
    )

    @model_validator(mode="after")
    def _options_fit_the_kind(self) -> ScheduleSettings:
        _refuse_foreign_options(self, _SCHEDULE_OPTIONS)
        return self

    @property
    def warmup_share(self) -> float:
        """The share of the run that the learning rate rises in."""
        if self.warmup is None:
            return 0.3 if self.kind == "one_cycle" else 0.0
        return self.warmup


def _by_name(value: Any) -> Any:
    """A bare name stands for that kind with its defaults: ``schedule: poly``."""
    return {"kind": value} if isinstance(value, str) else value


class StepSchedule(Settings):
    """The learning rate times ``factor`` after each of ``milestones``, in steps of the run."""

    kind: Literal["steps"] = "steps"
    milestones: tuple[Annotated[int, Field(ge=1)], ...] = Field(min_length=1)
    factor: float = Field(default=0.1, gt=0, lt=1)

    @field_validator("milestones")
    @classmethod
    def _rising(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if list(value) != sorted(set(value)):
            raise ValueError("must rise")
        return value


def _kind(value: Any) -> str:
    kind = value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)
    return "steps" if kind == "steps" else "other"


Schedule = Annotated[
    Annotated[ScheduleSettings, Tag("other")] | Annotated[StepSchedule, Tag("steps")],
    Discriminator(_kind),
    BeforeValidator(_by_name),
]


class OptimiserSettings(Settings):
    """An optimiser and its schedule. ``betas`` are Adam's, ``momentum`` and ``nesterov`` SGD's."""

    kind: Literal["adamw", "adam", "sgd"] = "adamw"
    lr: PositiveFloat = 1e-3
    weight_decay: NonNegativeFloat = 0.0
    betas: tuple[
        Annotated[float, Field(ge=0, lt=1)],
        Annotated[float, Field(ge=0, lt=1)],
    ] = (0.9, 0.999)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    nesterov: bool = False
    schedule: Schedule = ScheduleSettings()

    @model_validator(mode="after")
    def _options_fit_the_kind(self) -> OptimiserSettings:
        _refuse_foreign_options(self, _OPTIMISER_OPTIONS)
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov needs a momentum above 0")
        return self


class TrainingSettings(Settings):
    """What the loop itself needs to know; optimisers are the objective's.

    Either ``epochs`` or ``steps`` says how long to train. ``batch_size`` is the number of samples
    behind one step of the optimiser, over all devices and accumulated parts together.
    """

    epochs: int | None = Field(default=None, ge=1)
    steps: int | None = Field(default=None, ge=1, description="Steps of the optimiser.")
    batch_size: int = Field(default=8, ge=1)
    accumulate: int = Field(
        default=1, ge=1, description="Parts that a device splits its batch into, to save memory."
    )
    clip_norm: PositiveFloat | None = Field(
        default=None, description="Largest norm of an optimiser's gradient."
    )
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    ema: float | None = Field(
        default=None, gt=0, lt=1, description="Decay of the average of the weights."
    )
    seed: int = Field(default=0, ge=0, lt=2**32)
    validate_every: int = Field(default=1, ge=1, description="Epochs between validations.")
    stop_after: int | None = Field(
        default=None, ge=1, description="Stop after this many validations without improvement."
    )
    workers: int = Field(
        default=0, ge=0, description="Processes that make samples; 0: one thread beside training."
    )
    checkpoint_seconds: NonNegativeFloat | None = Field(
        default=60.0, description="Seconds between checkpoints; 0: every step; null: no clock."
    )
    checkpoint_epochs: int | None = Field(
        default=None, ge=1, description="Epochs between checkpoints."
    )
    device: Literal["auto", "cpu", "cuda"] = "auto"
    devices: int = Field(default=1, ge=1)
    nodes: int = Field(default=1, ge=1)
    tensorboard: bool = False

    @model_validator(mode="after")
    def _one_length_and_whole_parts(self) -> TrainingSettings:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("give either epochs or steps, and not both")
        ranks = self.devices * self.nodes
        if self.batch_size % ranks:
            raise ValueError(
                f"batch_size = {self.batch_size} must be a multiple of devices x nodes = {ranks}"
            )
        if self.accumulate > self.batch_size // ranks:
            raise ValueError(
                f"accumulate = {self.accumulate} is more than the "
                f"{self.batch_size // ranks} samples of a batch on one device"
            )
        return self

    def deciding(self) -> dict[str, Any]:
        """The settings that decide what comes out (JSON-able): all but where and how it runs."""
        return self.model_dump(mode="json", exclude=_NOT_DECIDING)


_NOT_DECIDING = {"workers", "checkpoint_seconds", "checkpoint_epochs", "device", "tensorboard"}
