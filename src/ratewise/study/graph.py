"""The stages of a plan as it is made, each once, and those that make its stores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ratewise import codecs
from ratewise.data.prepare import PrepareSettings, prepare_fingerprint
from ratewise.study.channels import LOSSLESS
from ratewise.study.plan import VERSIONS, Stage
from ratewise.study.settings import StudySettings

PRIVILEGED, AUXILIARY_SET = "privileged", "auxiliary"
"""The names of a study's other data sets in :attr:`Contents.others`."""


@dataclass(frozen=True)
class Contents:
    """Fingerprints of the files that a study rests on, by their content.

    ``splits`` has those of the data set's splits, ``others`` those of the other data sets that
    restorers are trained on, ``weights`` and ``feature_weights`` (by restorer) the digests
    of the files that networks start from, if they start from one. ``indices`` (by the name of a
    perceptual index) and ``backbone`` are those of the files that analyses rest on.
    """

    splits: Mapping[str, str]
    weights: str | None = None
    feature_weights: Mapping[str, str] = field(default_factory=dict)
    others: Mapping[str, str] = field(default_factory=dict)
    indices: Mapping[str, str] = field(default_factory=dict)
    backbone: str | None = None


class Graph:
    """The stages of a plan, in an order in which they can run."""

    def __init__(self, settings: StudySettings, contents: Contents) -> None:
        self._settings, self._contents = settings, contents
        self.stages: dict[str, Stage] = {}

    def add(self, stage: Stage) -> Stage:
        """The stage, or the equal one that is there already."""
        return self.stages.setdefault(stage.fingerprint, stage)

    def originals(self, split: str) -> Stage:
        """The stage that prepares a split of the study's data set."""
        settings = self._settings
        return self._prepared(
            settings.data.name, split, self._contents.splits[split], settings.prepare, split
        )

    def other_originals(self, which: str, data: str, split: str, prepare: PrepareSettings) -> Stage:
        """The stage that prepares a split of the data set ``which`` of :attr:`Contents.others`."""
        content = self._contents.others[which]
        return self._prepared(data, split, content, prepare, f"{which} {data} ({split})")

    def _prepared(
        self, data: str, split: str, content: str, prepare: PrepareSettings, name: str
    ) -> Stage:
        """The stage that prepares a split of the data set called ``data``."""
        return self.add(
            Stage(
                "prepare",
                f"prepare {name}",
                {
                    "data": data,
                    "split": split,
                    "content": content,
                    "prepare": prepare_fingerprint(prepare),
                    "codec": codecs.codec(LOSSLESS).fingerprint,
                },
                version=VERSIONS["prepare"],
            )
        )

    def compressed(self, originals: Stage, codec: str) -> Stage:
        """The stage that compresses ``originals``; for ``png`` that of the originals."""
        if codec == LOSSLESS:
            return originals
        return self.add(
            Stage(
                "compress",
                f"compress {originals.title.removeprefix('prepare ')} with {codec}",
                {"codec": codec, "codec_fingerprint": codecs.codec(codec).fingerprint},
                {"originals": originals.fingerprint},
                VERSIONS["compress"],
            )
        )

    def store(self, split: str, codec: str) -> Stage:
        """The stage that leaves a split of the study's data set as ``codec`` stores it."""
        return self.compressed(self.originals(split), codec)
