"""The study file: a typed YAML file that says what to sweep, over which data and task."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from ratewise import codecs
from ratewise.data.datasets import DatasetSettings
from ratewise.data.prepare import PrepareSettings
from ratewise.settings_files import read_settings
from ratewise.study.channels import COMPRESSED, LOSSLESS, ORIGINAL, Configuration
from ratewise.tasks.segmentation_settings import SegmentationSettings
from ratewise.validation import Settings


class CodecPair(Settings):
    """A configuration whose two sides use different codecs: train on one, test on the other.

    ``png`` stands for the originals.
    """

    train: str
    test: str


class ReportSettings(Settings):
    """What the report shows beside tables and curves."""

    strips: int = Field(4, ge=0, le=8, description="Picture strips in the report.")


class StudySettings(Settings):
    """A study: codecs x configurations x recipes x seeds over one data set and one task."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=80)
    description: str = ""
    data: DatasetSettings
    train_split: str = "train"
    test_split: str = "val"
    prepare: PrepareSettings = PrepareSettings()
    task: SegmentationSettings
    codecs: list[str] = Field(min_length=1)
    configurations: list[str | CodecPair] = Field(min_length=1)
    recipes: list[Literal["standard"]] = Field(["standard"], min_length=1)
    seeds: list[Annotated[int, Field(ge=0, lt=2**32)]] = Field([0], min_length=1)
    report: ReportSettings = ReportSettings()

    @field_validator("codecs")
    @classmethod
    def _codecs_are_known(cls, specs: list[str]) -> list[str]:
        return _unique([spec for sweep in specs for spec in codecs.expand(sweep)], "codecs")

    @field_validator("configurations")
    @classmethod
    def _configurations_are_known(cls, entries: list[str | CodecPair]) -> list[str | CodecPair]:
        checked: list[str | CodecPair] = []
        for entry in entries:
            if isinstance(entry, str):
                checked.append(Configuration.parse(entry).name)
            else:
                pair = {side: codecs.codec(getattr(entry, side)).spec for side in ("train", "test")}
                checked.append(CodecPair(**pair))
        return _unique(checked, "configurations")

    @field_validator("seeds", "recipes")
    @classmethod
    def _each_once(cls, values: list[Any]) -> list[Any]:
        return _unique(values, "the list")


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


def side_codec(letter: str, codec: str) -> str:
    """The codec spec of one side of a configuration: ``codec`` where that side is compressed."""
    return codec if letter == COMPRESSED else LOSSLESS


def pair_configuration(pair: CodecPair) -> Configuration:
    """The letters of a pair of codecs."""
    train, test = (ORIGINAL if spec == LOSSLESS else COMPRESSED for spec in (pair.train, pair.test))
    return Configuration(train, test)


def _unique(values: list[Any], what: str) -> list[Any]:
    for index, value in enumerate(values):
        if value in values[:index]:
            raise ValueError(f"{value} stands twice in {what}")
    return values
