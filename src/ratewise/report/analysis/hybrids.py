"""Hybrid training sets (the driving paper's Table III): some originals, the rest compressed or
restored, beside what they are mixed of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ratewise.report.analysis.contexts import Context, Point
from ratewise.report.analysis.table import Table, signed_estimate
from ratewise.report.text import MISSING, points


@dataclass(frozen=True)
class Hybrid:
    """The points of one privileged share at one codec."""

    context: Context
    codec: str
    share: str

    def point(self, pair: str) -> Point:
        """The point of these channels; restored ones are the study's first restorer's."""
        restorer = self.context.main_restorer if set(pair) & set("rRA") else ""
        return Point(pair, "" if pair == "CO" else self.share, restorer)

    @property
    def parts(self) -> dict[str, tuple[str, str]]:
        """What each hybrid is mixed of."""
        return {"o+cO": ("oO", "CO"), "o+rO": ("oO", "rO")}


def hybrids(found: Iterable[Context]) -> list[Hybrid]:
    """Every share and codec that the rows have a hybrid of."""
    return [
        Hybrid(context, codec, share)
        for context in found
        for codec in context.codecs()
        for share in dict.fromkeys(
            p.share
            for pair in ("o+cO", "o+rO")
            for p in context.points(pair)
            if "#" not in p.share and context.has(p, codec)
        )
        if any(
            context.has(Hybrid(context, codec, share).point(pair), codec)
            for pair in ("o+cO", "o+rO")
        )
    ]


def hybrid_table(found: Sequence[Hybrid]) -> Table:
    """mIoU of CO, oO, rO and the hybrids, and the difference of the two hybrids."""
    pairs = ("CO", "oO", "rO", "o+cO", "o+rO")
    rows = []
    for h in found:
        scores = [_score(h, pair) for pair in pairs]
        change = h.context.change(h.point("o+cO"), h.point("o+rO"), h.codec)
        rows.append([h.context.where(h.codec), h.share[1:], *scores, signed_estimate(change)])
    return Table(["codec", "originals", *pairs, "o+cO to o+rO"], rows)


def hybrid_sentence(found: Sequence[Hybrid]) -> str:
    """How often a hybrid is above each of its parts, and which hybrid is the better one."""
    if not found:
        return ""
    text = []
    for pair in ("o+cO", "o+rO"):
        cases = above = 0
        for h in found:
            parts = [h.context.change(h.point(p), h.point(pair), h.codec) for p in h.parts[pair]]
            known = [estimate for estimate in parts if estimate is not None]
            if len(known) == len(parts):
                cases += 1
                above += all(estimate.mean > 0 for estimate in known)
        if cases:
            first, second = ("oO", "CO") if pair == "o+cO" else ("oO", "rO")
            text.append(f"{pair} is above both {first} and {second} in {above} of {cases} cases")
    pairs = [h.context.change(h.point("o+cO"), h.point("o+rO"), h.codec) for h in found]
    known = [estimate for estimate in pairs if estimate is not None]
    if known:
        up = sum(e.mean > 0 for e in known)
        clear = sum(e.clear for e in known)
        one = not any(e.has_interval for e in known)
        more = (
            "one seed each"
            if one
            else f"{clear} of these {len(known)} differences are more than noise"
        )
        text.append(f"restoring the rest (o+rO) beats leaving it compressed (o+cO) in {up} of "
                    f"{len(known)} ({more})")  # fmt: skip
    if not text:
        text = [f"{len(found)} cases have a hybrid, none of them with what it is mixed of"]
    joined = "; ".join(text)
    return f"{joined[0].upper() if joined[0].isdigit() else joined[0]}{joined[1:]}."


def _score(hybrid: Hybrid, pair: str) -> str:
    values = hybrid.context.seeds(hybrid.point(pair), hybrid.codec)
    return points(values.mean(), values.std()) if len(values) else MISSING
