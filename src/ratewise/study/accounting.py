"""What was collected to train a model, and what its restorers had seen before.

Bytes are those of files that exist: ``compressed`` the training images that came compressed
(restored or not), ``privileged`` the originals (PNG) of the task's domain that the task or a
restorer is trained on, each once, ``auxiliary`` those of another domain. An original that takes
the place of its compressed twin is not counted as compressed too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ratewise.data.manifest import Record
from ratewise.study.channels import AUXILIARY, Configuration
from ratewise.study.plan import Plan, Run, Stage
from ratewise.study.spending import chosen_images
from ratewise.study.stage_stores import StageStores


@dataclass(frozen=True)
class Collected:
    """The images of one result row: records of the files collected, bytes, PSNR (dB), overlap.

    ``overlap`` counts the images of training and test that a restorer restored although it was
    trained on them.
    """

    train: Sequence[Record]
    test: Sequence[Record]
    bytes_compressed: int
    bytes_privileged: int
    bytes_auxiliary: int
    overlap: int
    train_psnr: float
    test_psnr: float


def account(run: Run, plan: Plan, stores: StageStores) -> Collected:
    """What was collected for the model of a run whose stages are finished."""
    train, images = plan.stages[run.train], plan.stages[run.train_store]
    test = plan.stages[run.test_store]
    made_of = stores.records(stores.made_of(images).fingerprint)
    originals = train.inputs.get("originals", images.fingerprint)
    chosen = chosen_images(train, lambda role: stores.records(train.inputs[role]))
    others = [i for i in chosen.indices if i not in chosen.originals]
    whole = {(originals, i) for i in chosen.originals}
    if images.kind == "prepare":
        whole |= {(images.fingerprint, i) for i in others}
    test_images = range(len(stores.records(run.test_store)))
    whole |= _beside(train, chosen.indices, plan, stores)
    privileged, auxiliary = _restorers_images(run, plan, stores)
    return Collected(
        train=[
            stores.records(originals)[i] if i in chosen.originals else made_of[i]
            for i in chosen.indices
        ],
        test=stores.records(stores.made_of(test).fingerprint),
        bytes_compressed=0 if images.kind == "prepare" else sum(made_of[i].bytes for i in others),
        bytes_privileged=_bytes(whole | privileged, stores),
        bytes_auxiliary=_bytes(auxiliary, stores),
        overlap=sum(stores.seen(images, i) for i in others)
        + sum(stores.seen(test, i) for i in test_images),
        train_psnr=_mean(stores.psnrs(images, others)),
        test_psnr=_mean(stores.psnrs(test, test_images)),
    )


_Originals = set[tuple[str, int]]
"""Images by the stage that prepared them and their index."""


def _beside(train: Stage, indices: Sequence[int], plan: Plan, stores: StageStores) -> _Originals:
    """The originals that a recipe rests on beside its training images: those that the model it
    begins with was trained on, and those of its own images that a teacher looks at."""
    if "start" not in train.inputs:
        return set()
    start = plan.stages[train.inputs["start"]]
    chosen = chosen_images(start, lambda role: stores.records(start.inputs[role]))
    found = {(start.inputs["images"], i) for i in chosen.indices}
    if train.params["recipe"]["kind"] == "expert":
        found |= {(train.inputs["originals"], i) for i in indices}
    return found


def _restorers_images(run: Run, plan: Plan, stores: StageStores) -> tuple[_Originals, _Originals]:
    """The privileged and the auxiliary originals that were collected for restorers."""
    configuration = Configuration.parse(run.configuration)
    privileged: _Originals = set()
    auxiliary: _Originals = set()
    for store, channel in (
        (run.train_store, configuration.train),
        (run.test_store, configuration.test),
    ):
        into = auxiliary if channel.letter == AUXILIARY else privileged
        for restorer in restorers_of(plan.stages[store], plan):
            into |= {(restorer.inputs["originals"], i) for i in stores.collected(restorer)}
    return privileged, auxiliary


def restorers_of(stage: Stage, plan: Plan) -> list[Stage]:
    """The restorer stages that a restore stage uses, in the order of its assignment; none of
    another stage."""
    count = sum(role.startswith("restorer ") for role in stage.inputs)
    return [plan.stages[stage.inputs[f"restorer {i}"]] for i in range(count)]


def _bytes(images: _Originals, stores: StageStores) -> int:
    return sum(stores.records(store)[i].bytes for store, i in images)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.inf
