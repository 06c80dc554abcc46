"""Making the plan of a study: which stages its configurations need. Imports no torch, no timm."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from ratewise.errors import InputError
from ratewise.recipes.settings import (
    BitstreamSettings,
    ExpertSettings,
    FromTrained,
    PretrainedSettings,
    RecipeSettings,
    StandardSettings,
    adapted,
)
from ratewise.study.analysis.planning import AnalysisPlanner
from ratewise.study.bitstreams import of_predicting_codecs, prediction_stage
from ratewise.study.channels import AUXILIARY, LOSSLESS, Channel, Configuration, percent
from ratewise.study.graph import Contents, Graph
from ratewise.study.plan import VERSIONS, Plan, Run, Stage, library_version
from ratewise.study.privileged import PrivilegedShare
from ratewise.study.restoration_settings import RestorationSettings
from ratewise.study.restoring import Restoring, on_test
from ratewise.study.settings import StudySettings
from ratewise.study.spelling import CodecPair, Entry, configuration_of, entries

_TRAINING_LIBRARIES = ("torch", "segmentation-models-pytorch", "timm", "numpy")
_STANDARD = StandardSettings()
_OF_TRAINING = ("augmentation", "optimiser", "training", "holdout")
_ORIGINAL_WEIGHT: float = RestorationSettings.model_fields["original_weight"].default


def make_plan(settings: StudySettings, contents: Contents) -> Plan:
    """The plan of a study whose files have these ``contents``."""
    return _Planner(settings, contents).plan()


def configurations(
    settings: StudySettings, recipe: RecipeSettings | None = None
) -> list[Configuration]:
    """Every configuration (of a recipe) with the codecs of its two sides, each combination once.

    An original has nothing to restore: where something is restored or mixed, the lossless point
    is left out. Raises :class:`InputError` if a recipe needs a codec that predicts, and none does.
    """
    spelled = settings.configurations if recipe is None else settings.used_for(recipe)
    found = dict.fromkeys(_through(spelled, settings.codecs))
    if isinstance(recipe, BitstreamSettings):
        return of_predicting_codecs(recipe, found)
    for budgeted in settings.budgets.expand(settings.codecs) if settings.budgets else ():
        found.setdefault(budgeted)
    return list(found)


def _through(spelled: Iterable[Entry], codecs: Sequence[str]) -> Iterator[Configuration]:
    """Configurations with the codecs of their sides; a pair has its own."""
    for entry in spelled:
        configuration = configuration_of(entry)
        if isinstance(entry, CodecPair):
            yield configuration
            continue
        for codec in codecs:
            if codec != LOSSLESS or not (configuration.restores or configuration.train.mixes):
                yield configuration.through(codec)


class _TrainingSide(NamedTuple):
    """Where training images come from: a store and, where a rule chooses among its images or
    puts originals in their place, the originals and that rule (``images`` of the train stage)."""

    images: Stage
    name: str
    originals: Stage | None = None
    rule: dict[str, Any] | None = None


class _Planner:
    def __init__(self, settings: StudySettings, contents: Contents) -> None:
        self._settings, self._contents = settings, contents
        self._graph = Graph(settings, contents)
        self._restoring = Restoring(settings, self._graph, contents)
        # A file of weights counts by its content, not by where it lies.
        self._task = settings.task.deciding()
        if contents.weights is not None:
            self._task[settings.task.weights_key] = contents.weights

    def plan(self) -> Plan:
        for split in (self._settings.train_split, self._settings.test_split):
            self._graph.originals(split)  # first of all, before those of other data sets
        runs = [
            self._run(configuration, recipe, seed)
            for seed in self._settings.seeds
            for recipe in self._settings.recipes
            for configuration in configurations(self._settings, recipe)
        ]
        runs += self._repeats()
        analyses = AnalysisPlanner(
            self._settings, self._graph, self._restoring, self._contents, runs
        ).plan(self._settings.resolved(spelled) for spelled in configurations(self._settings))
        return Plan(self._graph.stages, tuple(runs), analyses)

    def _repeats(self) -> Iterator[Run]:
        """The runs of further seeds."""
        repeats = self._settings.repeats
        if repeats is None:
            return
        known = {LOSSLESS, *(repeats.codecs or self._settings.codecs)}
        names = (
            entries(repeats.configurations, self._settings.codecs) if repeats.configurations else []
        )
        wanted = set(_through(names, self._settings.codecs))
        chosen = [
            (recipe, configuration)
            for recipe in self._settings.recipes
            for configuration in configurations(self._settings, recipe)
            if {configuration.train.codec, configuration.test.codec} - {None} <= known
            and (not wanted or configuration in wanted)
        ]
        if not chosen:
            raise InputError("repeats: no recipe is used for any of these configurations")
        for seed in repeats.seeds:
            for recipe, configuration in chosen:
                yield self._run(configuration, recipe, seed)

    def _run(self, spelled: Configuration, recipe: RecipeSettings, seed: int) -> Run:
        configuration = self._settings.resolved(spelled)
        test = on_test(configuration.train, configuration.test)
        side = self._training_side(configuration.train)
        test_store = self._store(self._settings.test_split, test)
        scoring = {"task": self._settings.task.kind, **self._subsets}
        if isinstance(recipe, BitstreamSettings):
            evaluate = prediction_stage(test_store, test.codec or LOSSLESS, scoring)
            train = evaluate = self._graph.add(evaluate)
        else:
            if isinstance(recipe, PretrainedSettings):
                train = self._start(recipe, seed)
            else:
                train = self._train(side, configuration, recipe, seed)
            evaluate = self._graph.add(
                Stage(
                    "evaluate",
                    f"{train.title.removeprefix('train ')}, on {channel_name(test)}",
                    {**scoring, **self._precision(train)},
                    {"model": train.fingerprint, "images": test_store.fingerprint},
                    VERSIONS["evaluate"],
                )
            )
        return Run(
            spelled.name,
            configuration.train.codec or LOSSLESS,
            configuration.test.codec or LOSSLESS,
            recipe.title,
            seed,
            side.images.fingerprint,
            test_store.fingerprint,
            train.fingerprint,
            evaluate.fingerprint,
            configuration.restorer if configuration.restores else "",
        )

    def _store(self, split: str, channel: Channel, *, cross_fit: bool = False) -> Stage:
        """The stage that leaves a split as it comes out of ``channel``."""
        if channel.restores:
            return self._restoring.restored(split, channel, cross_fit=cross_fit)
        return self._graph.store(split, channel.codec or LOSSLESS)

    def _training_side(self, channel: Channel) -> _TrainingSide:
        split, overlap = self._settings.train_split, self._overlap
        without = self._restoring.without
        privileged = self._restoring.share_of(channel)
        shared = privileged is not None and channel.letter in ("R", "r")
        originals = self._graph.originals(split)
        store = self._store(split, channel, cross_fit=shared and overlap == "cross_fit")
        rule: dict[str, Any] | None = {"use": "all", "without": list(without)} if without else None
        if privileged is not None and channel.letter == "o":
            rule = _chosen("only", privileged)
        elif privileged is not None and channel.mixes:
            rule = {**_chosen("replaced", privileged), "original_weight": self._original_weight}
        elif privileged is not None and shared and overlap == "exclude":
            rule = _chosen("outside", privileged)
        return _TrainingSide(store, channel_name(channel), originals if rule else None, rule)

    def _precision(self, model: Stage) -> dict[str, Any]:
        """In what an untrained model computes; of a trained one its own stage says it."""
        precision = self._settings.task.training.precision
        return {"precision": precision} if model.kind == "pretrained" else {}

    @property
    def _subsets(self) -> dict[str, Any]:
        return {"subsets": self._settings.subsets} if self._settings.subsets else {}

    @property
    def _overlap(self) -> str:
        return self._settings.restoration.overlap if self._settings.restoration else ""

    @property
    def _original_weight(self) -> float:
        restoration = self._settings.restoration
        return restoration.original_weight if restoration else _ORIGINAL_WEIGHT

    def _train(
        self, side: _TrainingSide, configuration: Configuration, recipe: RecipeSettings, seed: int
    ) -> Stage:
        task = self._settings.task
        params: dict[str, Any] = {
            "task": self._task_of(recipe),
            "recipe": recipe.deciding(task.network),
            "share": str(configuration.share),
            "seed": seed,
            "libraries": {name: library_version(name) for name in _TRAINING_LIBRARIES},
        }
        inputs = {"images": side.images.fingerprint}
        if side.rule is not None and side.originals is not None:
            params["images"] = side.rule
            inputs["originals"] = side.originals.fingerprint
        if configuration.budget is not None:
            params["budget"] = configuration.budget.to_json()
            inputs["originals"] = self._graph.originals(self._settings.train_split).fingerprint
            if side.images.kind == "restore":
                inputs["compressed"] = side.images.inputs["compressed"]
                restorer = self._graph.stages[side.images.inputs["restorer 0"]]
                if configuration.train.letter != AUXILIARY:
                    inputs["privileged"] = restorer.inputs["originals"]
                    params["budget"]["privileged"] = restorer.params["images"]
        if isinstance(recipe, FromTrained):
            inputs |= self._beside(recipe, seed)
        how = "" if recipe.title == _STANDARD.kind else f" ({recipe.title})"
        title = f"train {task.kind}{how} on {side.name}{configuration.images_name}, seed {seed}"
        return self._graph.add(Stage("train", title, params, inputs, VERSIONS["train"]))

    def _task_of(self, recipe: RecipeSettings) -> dict[str, Any]:
        """What decides the task as a recipe changes it."""
        task = adapted(self._settings.task, recipe).deciding()
        return {**self._task, **{key: task[key] for key in ("optimiser", "training")}}

    def _beside(self, recipe: FromTrained, seed: int) -> dict[str, str]:
        """What a recipe reads beside its training images: the model to begin with and, for an
        expert, the originals and what a teacher predicts of them."""
        start = self._start(recipe, seed)
        network = self._settings.task.network
        if not isinstance(recipe, ExpertSettings) or not recipe.effective_weight(network):
            return {"start": start.fingerprint}
        originals = self._graph.originals(self._settings.train_split)
        inputs = {"start": start.fingerprint, "originals": originals.fingerprint}
        if self._settings.task.augmentation is None:  # else it depends on what chance makes of them
            teacher = Stage(
                "teacher",
                f"predictions of {start.title.removeprefix('train ')} for the training originals",
                {
                    "libraries": {name: library_version(name) for name in _TRAINING_LIBRARIES},
                    **self._precision(start),
                },
                {"model": start.fingerprint, "images": originals.fingerprint},
                VERSIONS["teacher"],
            )
            inputs["teacher"] = self._graph.add(teacher).fingerprint
        return inputs

    def _start(self, recipe: FromTrained, seed: int) -> Stage:
        """The trained model that a recipe begins with."""
        task = self._settings.task
        start = recipe.start or ("weights" if task.starts_trained else "originals")
        if start == "originals":
            originals = Configuration.parse("OO").through(LOSSLESS)
            standard = next(
                (one for one in self._settings.recipes if isinstance(one, StandardSettings)),
                _STANDARD,
            )
            return self._train(self._training_side(originals.train), originals, standard, seed)
        params: dict[str, Any] = {
            "task": {k: v for k, v in self._task.items() if k not in _OF_TRAINING},
            "libraries": {name: library_version(name) for name in _TRAINING_LIBRARIES},
        }
        if not task.starts_trained:
            params["seed"] = seed
        images = self._graph.originals(self._settings.train_split)
        title = f"pre-trained {task.kind} model"
        return self._graph.add(
            Stage(
                "pretrained",
                title,
                params,
                {"images": images.fingerprint},
                VERSIONS["pretrained"],
            )
        )


def _chosen(use: str, privileged: PrivilegedShare) -> dict[str, Any]:
    """``images`` of a train stage; the margin concerns restorers alone."""
    return {"use": use, **{k: v for k, v in privileged.to_json().items() if k != "margin"}}


def channel_name(channel: Channel) -> str:
    """What comes out of a channel, in words: ``originals``, ``jpeg:quality=5 restored by rdn``."""
    codec = channel.codec or LOSSLESS
    share = "" if channel.share is None else percent(channel.share)
    if channel.letter == "o":
        return f"{share} of the originals"
    name = "originals" if codec == LOSSLESS else codec
    if channel.restores:
        name = f"{name} restored by {channel.restorer}"
    if channel.mixes:
        return f"{name} and {share} of the originals"
    notes = {"A": " (auxiliary)", "r": f" ({share})"}
    return name + notes.get(channel.letter, f" ({share})" if channel.restores and share else "")
