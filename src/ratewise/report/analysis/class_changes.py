"""The diagnosis by class: which classes each step changes, and whether all seeds agree."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ratewise.data.classes import Classes
from ratewise.metrics.paired import Estimate
from ratewise.report.analysis.contexts import Context, Point, sizes
from ratewise.report.analysis.table import Table, signed
from ratewise.report.tables import class_names
from ratewise.report.text import MISSING, number

AGREE = "*"
"""Marks a difference that has one sign in all seeds, of two or more."""

STEPS = (("OO", "OC"), ("OO", "CC"), ("OC", "CC"), ("OO", "CO"), ("CO", "RO"), ("CO", "CC"))


@dataclass(frozen=True)
class ClassChanges:
    """The changes of every class at one codec, by class and step; absent without rows."""

    context: Context
    codec: str
    small: Sequence[str]
    changes: dict[str, dict[tuple[str, str], Estimate]]


def class_changes(found: Iterable[Context], classes: Classes | None = None) -> list[ClassChanges]:
    """Every codec at which the rows have one of the steps with IoUs of classes."""
    result = []
    for context in found:
        names = class_names(context.rows)
        small, _ = sizes(context.rows, classes)
        for codec in context.codecs():
            changes = {name: _changes(context, codec, f"iou:{name}") for name in names}
            changes = {name: known for name, known in changes.items() if known}
            if changes:
                result.append(ClassChanges(context, codec, small, changes))
    return result


def class_change_table(found: Sequence[ClassChanges]) -> Table:
    """By codec and class, the difference of each step in points, its spread over seeds, marked
    with :data:`AGREE` where all seeds agree in its sign."""
    steps = [s for s in STEPS if any(s in known for c in found for known in c.changes.values())]
    rows = [
        [
            c.context.where(c.codec),
            f"{name} (small)" if name in c.small else name,
            *(cell(known.get(step)) for step in steps),
        ]
        for c in found
        for name, known in c.changes.items()
    ]
    return Table(["codec", "class", *(f"{a} to {b}" for a, b in steps)], rows)


def cell(estimate: Estimate | None) -> str:
    """``-3.1 ± 0.4 *``: mean, sample standard deviation, and whether the seeds agree."""
    if estimate is None:
        return MISSING
    text = signed(estimate.mean)
    if estimate.has_interval:
        text += f" ± {number(100 * estimate.std)}"
    return f"{text} {AGREE}" if estimate.same_sign else text


def _changes(context: Context, codec: str, metric: str) -> dict[tuple[str, str], Estimate]:
    found = {}
    for before, after in STEPS:
        restorer = context.main_restorer if "R" in after else ""
        change = context.change(Point(before), Point(after, "", restorer), codec, metric)
        if change is not None:
            found[before, after] = change
    return found
