"""The part of a study file on equal budgets: few clean images against many compressed ones.

The founding question of the driving paper (section V-B: for the bytes of 2,975 images at 0.13 bpp,
lossless storage would have held 42): each budget buys as many images as it can at each operating
point.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from pydantic import Field, field_validator, model_validator

from ratewise import codecs
from ratewise.study.budget import Budget
from ratewise.study.channels import LOSSLESS, ORIGINAL, Channel, Configuration
from ratewise.validation import Settings


class BudgetSettings(Settings):
    """Budgets x configurations x operating points; ``png`` stands for lossless storage (OO)."""

    bytes: list[str | int] = Field(default=[], description="Such as 500kB, 1.5MB, 2GB.")
    percent: list[float] = Field(default=[], description="Of the bytes that OO is trained on.")
    codecs: list[str] | None = Field(
        default=None, min_length=1, description="The study's codecs and png where it is left out."
    )
    configurations: list[str] = Field(default=["CO"], min_length=1)

    @field_validator("bytes")
    @classmethod
    def _are_sizes(cls, values: list[str | int]) -> list[str | int]:
        sizes = [Budget.parse(f"{v}B" if isinstance(v, int) else v) for v in values]
        wrong = next((size for size in sizes if size.bytes is None), None)
        if wrong is not None:
            raise ValueError(f"{wrong.name} is no number of bytes; shares go into percent")
        return [size.name for size in sizes]

    @field_validator("percent")
    @classmethod
    def _are_shares(cls, values: list[float]) -> list[float]:
        for value in values:
            Budget.of_percent(Fraction(str(value)))
        return values

    @field_validator("codecs")
    @classmethod
    def _codecs_are_known(cls, specs: list[str] | None) -> list[str] | None:
        if specs is None:
            return None
        return list(dict.fromkeys(spec for sweep in specs for spec in codecs.expand(sweep)))

    @field_validator("configurations")
    @classmethod
    def _configurations_are_whole(cls, names: list[str]) -> list[str]:
        parsed = [Configuration.parse(name) for name in names]
        for configuration in parsed:
            if configuration.share != 1 or configuration.budget is not None:
                raise ValueError(
                    f"{configuration.name}: write it without #, the budgets say how many images"
                )
        return [configuration.name for configuration in parsed]

    @model_validator(mode="after")
    def _has_a_budget(self) -> BudgetSettings:
        if not self.bytes and not self.percent:
            raise ValueError("give bytes (such as [500kB, 2MB]) or percent (such as [1, 5])")
        return self

    @property
    def budgets(self) -> list[Budget]:
        """Every budget once."""
        sizes = [Budget.parse(str(value)) for value in self.bytes]
        shares = [Budget.of_percent(Fraction(str(value))) for value in self.percent]
        return list(dict.fromkeys(sizes + shares))

    def expand(self, study_codecs: list[str]) -> list[Configuration]:
        """Every configuration with its budget and the codecs of its two sides, each once."""
        specs = self.codecs or [*study_codecs, LOSSLESS]
        lossless = Configuration(Channel(ORIGINAL), Channel(ORIGINAL))
        found: dict[Configuration, None] = {}
        for budget in self.budgets:
            for name in self.configurations:
                for spec in dict.fromkeys(specs):
                    spelled = lossless if spec == LOSSLESS else Configuration.parse(name)
                    found.setdefault(replace(spelled, budget=budget).through(spec))
        return list(found)
