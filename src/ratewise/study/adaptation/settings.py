"""What ``ratewise codec forgetting`` reads. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, model_validator

from ratewise.errors import InputError
from ratewise.neural.adaptation.settings import AdaptationSettings
from ratewise.neural.loading import packaged
from ratewise.neural.training.settings import ImagesSettings
from ratewise.validation import Settings

_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"


class TargetSettings(Settings):
    """A domain to adapt to: images to learn from, and others to measure on."""

    name: str = Field(pattern=_NAME)
    train: tuple[ImagesSettings, ...] = Field(min_length=1)
    test: tuple[ImagesSettings, ...] = Field(min_length=1)
    test_images: int | None = Field(
        default=None, ge=1, description="So many of the test images, at even distances."
    )


class SourceImagesSettings(Settings):
    """Images of the domain that the source was trained for, to measure on."""

    test: tuple[ImagesSettings, ...] = Field(min_length=1)
    test_images: int | None = Field(
        default=None, ge=1, description="So many of the test images, at even distances."
    )


class EntrySettings(Settings):
    """A way to adapt, and where it is tried."""

    label: str = Field(pattern=_NAME, description="What it is called in tables and file names.")
    settings: AdaptationSettings = AdaptationSettings()
    images: tuple[int, ...] = Field(
        default=(100,), min_length=1, description="So many training images; fewer are among more."
    )
    qualities: tuple[int, ...] = Field(default=(), description="By default all.")
    targets: tuple[str, ...] = Field(default=(), description="By default all.")

    @model_validator(mode="after")
    def _two_images_at_least(self) -> EntrySettings:
        if min(self.images) < 2:
            raise ValueError("images must be 2 at least: one learns, another is held out")
        return self


class ForgettingSettings(Settings):
    """A comparison of ways to adapt a family of codecs, one for each quality."""

    name: str = Field(pattern=_NAME)
    description: str = ""
    qualities: tuple[int, ...] = Field(
        default=(1, 2, 3, 4, 5), min_length=1, description="Of the packaged msh."
    )
    weights: tuple[str, ...] = Field(
        default=(), description="Files of packed weights instead: quality 1, 2 and so on."
    )
    targets: tuple[TargetSettings, ...] = Field(min_length=1)
    source_images: SourceImagesSettings
    adaptations: tuple[EntrySettings, ...] = Field(min_length=1)
    seed: int = Field(default=0, ge=0, lt=2**32, description="Chooses the training images.")

    @model_validator(mode="after")
    def _names_fit(self) -> ForgettingSettings:
        if self.weights and "qualities" in self.model_fields_set:
            raise ValueError("qualities and weights exclude each other")
        targets = [target.name for target in self.targets]
        if len(set(targets)) < len(targets) or "source" in targets:
            raise ValueError("targets must have names of their own, none of them 'source'")
        known: dict[str, AdaptationSettings] = {}
        for entry in self.adaptations:
            for what, wanted, allowed in (
                ("qualities", entry.qualities, self.all_qualities),
                ("targets", entry.targets, targets),
            ):
                strange = [one for one in wanted if one not in allowed]
                if strange:
                    raise ValueError(
                        f"{entry.label}: {what} has {strange[0]!r} (allowed: "
                        f"{', '.join(map(str, allowed))})"
                    )
            if entry.label == "source":
                raise ValueError("'source' is what the codec without adaptation is called")
            if known.setdefault(entry.label, entry.settings) != entry.settings:
                raise ValueError(f"{entry.label} is the label of two ways to adapt")
        return self

    @property
    def all_qualities(self) -> tuple[int, ...]:
        """The qualities of the source codecs."""
        return tuple(range(1, len(self.weights) + 1)) if self.weights else self.qualities

    def sources(self, base: Path) -> Mapping[int, Path]:
        """The packed weights of each quality; paths are relative to ``base``.

        Raises :class:`InputError` for a file that is missing.
        """
        files = [base / one for one in self.weights] or list(map(packaged, self.qualities))
        for file in files:
            if not file.is_file():
                raise InputError(f"{file}: no such weights file")
        return dict(zip(self.all_qualities, files, strict=True))

    def cells(self) -> Sequence[Cell]:
        """Every adaptation that is wanted, once, by quality, target, and then as listed."""
        found = [
            Cell(target.name, entry.label, entry.settings, images, quality)
            for quality in self.all_qualities
            for target in self.targets
            for entry in self.adaptations
            if not entry.targets or target.name in entry.targets
            if not entry.qualities or quality in entry.qualities
            for images in entry.images
        ]
        return list(dict.fromkeys(found))


@dataclass(frozen=True)
class Cell:
    """One adaptation: to which target, how, from how many images, of which quality's codec."""

    target: str
    label: str
    settings: AdaptationSettings
    images: int
    quality: int

    @property
    def adaptation(self) -> str:
        """What the adaptation is called; those of several qualities share it."""
        return f"{self.target}-{self.label}-{self.images}"

    @property
    def name(self) -> str:
        """The beginning of the names of its files."""
        return f"{self.adaptation}-q{self.quality}"
