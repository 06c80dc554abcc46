"""All sections about what was measured beside the result rows."""

from __future__ import annotations

from ratewise.report.html import element, section
from ratewise.report.measured.features import features
from ratewise.report.measured.information import information
from ratewise.report.measured.perception import perception
from ratewise.report.measured.timing import timing
from ratewise.study.analysis.findings import Findings

_NAMED = 8


def measured(findings: Findings | None) -> list[str]:
    """The sections in the order of reading, each empty where the study did not ask for it."""
    if findings is None:
        return []
    return [
        perception(findings.perception, findings.perception_images, findings.notes),
        features(findings.features, findings.channels),
        information(findings.information),
        timing(findings.timing),
        _absent(findings),
    ]


def _absent(findings: Findings) -> str:
    if not findings.absent:
        return ""
    names, more = "; ".join(findings.absent[:_NAMED]), len(findings.absent) - _NAMED
    names += f"; and {more} more" if more > 0 else ""
    return section("Analyses without a result", element("p", f"Asked for, but not there: {names}."))
