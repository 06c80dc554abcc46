"""The stages of a study's analyses, and the test images that they look at.

Those are the originals, what each codec of the study makes of them, and that restored in every way
that a configuration names, on whichever side: the analyses compare images, and need no model that
is tested on them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ratewise import codecs
from ratewise.study.analysis_settings import AnalysisSettings
from ratewise.study.channels import (
    AUXILIARY,
    COMPRESSED,
    LOSSLESS,
    ORIGINAL,
    RESTORED,
    Channel,
    Configuration,
    percent,
)
from ratewise.study.graph import Contents, Graph
from ratewise.study.plan import VERSIONS, Analysis, Run, Stage, library_version
from ratewise.study.restoring import Restoring
from ratewise.study.settings import StudySettings

_LIBRARIES = ("torch", "segmentation-models-pytorch", "timm", "torchmetrics", "numpy", "scipy")


@dataclass(frozen=True)
class _Images:
    """One set of test images: the stage of its store, and its channel."""

    stage: Stage
    channel: Channel

    @property
    def codec(self) -> str:
        return self.channel.codec or LOSSLESS

    @property
    def label(self) -> str:
        """``O``, ``C``, ``R``, ``A`` or ``r@12.5%``."""
        share = self.channel.share
        return self.channel.letter if share is None else f"r@{percent(share)}"

    @property
    def words(self) -> str:
        if self.channel.letter == ORIGINAL:
            return "originals"
        how = f" restored by {self.channel.restorer}" if self.channel.restores else ""
        note = {AUXILIARY: " (auxiliary)", RESTORED: ""}.get(self.channel.letter, "")
        share = "" if self.channel.share is None else f" ({percent(self.channel.share)})"
        return f"{self.codec}{how}{note}{share}"


class AnalysisPlanner:
    """The stages of one study's analyses, added to its graph."""

    def __init__(
        self,
        settings: StudySettings,
        graph: Graph,
        restoring: Restoring,
        contents: Contents,
        runs: Sequence[Run],
    ) -> None:
        self._settings, self._graph, self._restoring = settings, graph, restoring
        self._contents, self._runs = contents, runs
        self._originals = graph.originals(settings.test_split)

    def plan(self, configurations: Iterable[Configuration]) -> tuple[Analysis, ...]:
        """Every analysis that the study asks for."""
        asked = self._settings.analysis
        if asked is None:
            return ()
        sets = self._sets(configurations)
        return (
            *(self._distortion(asked, images) for images in sets[1:] if asked.distortion),
            *(self._perception(asked, images) for images in sets if asked.perception),
            *(found for images in sets if (found := self._features(asked, images))),
            *(self._information(asked) if asked.information else ()),
            *(found for images in sets if (found := self._timing(asked, images))),
        )

    def _sets(self, configurations: Iterable[Configuration]) -> list[_Images]:
        """Originals first, then codec by codec: compressed, and restored."""
        spelled = list(configurations)
        found = [_Images(self._originals, Channel(ORIGINAL, LOSSLESS))]
        for codec in self._settings.codecs:
            if codec == LOSSLESS:
                continue
            compressed = Channel(COMPRESSED, codec)
            found.append(_Images(self._graph.compressed(self._originals, codec), compressed))
            for channel in _restored_channels(spelled, codec):
                stage = self._restoring.restored(self._settings.test_split, channel)
                found.append(_Images(stage, channel))
        once: dict[str, _Images] = {}
        for images in found:
            once.setdefault(images.stage.fingerprint, images)
        return list(once.values())

    def _distortion(self, asked: AnalysisSettings, images: _Images) -> Analysis:
        assert asked.distortion is not None
        return self._stage(
            "distortion",
            f"distortion of {images.words}",
            {"images": asked.distortion.images, "libraries": _versions()},
            {"images": images.stage.fingerprint, **self._beside(images)},
            images,
        )

    def _perception(self, asked: AnalysisSettings, images: _Images) -> Analysis:
        settings = asked.perception
        assert settings is not None
        backbone = settings.backbone
        kid = None
        if backbone is not None:
            kid = backbone.model_dump(mode="json") | {"weights": self._contents.backbone}
        return self._stage(
            "perception",
            f"perceptual indices of {images.words}",
            {
                "indices": dict(self._contents.indices),
                "kid": kid,
                "success_rate": settings.success_rate,
                "images": settings.images,
                "libraries": _versions(),
            },
            {"images": images.stage.fingerprint, **self._beside(images)},
            images,
        )

    def _features(self, asked: AnalysisSettings, images: _Images) -> Analysis | None:
        settings, model = asked.features, self._trained(ORIGINAL, LOSSLESS)
        if settings is None or model is None:
            return None
        return self._stage(
            "features",
            f"features of {images.words}",
            {**settings.model_dump(mode="json"), "libraries": _versions()},
            {"model": model.train, "images": images.stage.fingerprint},
            images,
        )

    def _information(self, asked: AnalysisSettings) -> Iterator[Analysis]:
        settings = asked.information
        assert settings is not None
        channels = [Channel(ORIGINAL, LOSSLESS)] + [
            Channel(COMPRESSED, codec) for codec in self._settings.codecs if codec != LOSSLESS
        ]
        for seed in self._settings.seeds:
            for channel in channels:
                codec = channel.codec or LOSSLESS
                model = self._trained(channel.letter, codec, seed)
                if model is None:
                    continue
                images = _Images(self._graph.compressed(self._originals, codec), channel)
                analysis = self._stage(
                    "cross_entropy",
                    f"cross-entropy of {2 * channel.letter}, {images.words}, seed {seed}",
                    {**settings.model_dump(mode="json"), "libraries": _versions()},
                    {
                        "model": model.train,
                        "images": images.stage.fingerprint,
                        **self._beside(images),
                    },
                    images,
                )
                yield replace(analysis, seed=seed)

    def _timing(self, asked: AnalysisSettings, images: _Images) -> Analysis | None:
        settings, model = asked.timing, self._trained(ORIGINAL, LOSSLESS)
        if settings is None or model is None:
            return None
        training = self._settings.task.training
        params: dict[str, Any] = {
            **settings.model_dump(mode="json"),
            "device": training.device,
            "precision": training.precision,
        }
        inputs = {"model": model.train, "originals": self._originals.fingerprint}
        if images.channel.compresses:
            params["codec"] = images.codec
            params["codec_fingerprint"] = codecs.codec(images.codec).fingerprint
        if images.channel.restores:
            params["restorer_precision"] = images.stage.params["precision"]
            inputs["restorer"] = images.stage.inputs["restorer 0"]
        steps = "inference" if images.channel.letter == ORIGINAL else f"inference on {images.words}"
        return self._stage("timing", f"time {steps}", params, inputs, images)

    def _stage(
        self,
        kind: str,
        title: str,
        params: dict[str, Any],
        inputs: dict[str, str],
        images: _Images,
    ) -> Analysis:
        stage = self._graph.add(Stage(kind, title, params, inputs, VERSIONS[kind]))
        return Analysis(
            kind,
            stage.fingerprint,
            images.stage.fingerprint,
            images.label,
            images.codec,
            images.channel.restorer,
        )

    def _beside(self, images: _Images) -> dict[str, str]:
        """The originals as an input, where the images are others."""
        same = images.stage.fingerprint == self._originals.fingerprint
        return {} if same else {"originals": self._originals.fingerprint}

    def _trained(self, letter: str, codec: str, seed: int | None = None) -> Run | None:
        """A run whose model is trained on all images of a channel; of the first seed if none is
        given, and of the first recipe with a model of the task."""
        wanted = self._settings.seeds[0] if seed is None else seed
        recipes = (one for one in self._settings.recipes if one.kind != "bitstream")
        recipe = next((one.title for one in recipes), None)
        for run in self._runs:
            configuration = Configuration.parse(run.configuration)
            if (
                (run.seed, run.recipe) == (wanted, recipe)
                and (configuration.train.letter, run.train_codec) == (letter, codec)
                and not configuration.images_name
            ):
                return run
        return None


def _restored_channels(configurations: Iterable[Configuration], codec: str) -> list[Channel]:
    """The ways of restoring what ``codec`` makes that configurations name, on either side."""
    found: dict[Channel, None] = {}
    for configuration in configurations:
        train, test = configuration.train, configuration.test
        if codec not in (train.codec, test.codec):
            continue
        for side in (train, test):
            if not side.restores:
                continue
            share = None if side.letter == AUXILIARY else train.share
            letter = AUXILIARY if side.letter == AUXILIARY else RESTORED
            found.setdefault(Channel(letter, codec, side.restorer, share))
    # R before the same by a share: where these are one set, it is called R.
    return sorted(found, key=lambda one: (one.letter == AUXILIARY, -(one.share or 1)))


def _versions() -> dict[str, str]:
    return {name: library_version(name) for name in _LIBRARIES}
