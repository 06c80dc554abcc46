"""The recipe ``bitstream``: codecs whose files hold masks, as models that are tested on their own
files. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ratewise import codecs
from ratewise.codecs.base import predicts
from ratewise.data.dataset import Dataset
from ratewise.errors import InputError
from ratewise.recipes.settings import BitstreamSettings
from ratewise.study.cache import Cache
from ratewise.study.channels import LOSSLESS, Configuration
from ratewise.study.image_rows import read_rows
from ratewise.study.outputs import IMAGES
from ratewise.study.plan import VERSIONS, Plan, Run, Stage
from ratewise.study.settings import StudySettings
from ratewise.tasks.class_names import check_same_classes

KIND = "predict_bitstreams"
"""The kind of the stage."""

BYTES, SEMANTIC_BYTES = "bytes", "semantic_bytes"
"""Columns of the rows of its images: bytes of the file, and of those what a mask needs."""


def of_predicting_codecs(
    recipe: BitstreamSettings, configurations: Iterable[Configuration]
) -> list[Configuration]:
    """Those whose test images are files of a codec that predicts.

    Raises :class:`InputError` if there are none.
    """
    everything = list(configurations)
    found = [one for one in everything if predicts(codecs.codec(one.test.codec or LOSSLESS))]
    if not found:
        tested = ", ".join(dict.fromkeys(one.test.codec or LOSSLESS for one in everything))
        raise InputError(
            f"recipe {recipe.title}: none of the study's codecs writes masks into its files "
            f"({tested}); add one that does, or leave the recipe out"
        )
    return found


def prediction_stage(store: Stage, codec: str, params: Mapping[str, Any]) -> Stage:
    """The stage that scores the masks in the compressed images of ``store``."""
    return Stage(
        KIND,
        f"masks in the files of {codec}",
        {**params, "codec": codec, "codec_fingerprint": codecs.codec(codec).fingerprint},
        {"images": store.fingerprint},
        VERSIONS[KIND],
    )


def check_classes(plan: Plan, dataset: Dataset) -> None:
    """Raise :class:`InputError` if a codec predicts other classes than the data set's."""
    for stage in plan.stages.values():
        if stage.kind == KIND and dataset.classes is not None:
            codec = codecs.codec(stage.params["codec"])
            assert predicts(codec)
            check_same_classes(codec.class_names(), dataset.classes.names, codec.spec)


def predicted_bytes(
    run: Run, settings: StudySettings, plan: Plan, cache: Cache
) -> list[int] | None:
    """The bytes that count of each test image of a finished run; None unless its model is a
    codec."""
    stage = plan.stages[run.evaluate]
    if stage.kind != KIND:
        return None
    recipe = next(one for one in settings.recipes if one.title == run.recipe)
    assert isinstance(recipe, BitstreamSettings)
    column = SEMANTIC_BYTES if recipe.part == "semantic" else BYTES
    return [int(row[column]) for row in read_rows(cache.folder(stage) / IMAGES)]
