"""What a model loses to compression, split as far as it can be, and which remedy helps.

Where compressed images are *tested* on, the loss of a model trained on originals (OO - OC) has two
parts: OO - CC, what is still missing when the model knows such images, *information* that the
codec removed; and CC - OC, which knowing them wins back, *covariate shift*. Where compressed images
are only *trained* on (CO), the two cannot be told apart in that way, for CC itself lacks
information at test time. What restoring the training set wins back, RO - CO, adds no information,
so that the shift is at least as large. All are differences of the accuracy of models, so that a
better model or longer training may move them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from ratewise.metrics.paired import Estimate, student
from ratewise.report.analysis.changes import NOTABLE, STEPS, verdict
from ratewise.report.analysis.contexts import BIG, OVERALL, SMALL, Context, Point
from ratewise.report.analysis.table import (
    Table,
    in_words,
    seeds_in_words,
    signed,
    signed_estimate,
)
from ratewise.report.text import number

Estimates = Mapping[str, Estimate]
"""By the part that is measured; a part without rows is absent."""

PARTS = {
    "loss in use": ("OC", "OO"),
    "information": ("CC", "OO"),
    "shift": ("OC", "CC"),
    "loss in training": ("CO", "OO"),
    "won back": ("CO", "RO"),
    "compressed in use": ("CO", "CC"),
}
"""Each part is the second configuration minus the first."""

_TITLES = {
    "loss in use": "OO - OC: loss",
    "information": "OO - CC: information",
    "shift": "CC - OC: shift",
    "loss in training": "OO - CO: loss",
    "won back": "RO - CO: shift at least",
    "compressed in use": "CC - CO",
}
SIZES = {OVERALL: "all classes", f"miou:{SMALL}": SMALL, f"miou:{BIG}": BIG}


@dataclass(frozen=True)
class Remedy:
    """What may be done where models are run on compressed (``start`` OC) or on original (CO)
    images, and the change in mIoU that it made in this study."""

    name: str
    start: str
    end: str
    estimates: Estimates

    @property
    def gain(self) -> Estimate:
        """The change over all classes."""
        return self.estimates[OVERALL]


@dataclass(frozen=True)
class Diagnosis:
    """One codec: the parts by metric (:data:`SIZES`), and the remedies, the best one first."""

    context: Context
    codec: str
    parts: Mapping[str, Estimates]
    remedies: Sequence[Remedy]

    @property
    def where(self) -> str:
        """Codec and rate in words."""
        return self.context.where(self.codec)

    def part(self, name: str, metric: str = OVERALL) -> Estimate | None:
        """One part; None where the rows do not have it."""
        return self.parts.get(metric, {}).get(name)


def diagnoses(found: Iterable[Context]) -> list[Diagnosis]:
    """Every codec at which the rows have OO and one of OC, CC, CO."""
    result = []
    for context in found:
        for codec in context.codecs():
            parts = {metric: _parts(context, codec, metric) for metric in SIZES}
            if set(parts[OVERALL]) & {"loss in use", "information", "loss in training"}:
                result.append(Diagnosis(context, codec, parts, _remedies(context, codec)))
    return result


def sentences(diagnosis: Diagnosis) -> list[str]:
    """The diagnosis of one codec in words, for one who has not read the paper."""
    told = [_in_use(diagnosis), _in_training(diagnosis), _by_size(diagnosis), _advice(diagnosis)]
    return [text for text in told if text]


def summary(found: Sequence[Diagnosis]) -> str:
    """The diagnosis at the lowest rate of the first family of codecs, in one sentence."""
    if not found:
        return ""
    first = found[0]
    loss, shift, information = (first.part(n) for n in ("loss in use", "shift", "information"))
    told = []
    if loss is not None and shift is not None and information is not None:
        told.append(
            f"of the {_short(loss)} points that a model trained on originals loses on compressed "
            f"images, {_short(shift)} are shift and {_short(information)} information"
        )
    elif loss is not None:
        told.append(f"a model trained on originals loses {_short(loss)} points on compressed ones")
    loss, back = first.part("loss in training"), first.part("won back")
    if loss is not None:
        text = f"training on compressed images costs {_short(loss)} points on originals"
        text += f", of which restoration wins back {_short(back)}" if back is not None else ""
        told.append(text)
    if not told:
        return ""
    seeds = seeds_in_words([e.count for e in first.parts[OVERALL].values()])
    return f"At {first.where}, {'; '.join(told)} ({seeds})."


def parts_table(found: Sequence[Diagnosis]) -> Table:
    """The parts as a table: by codec, for all classes, small and big objects."""
    names = [name for name in PARTS if any(d.part(name) for d in found)]
    rows = [
        [d.where, label, *(signed_estimate(d.part(name, metric)) for name in names)]
        for d in found
        for metric, label in SIZES.items()
        if d.parts[metric]
    ]
    return Table(["codec", "classes", *(_TITLES[name] for name in names)], rows)


def remedy_table(found: Sequence[Diagnosis]) -> Table:
    """The remedies as a table: by codec, the change from OC or CO that each of them made."""
    rows = [
        [
            d.where,
            remedy.name,
            f"{remedy.start} to {remedy.end}",
            verdict(remedy.gain),
            *(signed_estimate(remedy.estimates.get(metric)) for metric in SIZES),
        ]
        for d in found
        for remedy in d.remedies
    ]
    titles = ["codec", "remedy", "configurations", "verdict", *SIZES.values()]
    return Table(titles, rows, (0, 1, 2, 3))


def _parts(context: Context, codec: str, metric: str) -> Estimates:
    estimates = {}
    for name, (before, after) in PARTS.items():
        change = context.change(_main(context, before), _main(context, after), codec, metric)
        if change is not None:
            estimates[name] = change
    return estimates


def _main(context: Context, pair: str) -> Point:
    return Point(pair, "", context.main_restorer if set(pair) & set("RA") else "")


def _remedies(context: Context, codec: str) -> list[Remedy]:
    remedies = []

    def add(name: str, start: str, end: str, change: Callable[[str], Estimate | None]) -> None:
        known = {m: estimate for m in SIZES if (estimate := change(m)) is not None}
        if OVERALL in known:
            remedies.append(Remedy(name, start, end, known))

    def step(start: Point, end: Point) -> Callable[[str], Estimate | None]:
        return lambda metric: context.change(start, end, codec, metric)

    for one in STEPS:
        end = _main(context, one.after)
        add(one.name, one.before, one.after, step(Point(one.before), end))
    for pair, name in (("o+cO", "originals among them"), ("o+rO", "originals, the rest restored")):
        for point in context.points(pair):
            if point.restorer in ("", context.main_restorer) and "#" not in point.share:
                add(name, "CO", point.name, step(Point("CO"), point))
    milder = _milder(context, codec)
    if milder:
        for pair in ("OC", "CO"):

            def more(metric: str, point: Point = Point(pair)) -> Estimate | None:
                if metric not in context.rows:
                    return None
                values = context.seeds(point, milder, metric)
                return student((values - context.seeds(point, codec, metric)).dropna())

            add(f"more bits, {context.rate(milder):.2g} bpp", pair, f"{pair} at {milder}", more)
    starts = ("OC", "CO")
    return sorted(remedies, key=lambda r: (starts.index(r.start), -r.gain.mean))


def _milder(context: Context, codec: str) -> str:
    """The next higher operating point of the same family; empty for the highest."""
    same = [c for c in context.codecs() if context.family(c) == context.family(codec)]
    above = same[same.index(codec) + 1 :]
    return above[0] if above else ""


def _in_use(d: Diagnosis) -> str:
    loss, information, shift = (d.part(n) for n in ("loss in use", "information", "shift"))
    if loss is None:
        if information is None:
            return ""
        return f"With compressed images on both sides (CC), a model {_loses(information)}."
    text = f"Trained on originals and run on compressed images (OC), a model {_loses(loss)}."
    if shift is None or information is None:
        return f"{text} Without CC in the study this cannot be split further."
    if not _certain(shift):
        text += f" The shift (CC - OC) is within the noise: {signed_estimate(shift)}."
    elif shift.mean > 0:
        text += (
            f" Of that, {in_words(shift)} are shift: a model trained on compressed images (CC) "
            "does not lose them."
        )
    else:
        text += f" Training on compressed images (CC) costs another {in_words(shift)}."
    if not _certain(information):
        text += f" What CC lacks to OO is within the noise: {signed_estimate(information)}."
    elif information.mean > 0:
        text += (
            f" CC lacks {in_words(information)} too: information that the codec removed, as far as "
            "this model can use it."
        )
    else:
        text += f" CC is above OO by {in_words(information)}: no loss of information is seen."
    return text


def _in_training(d: Diagnosis) -> str:
    loss, back = d.part("loss in training"), d.part("won back")
    if loss is None:
        return ""
    text = f"Trained on compressed images and run on originals (CO), a model {_loses(loss)}."
    text += " That cannot be split in the same way."
    if back is None:
        text += " Without RO in the study nothing bounds the shift in it."
    elif not _certain(back):
        text += (
            " What restoring the training images (RO) wins back is within the noise: "
            f"{signed_estimate(back)}; so nothing is known of the shift."
        )
    elif back.mean > 0:
        text += (
            f" Restoring the training images (RO) wins back {in_words(back)}; as that adds no "
            "information, the shift is as large at least."
        )
    else:
        text += f" Restoring the training images (RO) makes it worse by {in_words(back)}."
    also = d.part("compressed in use")
    if also is not None and _certain(also):
        verb = "wins" if also.mean > 0 else "costs another"
        text += f" Compressing in use as well (CC) {verb} {in_words(also)}."
    return text


def _by_size(d: Diagnosis) -> str:
    told = []
    for name, title in _TITLES.items():
        small, big = (d.part(name, f"miou:{size}") for size in (SMALL, BIG))
        if small is not None and big is not None:
            label = title.partition(":")[0].replace(" ", "\N{NO-BREAK SPACE}")
            told.append(f"{label} {signed(small.mean)} against {signed(big.mean)}")
    return f"Small objects against big ones, in points: {'; '.join(told)}." if told else ""


def _advice(d: Diagnosis) -> str:
    told = []
    for start, where in (("OC", "compressed images"), ("CO", "originals")):
        own = [remedy for remedy in d.remedies if remedy.start == start]
        if not own:
            continue
        helps = [r for r in own if _large(r.gain) and r.gain.mean > 0]
        harms = [r for r in own if _large(r.gain) and r.gain.mean < 0]
        noise = [r for r in own if r.gain.has_interval and not r.gain.clear]
        single = all(not r.gain.has_interval for r in own)
        expect = ", ".join(f"{r.name} ({signed(r.gain.mean)})" for r in helps)
        text = f"Where models run on {where}, "
        if single:
            text += f"one seed hints at {expect or 'no help of a point or more'}"
            text += "; nothing is known of the noise"
        elif expect:
            text += f"expect help from {expect}"
        else:
            text += "no remedy helped by a point or more"
        if harms:
            text += f"; {_names(harms)} did harm"
        if noise:
            text += f"; within the noise: {_names(noise)}"
        told.append(f"{text}.")
    return " ".join(told)


def _names(remedies: Sequence[Remedy]) -> str:
    return ", ".join(f"{r.name} ({signed(r.gain.mean)})" for r in remedies)


def _certain(estimate: Estimate) -> bool:
    """Whether a difference is more than noise; one seed's is taken as it is."""
    return estimate.clear or not estimate.has_interval


def _short(estimate: Estimate) -> str:
    text = number(100 * estimate.mean)
    if not estimate.has_interval:
        return text
    noise = "" if estimate.clear else ": within the noise"
    return f"{text} [{number(100 * estimate.low)}, {number(100 * estimate.high)}{noise}]"


def _large(estimate: Estimate) -> bool:
    return _certain(estimate) and abs(estimate.mean) >= NOTABLE


def _loses(loss: Estimate) -> str:
    verb = "loses" if loss.mean >= 0 else "gains"
    noise = "" if _certain(loss) else ", which is within the noise"
    return f"{verb} {in_words(loss)}{noise}"
