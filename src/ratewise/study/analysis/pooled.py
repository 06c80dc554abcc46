"""Expert training against its baseline, image by image, pooled over operating points and seeds."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ratewise.metrics.pooled import pooled_difference
from ratewise.recipes.settings import ExpertSettings, FinetuneSettings, StandardSettings
from ratewise.study.cache import Cache
from ratewise.study.channels import LOSSLESS
from ratewise.study.image_rows import read_rows
from ratewise.study.outputs import IMAGES
from ratewise.study.plan import Plan, Run
from ratewise.study.settings import StudySettings

_SCORES = {"classification": "correct", "segmentation": "miou"}
"""What an evaluate stage's rows say of an image."""

_Scores = dict[str, NDArray[np.float64]]
"""Of each image by key, one score per seed."""


def pooled_recipes(settings: StudySettings, plan: Plan, cache: Cache) -> Iterator[dict[str, Any]]:
    """A row for each expert recipe, all test images and each subset: the mean difference to
    fine-tuning (or to the standard recipe), the interval, and what they rest on.

    Of the models that are trained and tested on the same codec (CC); ``points`` names these codecs.
    Runs that an earlier version scored, without a row per image, are left out. Empty where there is
    no such pair of recipes, or nothing of it is finished.
    """
    baseline = next(
        (
            recipe.title
            for kind in (FinetuneSettings, StandardSettings)
            for recipe in settings.recipes
            if isinstance(recipe, kind)
        ),
        None,
    )
    if baseline is None:
        return
    reader = _Images(settings, plan, cache)
    for recipe in settings.recipes:
        if isinstance(recipe, ExpertSettings):
            yield from reader.compared(baseline, recipe.title)


class _Images:
    def __init__(self, settings: StudySettings, plan: Plan, cache: Cache) -> None:
        self._settings, self._plan, self._cache = settings, plan, cache

    def compared(self, before: str, after: str) -> Iterator[dict[str, Any]]:
        pairs: dict[str, tuple[_Scores, _Scores]] = {}
        for codec in self._settings.codecs:
            if codec == LOSSLESS:
                continue
            one, other = self._runs(before, codec), self._runs(after, codec)
            seeds = sorted(one.keys() & other.keys())
            if seeds:
                pairs[codec] = (
                    self._scores([one[seed] for seed in seeds]),
                    self._scores([other[seed] for seed in seeds]),
                )
        for subset, pattern in {"": "*", **self._settings.subsets}.items():
            points = [
                (_rows(first, pattern), _rows(second, pattern)) for first, second in pairs.values()
            ]
            if not points or points[0][0].shape[1] < 2:
                continue
            found = pooled_difference(points)
            yield {
                "recipe": after,
                "baseline": before,
                "subset": subset,
                "points": " ".join(pairs),
                "images": found.images,
                "runs": found.runs,
                "difference": found.mean,
                "low": found.low,
                "high": found.high,
                "detectable": found.detectable,
                "chance_of_seeds": found.freedom > 0,
            }

    def _runs(self, recipe: str, codec: str) -> dict[int, Run]:
        """The finished runs, by seed, that are trained and tested on all of a codec's images."""
        return {
            run.seed: run
            for run in self._plan.runs
            if (run.recipe, run.configuration) == (recipe, "CC")
            and (run.train_codec, run.test_codec) == (codec, codec)
            and (self._cache.folder(self._plan.stages[run.evaluate]) / IMAGES).is_file()
            and self._cache.is_complete(self._plan.stages[run.evaluate])
        }

    def _scores(self, runs: list[Run]) -> _Scores:
        name = _SCORES[self._settings.task.kind]
        found: dict[str, list[float]] = {}
        for run in runs:
            for row in read_rows(self._cache.folder(self._plan.stages[run.evaluate]) / IMAGES):
                found.setdefault(row["key"], []).append(float(row[name] or "nan"))
        return {key: np.array(values) for key, values in found.items()}


def _rows(scores: _Scores, pattern: str) -> NDArray[np.float64]:
    """``(seeds, images)`` of the images whose keys fit, without those that have no score."""
    chosen = [values for key, values in sorted(scores.items()) if fnmatchcase(key, pattern)]
    kept = [values for values in chosen if np.isfinite(values).all()]
    return np.stack(kept, 1) if kept else np.empty((1, 0))
