"""The sections of a report about loss, shift and restoration: HTML of :mod:`.analysis`.

Each is empty where the rows that it is about are absent.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ratewise.data.classes import Classes
from ratewise.report.analysis.changes import (
    INTERVALS,
    NOTABLE,
    change_table,
    changes,
    named_steps_sentence,
    restoration_sentence,
)
from ratewise.report.analysis.class_changes import AGREE, class_change_table, class_changes
from ratewise.report.analysis.contexts import Context, contexts
from ratewise.report.analysis.diagnosis import (
    Diagnosis,
    diagnoses,
    parts_table,
    remedy_table,
    sentences,
    summary,
)
from ratewise.report.analysis.hybrids import hybrid_sentence, hybrid_table, hybrids
from ratewise.report.analysis.privileged import comparisons, privileged_table
from ratewise.report.analysis.rate_saved import rates_saved, saved_sentence, saved_table
from ratewise.report.analysis.restorers import methods, restorer_sentence, restorer_table
from ratewise.report.analysis.table import Table
from ratewise.report.html import element, grouped_table, line_key, section, wrap
from ratewise.report.metric import MIOU, metric_of
from ratewise.report.model import StudySummary
from ratewise.report.palette import Style
from ratewise.report.restoration_plots import distortion_panels, privileged_panels

if TYPE_CHECKING:
    import pandas as pd

_THRESHOLD = (
    f"A remedy “helps” or “harms” where the interval is on one side of 0 and the mean is "
    f"{100 * NOTABLE:.0f} point or more; where the interval holds 0 the difference is “within the "
    "noise”. One seed has no interval, so that nothing is known of the noise."
)


@dataclass(frozen=True)
class Analysis:
    """The sections, each empty without its rows; ``comparisons`` in the order of reading."""

    diagnosis: str
    comparisons: Sequence[str]
    distortion: str


def analysis(
    study: StudySummary, results: pd.DataFrame, quality: pd.DataFrame | None = None
) -> Analysis:
    """All sections on these rows; none on rows of another task than segmentation, which restorers
    and object sizes are about.

    ``quality`` has the columns of :data:`~ratewise.report.analysis.restorers.QUALITY_COLUMNS`.
    """
    import pandas as pd

    if metric_of(results) is not MIOU:
        return Analysis("", [], "")
    found = contexts(results, study.restorers, study.classes)
    if quality is None:
        quality = pd.DataFrame()
    return Analysis(
        diagnosis(found, study.classes),
        [
            steps(found),
            rate_saved(found),
            privileged(found),
            hybrid_sets(found),
            restorers(found, quality),
        ],
        distortion(quality, list(study.restorers)),
    )


def diagnosis(found: Sequence[Context], classes: Classes | None = None) -> str:
    """What is lost where, in words and numbers, for all, small and big objects, and by class."""
    everything = diagnoses(found)
    if not everything:
        return ""
    harshest = [d for d in everything if d.codec in d.context.harshest()]
    others = [d for d in everything if d not in harshest]
    by_class = class_changes(found, classes)
    opened = [c for c in by_class if c.codec in c.context.harshest()]
    closed = [c for c in by_class if c not in opened]
    about = (
        "Information is what CC (compressed on both sides) lacks to OO: the model knows such "
        "images, and is still worse. Shift is what CC wins over OC: the images are the same, but "
        "the model had never seen such. Both are differences between models, estimates that a "
        "better model may move, and no bounds. OO - CO cannot be split so, since CC lacks "
        "information at test time too; what restoring the training set wins back adds no "
        "information and is therefore shift. "
    )
    marks = (
        f"After minus before, in points, ± sample standard deviation over seeds; {AGREE} where all "
        "seeds (two or more) agree in the sign."
    )
    parts = [
        element("p", summary(everything), class_="says"),
        *(_in_words(d) for d in harshest),
        _folded("Milder rates, in words", [_in_words(d) for d in others]),
        element("h3", "What is lost where"),
        _table(parts_table(everything)),
        element("p", about + INTERVALS, class_="quiet"),
        element("h3", "What helps"),
        _table(remedy_table(harshest)),
        _folded("Milder rates", [_table(remedy_table(others))] if others else []),
        element("p", _THRESHOLD, class_="quiet"),
    ]
    if by_class:
        parts += [
            element("h3", "By class"),
            _table(class_change_table(opened)),
            _folded(
                "Milder rates, by class", [_table(class_change_table(closed))] if closed else []
            ),
            element("p", marks, class_="quiet"),
        ]
    return section("What goes wrong, and what helps", *parts)


def steps(found: Sequence[Context]) -> str:
    """Compression before training and before inference, and restoration: paired differences."""
    known = changes(found)
    if not known:
        return ""
    names = found[0].restorers if found else []
    said = [restoration_sentence(known), named_steps_sentence(known)]
    table = _table(change_table(known, names))
    return _finding("From one configuration to another", said, [table], INTERVALS)


def rate_saved(found: Sequence[Context]) -> str:
    """Bits saved at the mIoU of CO."""
    known = rates_saved(found)
    if not known:
        return ""
    note = (
        "Curves of mIoU over the logarithm of the rate, interpolated by a monotone cubic (PCHIP) "
        "for each seed; points that a lower rate beats are left out. Nothing is said outside of "
        "the rates studied. Below 0: more bits are needed. A saving is given where every seed has "
        "one."
    )
    table = _table(saved_table(known))
    return _finding("Bits saved at equal accuracy", [saved_sentence(known)], [table], note)


def privileged(found: Sequence[Context]) -> str:
    """oO@p against rO@p over the rate, and where they cross (Fig. 8)."""
    known = comparisons(found)
    if not known:
        return ""
    shown: list[str] = []
    for context in found:
        keys, panels = privileged_panels(context)
        shown += [_legend(keys), _figures(panels)]
    shown.append(_table(privileged_table(known)))
    note = (
        "oO@p is trained on that share of the originals alone, so that no codec touches it; rO@p "
        "on all images, restored by a restorer that saw that share. Crossings are of means over "
        "seeds, interpolated over the logarithm of the rate."
    )
    return _finding("How many originals it takes", [c.sentence for c in known], shown, note)


def hybrid_sets(found: Sequence[Context]) -> str:
    """Hybrid training sets beside their parts (Table III)."""
    known = hybrids(found)
    if not known:
        return ""
    note = (
        "o+cO trains on a share of originals and the rest compressed, o+rO on the same with the "
        "rest restored; the loss of an original weighs more, as the study file says."
    )
    title = "Originals among compressed or restored images"
    return _finding(title, [hybrid_sentence(known)], [_table(hybrid_table(known))], note)


def restorers(found: Sequence[Context], quality: pd.DataFrame) -> str:
    """Restorers beside each other, adversarial or not (Table V)."""
    known = methods(found, quality)
    if not known:
        return ""
    note = (
        "mIoU is of models trained on restored and tested on original images. PSNR and MS-SSIM are "
        "of the restored images against the originals (those that the restorer was trained on left "
        "out), MS-SSIM as -10 log10(1 - x)."
    )
    table = _table(restorer_table(known))
    return _finding("Which restorer", [restorer_sentence(known)], [table], note)


def distortion(quality: pd.DataFrame, names: Sequence[str] = ()) -> str:
    """PSNR and MS-SSIM against rate, before and after restoration (Fig. 6)."""
    keys, panels = distortion_panels(quality, names)
    if not panels:
        return ""
    text = (
        "Mean over the test images against their originals. Solid: compressed; broken: restored. "
        "A restorer that makes images look real costs PSNR; one that is trained for PSNR gains it."
    )
    title = "Rate and distortion, before and after restoration"
    said = [_distortion_sentence(quality, names)]
    return _finding(title, said, [_legend(keys), _figures(panels)], text)


def _distortion_sentence(quality: pd.DataFrame, names: Sequence[str]) -> str:
    rows = quality[quality["channel"] == "R"]
    order = [*(n for n in names if n in set(rows["restorer"])), *rows["restorer"]]
    own = rows[rows["restorer"] == order[0]]
    change = own["psnr_after"] - own["psnr_before"]
    low, high = float(change.min()), float(change.max())
    sizes = f"{low:+.1f} dB" if f"{low:.1f}" == f"{high:.1f}" else f"{low:+.1f} to {high:+.1f} dB"
    return f"Restoration by {order[0]} changes the PSNR of the images by {sizes}."


def _finding(title: str, said: Iterable[str], shown: Iterable[str], note: str) -> str:
    """A section: what was found, in sentences (those that are empty are left out), what shows it,
    and how it is to be read."""
    found = [element("p", text, class_="says") for text in said if text]
    return section(title, *found, *shown, element("p", note, class_="quiet"))


def _in_words(d: Diagnosis) -> str:
    told = "".join(element("p", text) for text in sentences(d))
    return element("h3", d.where) + told


def _table(table: Table) -> str:
    return grouped_table(table.titles, table.rows, table.words)


def _folded(title: str, parts: Iterable[str]) -> str:
    inside = "".join(parts)
    return wrap("details", [element("summary", title), inside]) if inside else ""


def _legend(keys: dict[str, Style]) -> str:
    spans = [wrap("span", [line_key(s), element("span", name)]) for name, s in keys.items()]
    return wrap("div", spans, class_="legend")


def _figures(panels: Iterable[tuple[str, str]]) -> str:
    figures = [wrap("figure", [element("figcaption", title), drawn]) for title, drawn in panels]
    return wrap("div", figures, class_="plots")
