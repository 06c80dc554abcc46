"""Which images a train stage uses, where a budget is to buy them.

A budget buys images in the seed's order, until the next one would go over it: so those of a smaller
budget are among those of a larger one, and the budget is never passed. It covers what the row
counts as ``bytes_compressed`` and ``bytes_privileged`` for the training side:

- the files of the training images as they were collected: the compressed file of a restored image,
  PNG of an original;
- before any image, the originals that the training channel's restorer was trained on, whatever set
  they are of. An original of theirs that the model is trained on too is paid once.

Auxiliary data sets cost nothing, and what a restorer of the test side alone needs is not counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ratewise.data.manifest import Record
from ratewise.errors import StageError
from ratewise.study.budget import Budget
from ratewise.study.plan import Stage
from ratewise.study.privileged import collected, frames_of
from ratewise.study.shares import Prices, TrainingImages, training_images

Records = Callable[[str], Sequence[Record]]
"""The records of the store of a stage's input, by its role."""


def chosen_images(train: Stage, records: Records) -> TrainingImages:
    """The images that a train stage uses, none of a model that was not trained here. StageError if
    it has a budget that buys none."""
    if train.kind != "train":
        return TrainingImages([])
    originals = records("originals" if "originals" in train.inputs else "images")
    prices = _prices(train, records, originals) if "budget" in train.params else None
    chosen = training_images(train.params, frames_of(originals), prices)
    if prices is not None and not chosen.indices:
        name = Budget.from_json(train.params["budget"]).name
        paid = (
            f"; the originals that its restorer is trained on take {prices.paid:,} bytes of them"
            if prices.paid
            else ""
        )
        raise StageError(
            f"a budget of {name} ({prices.limit:,} bytes) buys no training image{paid}"
        )
    return chosen


def _prices(train: Stage, records: Records, originals: Sequence[Record]) -> Prices:
    described: dict[str, Any] = train.params["budget"]
    files = records("compressed" if "compressed" in train.inputs else "images")
    without = train.params.get("images", {}).get("without", [])
    whole = sum(record.bytes for record in originals if record.group not in without)
    rule, paid, own = described.get("privileged"), 0, set[int]()
    if rule is not None:
        privileged = records("privileged")
        images = collected(rule, frames_of(privileged))
        paid = sum(privileged[i].bytes for i in images)
        if train.inputs["privileged"] == train.inputs["originals"]:
            own = set(images)
    return Prices(
        limit=Budget.from_json(described).limit(whole),
        paid=paid,
        files=[record.bytes for record in files],
        originals=[0 if i in own else record.bytes for i, record in enumerate(originals)],
    )
