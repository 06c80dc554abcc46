"""The study file: a typed YAML file that says what to sweep, over which data and task."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationInfo, field_validator, model_validator

from ratewise import codecs
from ratewise.data.datasets import DatasetSettings
from ratewise.data.prepare import PrepareSettings
from ratewise.recipes.settings import (
    BitstreamSettings,
    FromTrained,
    Recipe,
    RecipeSettings,
    StandardSettings,
)
from ratewise.settings_files import read_settings
from ratewise.study.analysis_settings import AnalysisSettings
from ratewise.study.budget_settings import BudgetSettings
from ratewise.study.channels import AUXILIARY, LOSSLESS, ORIGINAL, RESTORED, Configuration
from ratewise.study.restoration_settings import RestorationSettings
from ratewise.study.spelling import CodecPair, Entry, configuration_of, entries, said
from ratewise.tasks.settings import TaskSettings, with_prepare
from ratewise.validation import Settings, suggestion

SubsetName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=40)]


class ReportSettings(Settings):
    """What the report shows beside tables and curves."""

    strips: int = Field(4, ge=0, le=8, description="Picture strips in the report.")


class RepeatSettings(Settings):
    """Further seeds for some of a study's operating points, where all of it would take too long."""

    seeds: list[Annotated[int, Field(ge=0, lt=2**32)]] = Field(min_length=1)
    codecs: list[str] | None = Field(
        None, min_length=1, description="Of the study's; null: all. Originals are repeated, too."
    )
    configurations: list[str | dict[str, Any]] | None = Field(
        None, min_length=1, description="Of what each recipe is used for; null: all of that."
    )

    @field_validator("codecs")
    @classmethod
    def _codecs_are_known(cls, specs: list[str] | None) -> list[str] | None:
        return None if specs is None else expanded(specs)


