"""Restorers beside each other (the driving paper's Table V): mIoU, PSNR and MS-SSIM without
restoration (CO) and with each of them (RO).

What restoration does to the images is measured on the test images, in rows of

======================================== =====================================================
codec, split, restorer, channel          what was restored, by whom (``R``, ``A``, ``r@12.5%``)
adversarial                              whether the restorer was trained against discriminators
images, bpp                              how many, and the rate of what they were made from
psnr_before, psnr_after                  dB
ms_ssim_db_before, ms_ssim_db_after      ``-10 log10(1 - MS-SSIM)``
======================================== =====================================================
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ratewise.metrics.paired import Estimate
from ratewise.report.analysis.contexts import OVERALL, Context, Point
from ratewise.report.analysis.table import Table, in_words, signed_estimate
from ratewise.report.naming import shown_split
from ratewise.report.text import MISSING, number, points

if TYPE_CHECKING:
    import pandas as pd

QUALITY_COLUMNS = (
    *("codec", "split", "restorer", "channel", "adversarial", "images", "bpp"),
    *("psnr_before", "psnr_after", "ms_ssim_db_before", "ms_ssim_db_after"),
)


@dataclass(frozen=True)
class Method:
    """One restorer (or none: an empty name) at one codec.

    ``adversarial`` is None where it is not known; PSNR and MS-SSIM (dB) are NaN where they are not.
    """

    context: Context
    codec: str
    restorer: str
    adversarial: bool | None
    psnr: float
    ms_ssim: float
    gain: Estimate | None

    @property
    def kind(self) -> str:
        """``adversarial``, ``not adversarial``, or nothing."""
        if not self.restorer or self.adversarial is None:
            return ""
        return "adversarial" if self.adversarial else "not adversarial"


def one_split(quality: pd.DataFrame) -> pd.DataFrame:
    """The rows of the split that models are tested on, where one is named so, else of the last."""
    if quality.empty:
        return quality
    splits = quality["split"].astype(str)
    return quality[splits == shown_split(splits)]


def methods(found: Iterable[Context], quality: pd.DataFrame) -> list[Method]:
    """CO and RO with each restorer, at each codec where RO has results; nothing without RO."""
    rows = one_split(quality)
    table = []
    for context in found:
        for codec in context.codecs():
            restored = [
                point
                for name in context.restorers
                if context.has(point := Point("RO", "", name), codec)
            ]
            if not restored:
                continue
            table += [_method(context, codec, point, rows) for point in (Point("CO"), *restored)]
    return table


def restorer_table(found: Sequence[Method]) -> Table:
    """The restorers as a table: by codec, mIoU, difference to CO, PSNR and MS-SSIM."""
    rows = []
    for m in found:
        values = m.context.seeds(_point(m), m.codec)
        rows.append(
            [
                m.context.where(m.codec),
                m.restorer or "none (CO)",
                m.kind,
                points(values.mean(), values.std()) if len(values) else MISSING,
                signed_estimate(m.gain) if m.restorer else MISSING,
                number(m.psnr, 2),
                number(m.ms_ssim, 2),
            ]
        )
    titles = ["codec", "restorer", "kind", "mIoU", "to CO", "PSNR (dB)", "MS-SSIM (dB)"]
    return Table(titles, rows, (0, 1, 2))


def restorer_sentence(found: Sequence[Method]) -> str:
    """How the best adversarial restorer compares with the best other one in mIoU and PSNR."""
    keys = list(dict.fromkeys((m.context.label, m.codec) for m in found))
    cases = []
    for label, codec in keys:
        own = [m for m in found if (m.context.label, m.codec) == (label, codec) and m.gain]
        pair = [
            max((m for m in own if m.adversarial is kind), key=_gain, default=None)
            for kind in (True, False)
        ]
        if pair[0] is not None and pair[1] is not None:
            cases.append((pair[0], pair[1]))
    if not cases:
        return _single(found)
    differences = [
        (a, b, a.context.change(_point(b), _point(a), a.codec, OVERALL)) for a, b in cases
    ]
    known = [(a, b, d) for a, b, d in differences if d is not None]
    if not known:
        return ""
    above = sum(d.mean > 0 for _, _, d in known)
    a, b, d = known[0]
    verb = "above" if d.mean >= 0 else "below"
    text = (
        f"Adversarial restoration is above the best of the others in mIoU in {above} of "
        f"{len(known)} cases: at {a.context.where(a.codec)}, {a.restorer} is {in_words(d)} {verb} "
        f"{b.restorer}"
    )
    if a.psnr == a.psnr and b.psnr == b.psnr:
        change = a.psnr - b.psnr
        size, way = number(abs(change), 1), "higher" if change > 0 else "lower"
        text += f", with a PSNR {size} dB {way}"
    return f"{text}."


def _single(found: Sequence[Method]) -> str:
    """Without both kinds: what each restorer wins at the first codec."""
    own = [m for m in found if m.restorer and m.gain and m.codec == found[0].codec]
    said = [f"{m.restorer} {signed_estimate(m.gain)}" for m in own]
    if not said:
        return ""
    return f"RO against CO at {found[0].context.where(found[0].codec)}: {', '.join(said)} points."


def _gain(method: Method) -> float:
    return method.gain.mean if method.gain else float("-inf")


def _point(method: Method) -> Point:
    return Point("RO", "", method.restorer) if method.restorer else Point("CO")


def _method(context: Context, codec: str, point: Point, quality: pd.DataFrame) -> Method:
    own = quality[quality["codec"] == codec] if len(quality) else quality
    if len(own):
        restored = own[(own["restorer"] == point.restorer) & (own["channel"] == "R")]
        chosen = restored if point.restorer else own
    else:
        chosen = own
    side = "after" if point.restorer else "before"
    kind = None
    if point.restorer and len(quality):
        named = quality.loc[quality["restorer"] == point.restorer, "adversarial"]
        kind = bool(named.iloc[0]) if len(named) else None

    def mean(metric: str) -> float:
        return float(chosen[f"{metric}_{side}"].mean()) if len(chosen) else float("nan")

    gain = context.change(Point("CO"), point, codec) if point.restorer else None
    return Method(context, codec, point.restorer, kind, mean("psnr"), mean("ms_ssim_db"), gain)
