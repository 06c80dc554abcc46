"""The metric that result rows are judged by: mIoU of a segmentation, top-1 of a classification.

Whatever a report says of accuracy goes through :func:`metric_of`, so that a task with another
metric is one more entry here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Metric:
    """A main metric, 0 to 1, and what goes with it in result rows.

    ``name`` is its column and ``title`` its name in tables; ``article`` is the title in a sentence
    ("an mIoU of 0.6"). The columns of classes begin with ``of_class``, those of class groups with
    ``of_group`` (empty: there are none), and ``class_title`` names what classes have. ``further``
    gives the titles of columns beside it, ``optional`` those of them that are left out where no row
    has a value. ``reading`` explains the scores below a table.
    """

    name: str
    title: str
    article: str
    of_class: str
    of_group: str
    class_title: str
    further: Mapping[str, str]
    reading: str
    optional: frozenset[str] = field(default=frozenset())

    def columns(self, results: pd.DataFrame) -> dict[str, str]:
        """The titles of the further columns that a table of ``results`` has."""
        return {
            name: title
            for name, title in self.further.items()
            if name not in self.optional or (name in results and results[name].notna().any())
        }

    def scores(self, names: Iterable[str]) -> list[str]:
        """Those of ``names`` that are columns of scores of this metric's task."""
        prefixes = tuple(prefix for prefix in (self.of_class, self.of_group) if prefix)
        known = {self.name, *self.further}
        return [name for name in names if name in known or name.startswith(prefixes)]


MIOU = Metric(
    name="miou",
    title="mIoU",
    article="an mIoU",
    of_class="iou:",
    of_group="miou:",
    class_title="IoU",
    further={"pixel_accuracy": "pixel accuracy"},
    reading="mIoU (mean intersection over union of the classes), pixel accuracy and the mIoU of "
    "class groups are",
)
TOP1 = Metric(
    name="top1",
    title="top-1",
    article="a top-1 accuracy",
    of_class="accuracy:",
    of_group="",
    class_title="Accuracy",
    further={"top5": "top-5"},
    reading="Top-1 (the share of the images whose class is predicted) and top-5 (of those whose "
    "class is among the best five, where there are more than five) are",
    optional=frozenset({"top5"}),
)
METRICS = (MIOU, TOP1)


def metric_of(results: pd.DataFrame) -> Metric:
    """The metric that the rows have values of; mIoU where they have none, or both."""
    known = [m for m in METRICS if m.name in results and results[m.name].notna().any()]
    named = [m for m in METRICS if m.name in results]
    return next(iter(known or named), MIOU)