class StudySettings(Settings):
    """A study: codecs x configurations x recipes x seeds over one data set and one task."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=80)
    description: str = ""
    data: DatasetSettings
    originals: str | None = Field(
        None,
        min_length=1,
        max_length=30,
        description="What the report calls the originals where they were compressed before, such "
        "as 'JPEG-75'; null: lossless.",
    )
    train_split: str = "train"
    test_split: str = "val"
    prepare: PrepareSettings = Field(
        PrepareSettings(),
        description="For classification by default the short side to 256, then a crop of 224x224.",
    )
    task: TaskSettings
    subsets: dict[SubsetName, str] = Field(
        {},
        description="Test images that are scored apart, too: a name, and a pattern of their keys "
        "such as '*/ILSVRC2012_val_*'.",
    )
    codecs: list[str] = Field(min_length=1)
    configurations: list[str | CodecPair] = Field(
        min_length=1,
        description="Spelled out, or {train: CODEC, test: CODEC}; lists of codecs there, or 'all', "
        "make every pair.",
    )
    budgets: BudgetSettings | None = None
    recipes: list[Recipe] = Field([StandardSettings()], min_length=1)
    seeds: list[Annotated[int, Field(ge=0, lt=2**32)]] = Field([0], min_length=1)
    repeats: RepeatSettings | None = Field(
        None, description="Further seeds for a part of the study; null: none."
    )
    restoration: RestorationSettings | None = None
    analysis: AnalysisSettings | None = None
    report: ReportSettings = ReportSettings()

    @field_validator("codecs")
    @classmethod
    def _codecs_are_known(cls, specs: list[str]) -> list[str]:
        return expanded(specs)

    @model_validator(mode="before")
    @classmethod
    def _classifiers_see_squares(cls, values: Any) -> Any:
        return with_prepare(values)

    @field_validator("configurations", mode="before")
    @classmethod
    def _configurations_are_known(cls, spelled: Any, info: ValidationInfo) -> Any:
        return (
            entries(spelled, info.data.get("codecs", [])) if isinstance(spelled, list) else spelled
        )

    @field_validator("seeds")
    @classmethod
    def _each_once(cls, values: list[Any]) -> list[Any]:
        return _unique(values, "the list")

    @model_validator(mode="after")
    def _repeats_are_of_the_study(self) -> StudySettings:
        repeats = self.repeats
        if repeats is None:
            return self
        _unique([*self.seeds, *repeats.seeds], "seeds and repeats.seeds")
        entries(repeats.configurations or [], self.codecs)
        for spec in repeats.codecs or ():
            if spec not in self.codecs:
                raise ValueError(
                    f"repeats.codecs: {spec} is none of the study's ({', '.join(self.codecs)})"
                )
        return self

    @model_validator(mode="after")
    def _recipes_fit(self) -> StudySettings:
        _unique([recipe.title for recipe in self.recipes], "recipes (give one of them a name)")
        for recipe in self.recipes:
            self.used_for(recipe)
            whole = self.task.kind == "classification" and self.task.weights is not None
            if isinstance(recipe, FromTrained) and recipe.start == "weights" and not whole:
                raise ValueError(
                    f"recipe {recipe.title}: start = weights needs task.weights of a whole model, "
                    "which segmentation has not"
                )
            if isinstance(recipe, BitstreamSettings) and self.task.kind != "segmentation":
                raise ValueError(
                    f"recipe {recipe.title} reads masks, so it is for segmentation, not "
                    f"{self.task.kind}"
                )
            if self.budgets is not None and recipe.kind not in ("standard", "bitstream"):
                raise ValueError(
                    f"budgets are for the standard recipe: what {recipe.title} begins with, or its "
                    "teacher looks at, is not priced"
                )
        return self

    @model_validator(mode="after")
    def _restoration_is_set_up(self) -> StudySettings:
        seen: dict[Configuration, str] = {}
        for entry in self.configurations:
            if isinstance(entry, str):
                _check_restoration(entry, self.restoration)
                resolved = self.resolved(Configuration.parse(entry))
                if resolved in seen:
                    raise ValueError(f"{seen[resolved]} and {entry} are the same configuration")
                seen[resolved] = entry
                needs_a_codec = resolved.restores or resolved.train.mixes
                if needs_a_codec and set(self.codecs) == {LOSSLESS}:
                    raise ValueError(f"{entry} needs a codec; {LOSSLESS} stands for originals")
        for name in self.budgets.configurations if self.budgets else ():
            _check_restoration(name, self.restoration)
        split = self.restoration.privileged.split if self.restoration else None
        own = self.restoration is not None and self.restoration.privileged.data is None
        if own and split in (self.train_split, self.test_split):
            raise ValueError(
                f"restoration.privileged.split = {split!r} is a split of the task; name another "
                "one, or groups or a share of the training split"
            )
        return self

    @model_validator(mode="after")
    def _analysis_has_its_models(self) -> StudySettings:
        if self.analysis is not None:
            for name in ("features", "information", "timing"):
                if self.task.kind != "segmentation" and getattr(self.analysis, name) is not None:
                    raise ValueError(f"analysis.{name} is for segmentation, not {self.task.kind}")
                trained = any(recipe.kind != "bitstream" for recipe in self.recipes)
                if not trained and getattr(self.analysis, name) is not None:
                    raise ValueError(
                        f"analysis.{name} needs a model of the task, and the recipe bitstream has "
                        "none: add another recipe"
                    )
            used = [configuration_of(entry) for entry in self.configurations]
            self.analysis.check(
                {one.train.letter for one in used if not one.images_name},
                compresses=set(self.codecs) != {LOSSLESS},
            )
        return self

    def used_for(self, recipe: RecipeSettings) -> list[Entry]:
        """The configurations that a recipe is used for: its own, or the study's.

        Of the study's, a recipe that trains on originals alone takes those that do; ``bitstream``
        is used for OC in any case. Raises ValueError if it has none, and for one of its own that is
        not known or does not fit.
        """
        if isinstance(recipe, BitstreamSettings):
            return _of_bitstreams(recipe, self.codecs)
        alone = recipe.originals_only
        if recipe.configurations is None:
            found = [
                entry
                for entry in self.configurations
                if not alone or configuration_of(entry).train.letter == ORIGINAL
            ]
        else:
            found = entries(recipe.configurations, self.codecs)
        for entry in found:
            if alone and configuration_of(entry).train.letter != ORIGINAL:
                raise ValueError(
                    f"recipe {recipe.title} learns from originals alone, so it cannot be used for "
                    f"{said(entry)}"
                )
        if not found:
            raise ValueError(
                f"recipe {recipe.title} learns from originals alone, and no configuration trains "
                "on them: give it its own, such as OC"
            )
        return found

    def resolved(self, configuration: Configuration) -> Configuration:
        """The configuration with the name of the restorer that it uses, if it uses one."""
        if self.restoration is None or not configuration.restores:
            return configuration
        name = configuration.restorer or self.restoration.first
        train, test = (
            replace(side, restorer=name if side.restores else "")
            for side in (configuration.train, configuration.test)
        )
        return replace(configuration, train=train, test=test)


class Study:
    """A study's settings, and the folder that its relative paths start from."""

    def __init__(self, settings: StudySettings, base: Path, source: Path | None = None) -> None:
        self.settings = settings
        self.base = base
        self.source = source

    @property
    def default_folder(self) -> Path:
        """Where the results go when no folder is named."""
        return Path("runs") / self.settings.name


