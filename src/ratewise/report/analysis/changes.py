"""What each step from one configuration to another is worth, paired by seed.

The steps have names of their own in the driving paper (sections III, IV): *compression before
training* leads from OC to CC, *compression before inference* from CO to CC, *dataset restoration*
from CO to RO.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ratewise.metrics.paired import Estimate
from ratewise.report.analysis.contexts import OVERALL, Context, Point
from ratewise.report.analysis.table import Table, in_words, seeds_in_words, signed_estimate

NOTABLE = 0.01
"""From this difference in mIoU on (1 point) a remedy is said to help or to harm."""

INTERVALS = (
    "Differences are after minus before in points of mIoU, paired by seed: runs of one seed share "
    "initial weights and the order of samples. In brackets the 95 % interval by Student's t over "
    "seeds; a restorer is trained once, so its own chance is not in it."
)


@dataclass(frozen=True)
class Step:
    """A remedy: what is done, and the channels before and after it."""

    name: str
    before: str
    after: str


STEPS = (
    Step("compression before training", "OC", "CC"),
    Step("compression before inference", "CO", "CC"),
    Step("restoration of the training set", "CO", "RO"),
    Step("restoration of the training set, auxiliary", "CO", "AO"),
    Step("restoration before inference", "OC", "OR"),
    Step("restoration before inference, auxiliary", "OC", "OA"),
)


@dataclass(frozen=True)
class Change:
    """A step at a codec, with the restorer that it uses (empty: none)."""

    step: Step
    context: Context
    codec: str
    restorer: str
    estimate: Estimate

    @property
    def where(self) -> str:
        """Codec and rate in words."""
        return self.context.where(self.codec)


def changes(found: Iterable[Context], steps: Sequence[Step] = STEPS) -> list[Change]:
    """Every step that the rows show both sides of: by codec, each with each restorer."""
    return [
        Change(step, context, codec, after.restorer, estimate)
        for context in found
        for codec in context.codecs()
        for step in steps
        for after in context.points(step.after)
        if not after.share
        and (estimate := context.change(Point(step.before), after, codec, OVERALL)) is not None
    ]


def verdict(estimate: Estimate) -> str:
    """What a difference is worth, in words: whether it is more than noise, and more than
    :data:`NOTABLE`."""
    large = abs(estimate.mean) >= NOTABLE
    if not estimate.has_interval:
        size = ("up" if estimate.mean > 0 else "down") if large else "about level"
        return f"{size}; one seed, so nothing is known of the noise"
    if not estimate.clear:
        return "within the noise"
    if not large:
        return "clear, but under 1 point"
    return "helps" if estimate.mean > 0 else "harms"


def change_table(found: Sequence[Change], restorers: Sequence[str]) -> Table:
    """The steps as a table: codec, step, configurations, difference, seeds, what it is worth."""
    rows = [
        [
            change.where,
            change.step.name + _by(change.restorer, restorers),
            f"{change.step.before} to {change.step.after}",
            signed_estimate(change.estimate),
            str(change.estimate.count),
            verdict(change.estimate),
        ]
        for change in found
    ]
    titles = ["codec", "step", "configurations", "difference", "seeds", "verdict"]
    return Table(titles, rows, (0, 1, 2, 5))


def restoration_sentence(found: Sequence[Change]) -> str:
    """What restoring the training set is worth where it does most and least; empty without RO.

    Of several restorers the study's first is taken.
    """
    own = [
        change
        for change in found
        if change.step.after == "RO" and change.restorer == change.context.main_restorer
    ]
    if not own:
        return ""
    first = max(own, key=lambda change: change.estimate.mean)
    text = f"Restoring the training set (CO to RO) {_says(first)}"
    last = min(own, key=lambda change: change.estimate.mean)
    if last is not first:
        text += f", and {_says(last)}"
    counts = seeds_in_words([change.estimate.count for change in own])
    positive = sum(change.estimate.clear and change.estimate.mean > 0 for change in own)
    if any(change.estimate.has_interval for change in own):
        text += f"; RO is above CO by more than the noise in {positive} of {len(own)} cases"
    return f"{text} ({counts})."


def named_steps_sentence(found: Sequence[Change]) -> str:
    """What the steps to CC are worth at the harshest rate of the first family; perhaps empty."""
    parts = []
    for step in STEPS[:2]:
        own = [change for change in found if change.step is step]
        if own:
            parts.append(f"{step.name} ({step.before} to {step.after}) {_says(own[0])}")
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _says(change: Change) -> str:
    if change.estimate.has_interval and not change.estimate.clear:
        return f"is within the noise at {change.where}: {signed_estimate(change.estimate)}"
    verb = "wins" if change.estimate.mean >= 0 else "costs"
    return f"{verb} {in_words(change.estimate)} at {change.where}"


def _by(restorer: str, restorers: Sequence[str]) -> str:
    return f" ({restorer})" if restorer and len(restorers) > 1 else ""
