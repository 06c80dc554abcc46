"""The plan: a graph of stages that gives every result a study file asks for.

A stage is a description. Its fingerprint covers what it does, the version of the code that does
it, the libraries that decide its output, and the fingerprints of its inputs; so two
configurations that need the same stage share it, and a change reruns only what rests on it.
Planning imports neither torch nor timm.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from ratewise import codecs
from ratewise.data.prepare import prepare_fingerprint
from ratewise.files import fingerprint
from ratewise.study.channels import LOSSLESS, Configuration
from ratewise.study.settings import (
    CodecPair,
    StudySettings,
    pair_configuration,
    side_codec,
)

_VERSIONS = {"prepare": 1, "compress": 1, "train": 1, "evaluate": 1}
"""Raised when the code of a stage changes what it writes; older results are then made anew."""

_TRAINING_LIBRARIES = ("torch", "segmentation-models-pytorch", "timm", "numpy")


@dataclass(frozen=True)
class Stage:
    """A step of a study, described so that it can be stored, compared and run elsewhere.

    ``inputs`` names the fingerprints of the stages that it reads from.
    """

    kind: str
    title: str
    params: Mapping[str, Any]
    inputs: Mapping[str, str] = field(default_factory=dict)
    version: int = 1

    @cached_property
    def fingerprint(self) -> str:
        """Hex digest of everything but the title."""
        described = asdict(self)
        del described["title"]
        return fingerprint(described)


@dataclass(frozen=True)
class Run:
    """One result row to come: a configuration with its codecs, recipe and seed, and its stages."""

    configuration: str
    train_codec: str
    test_codec: str
    recipe: str
    seed: int
    train_store: str
    test_store: str
    train: str
    evaluate: str


@dataclass(frozen=True)
class Plan:
    """All stages of a study in an order in which they can run, and the rows they give."""

    stages: Mapping[str, Stage]
    runs: tuple[Run, ...]

    @property
    def fingerprint(self) -> str:
        """Equal for two plans that give the same rows from the same stages."""
        return fingerprint({"runs": [asdict(run) for run in self.runs]})

    def count(self, kind: str) -> int:
        """How many stages of a kind there are."""
        return sum(stage.kind == kind for stage in self.stages.values())

    def to_json(self) -> dict[str, Any]:
        """The plan as JSON-able values; :meth:`from_json` gives it back."""
        return {
            "stages": [asdict(stage) for stage in self.stages.values()],
            "runs": [asdict(run) for run in self.runs],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Plan:
        """The plan that :meth:`to_json` described."""
        stages = [Stage(**described) for described in value["stages"]]
        return cls(
            {stage.fingerprint: stage for stage in stages},
            tuple(Run(**described) for described in value["runs"]),
        )


def make_plan(
    settings: StudySettings, contents: Mapping[str, str], weights: str | None = None
) -> Plan:
    """The plan of a study.

    ``contents`` gives the fingerprint of each split's files, ``weights`` the digest of the file
    that the model's encoder starts from, if it starts from one.
    """
    return _Planner(settings, contents, weights).plan()


class _Planner:
    def __init__(
        self, settings: StudySettings, contents: Mapping[str, str], weights: str | None
    ) -> None:
        self._settings = settings
        self._contents = contents
        # A file of weights counts by its content, not by where it lies.
        self._task = settings.task.deciding()
        if weights is not None:
            self._task["encoder_weights"] = weights
        self._stages: dict[str, Stage] = {}

    def plan(self) -> Plan:
        runs = [
            self._run(configuration, train_codec, test_codec, recipe, seed)
            for seed in self._settings.seeds
            for recipe in self._settings.recipes
            for configuration, train_codec, test_codec in _pairs(self._settings)
        ]
        return Plan(self._stages, tuple(runs))

    def _run(
        self,
        configuration: Configuration,
        train_codec: str,
        test_codec: str,
        recipe: str,
        seed: int,
    ) -> Run:
        train_store = self._store(self._settings.train_split, train_codec)
        test_store = self._store(self._settings.test_split, test_codec)
        train = self._train(configuration, train_codec, train_store, recipe, seed)
        evaluate = self._add(
            Stage(
                "evaluate",
                f"{train.title.removeprefix('train ')}, on {_channel_name(test_codec)}",
                {"task": self._settings.task.kind},
                {"model": train.fingerprint, "images": test_store.fingerprint},
                _VERSIONS["evaluate"],
            )
        )
        return Run(
            configuration.name,
            train_codec,
            test_codec,
            recipe,
            seed,
            train_store.fingerprint,
            test_store.fingerprint,
            train.fingerprint,
            evaluate.fingerprint,
        )

    def _store(self, split: str, codec: str) -> Stage:
        originals = self._add(
            Stage(
                "prepare",
                f"prepare {split}",
                {
                    "data": self._settings.data.name,
                    "split": split,
                    "content": self._contents[split],
                    "prepare": prepare_fingerprint(self._settings.prepare),
                    "codec": codecs.codec(LOSSLESS).fingerprint,
                },
                version=_VERSIONS["prepare"],
            )
        )
        if codec == LOSSLESS:
            return originals
        return self._add(
            Stage(
                "compress",
                f"compress {split} with {codec}",
                {"codec": codec, "codec_fingerprint": codecs.codec(codec).fingerprint},
                {"originals": originals.fingerprint},
                _VERSIONS["compress"],
            )
        )

    def _train(
        self, configuration: Configuration, codec: str, store: Stage, recipe: str, seed: int
    ) -> Stage:
        task = self._settings.task
        return self._add(
            Stage(
                "train",
                f"train {task.kind} on {_channel_name(codec)}{configuration.share_name}, "
                f"seed {seed}",
                {
                    "task": self._task,
                    "recipe": recipe,
                    "share": str(configuration.share),
                    "seed": seed,
                    "libraries": {name: library_version(name) for name in _TRAINING_LIBRARIES},
                },
                {"images": store.fingerprint},
                _VERSIONS["train"],
            )
        )

    def _add(self, stage: Stage) -> Stage:
        return self._stages.setdefault(stage.fingerprint, stage)


def library_version(name: str) -> str:
    """The installed version of a distribution, without importing it; ``-`` where absent."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "-"


def _pairs(settings: StudySettings) -> list[tuple[Configuration, str, str]]:
    """Every configuration with the codecs of its two sides, each combination once."""
    found: dict[tuple[str, str, str], tuple[Configuration, str, str]] = {}
    for entry in settings.configurations:
        if isinstance(entry, CodecPair):
            candidates = [(pair_configuration(entry), entry.train, entry.test)]
        else:
            configuration = Configuration.parse(entry)
            candidates = [
                (
                    configuration,
                    side_codec(configuration.train, codec),
                    side_codec(configuration.test, codec),
                )
                for codec in settings.codecs
            ]
        for configuration, train_codec, test_codec in candidates:
            key = (configuration.name, train_codec, test_codec)
            found.setdefault(key, (configuration, train_codec, test_codec))
    return list(found.values())


def _channel_name(codec: str) -> str:
    return "originals" if codec == LOSSLESS else codec
