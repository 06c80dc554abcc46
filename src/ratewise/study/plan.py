"""The plan: a graph of stages that gives every result a study file asks for, as values.

A stage is a description. Its fingerprint covers what it does, the version of the code that does
it, the libraries that decide its output, and the fingerprints of its inputs; so two
configurations that need the same stage share it, and a change reruns only what rests on it.
:mod:`ratewise.study.planner` makes the plan of a study.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache, cached_property
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from ratewise.files import fingerprint

VERSIONS = {
    "prepare": 1,
    "compress": 1,
    "restorer": 1,
    "restore": 1,
    "pretrained": 1,
    "teacher": 1,
    "train": 1,
    "evaluate": 1,
    "predict_bitstreams": 1,
    "distortion": 1,
    "perception": 1,
    "features": 1,
    "cross_entropy": 1,
    "timing": 1,
}
"""Raised when the code of a stage changes what it writes; older results are then made anew."""


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
        return fingerprint(
            {
                "kind": self.kind,
                "params": self.params,
                "inputs": self.inputs,
                "version": self.version,
            }
        )


@dataclass(frozen=True)
class Run:
    """One result row to come: a configuration with its codecs, recipe and seed, and its stages.

    ``train_store`` and ``test_store`` are the stages (prepare, compress or restore) of the images
    that the model is trained and tested on; ``train_store`` of a mixture is that of the images
    which are no originals. ``restorer`` is the name of the restorer, empty without one. Where the
    codec itself is the model, ``train`` is the stage ``evaluate``.
    """

    configuration: str
    train_codec: str
    test_codec: str
    recipe: str
    seed: int
    train_store: str
    test_store: str
    train: str
    evaluate: str
    restorer: str = ""


@dataclass(frozen=True)
class Analysis:
    """What is measured beside the rows: a stage of that ``kind``, and the images that it looks at.

    ``images`` is the stage (prepare, compress or restore) of the test images, ``channel`` their
    channel (``O``, ``C``, ``R``, ``A``, ``r@12.5%``). ``seed`` is the model's, where one is used.
    """

    kind: str
    stage: str
    images: str
    channel: str
    codec: str
    restorer: str = ""
    seed: int | None = None


@dataclass(frozen=True)
class Plan:
    """All stages of a study in an order in which they can run, the rows they give, and the
    analyses beside these."""

    stages: Mapping[str, Stage]
    runs: tuple[Run, ...]
    analyses: tuple[Analysis, ...] = ()

    @property
    def fingerprint(self) -> str:
        """Equal for two plans that give the same rows from the same stages."""
        described = {"runs": [asdict(run) for run in self.runs]}
        if self.analyses:
            described["analyses"] = [asdict(analysis) for analysis in self.analyses]
        return fingerprint(described)

    def count(self, kind: str) -> int:
        """How many stages of a kind there are."""
        return sum(stage.kind == kind for stage in self.stages.values())

    def to_json(self) -> dict[str, Any]:
        """The plan as JSON-able values; :meth:`from_json` gives it back."""
        return {
            "stages": [asdict(stage) for stage in self.stages.values()],
            "runs": [asdict(run) for run in self.runs],
            "analyses": [asdict(analysis) for analysis in self.analyses],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Plan:
        """The plan that :meth:`to_json` described."""
        stages = [Stage(**described) for described in value["stages"]]
        return cls(
            {stage.fingerprint: stage for stage in stages},
            tuple(Run(**described) for described in value["runs"]),
            tuple(Analysis(**described) for described in value.get("analyses", ())),
        )


@cache
def library_version(name: str) -> str:
    """The installed version of a distribution, without importing it; ``-`` where absent."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "-"