def load_study(path: str | Path, overrides: dict[str, str] | None = None) -> Study:
    """Read and check a study file. Relative paths in it start from the folder it lies in.

    ``overrides`` replaces values by their dotted keys (``{"data.root": "/data/camvid"}``); each
    value is read as YAML. Raises :class:`InputError` that names the wrong key or value.
    """
    file = Path(path)
    settings = read_settings(file, StudySettings, "study file", overrides)
    return Study(settings, file.resolve().parent, file)


def _check_restoration(name: str, restoration: RestorationSettings | None) -> None:
    """Raise ValueError if the configuration ``name`` needs what the study does not set up."""
    configuration = Configuration.parse(name)
    if not configuration.restores:
        if configuration.restorer:
            raise ValueError(
                f"{name} restores nothing, so it cannot use restorer {configuration.restorer!r}"
            )
        return
    if restoration is None:
        letters = f"{RESTORED}, {AUXILIARY}, r and o+r"
        raise ValueError(f"{name} needs the section 'restoration' ({letters} restore images)")
    known = restoration.restorers
    if configuration.restorer and configuration.restorer not in known:
        raise ValueError(
            f"{name}: restorer {configuration.restorer!r} is not known"
            f"{suggestion(configuration.restorer, known)} (allowed: {', '.join(known)})"
        )
    if configuration.auxiliary and restoration.auxiliary is None:
        raise ValueError(f"{name} needs restoration.auxiliary, the data set to train on")


def _of_bitstreams(recipe: BitstreamSettings, of_study: list[str]) -> list[Entry]:
    found = entries(recipe.configurations or ["OC"], of_study)
    for entry in found:
        if configuration_of(entry).name != "OC":
            raise ValueError(
                f"recipe {recipe.title} is for OC alone: its test images are compressed, and it "
                f"trains nothing; it cannot be used for {said(entry)}"
            )
    return found


def expanded(sweeps: list[str]) -> list[str]:
    """The codecs that specs and sweeps mean; ValueError for one that stands twice."""
    return _unique([spec for sweep in sweeps for spec in codecs.expand(sweep)], "codecs")


def _unique(values: list[Any], what: str) -> list[Any]:
    for index, value in enumerate(values):
        if value in values[:index]:
            raise ValueError(f"{value} stands twice in {what}")
    return values
