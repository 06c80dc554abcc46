"""Sections about what was measured beside the rows: their numbers, sentences and drawings."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from made_up_findings import CODECS, findings

from ratewise.report.measured import features, information, perception, timing
from ratewise.report.measured.plots import density_panels, plane_panels
from ratewise.report.measured.sections import measured
from ratewise.report.measured.sets import named, set_styles
from ratewise.report.study_results import read_study
from ratewise.study.analysis.findings import Findings, write_findings

_FOUND = findings()
_EMPTY = Findings(*[pd.DataFrame()] * 7)


def _row(html: str, codec: str, name: str) -> list[str]:
    """The cells of a row under a codec's line."""
    text = html[html.index(f"<span>{codec}") :]
    line = next(part for part in text.split("<tr>") if f">{name}</th>" in part)
    return re.findall(r"<td[^>]*>(.*?)</td>", line)


def test_nothing_is_shown_of_what_was_not_asked_for() -> None:
    assert measured(None) == []
    assert "".join(measured(_EMPTY)) == ""
    only = replace(_EMPTY, timing=_FOUND.timing)
    assert [bool(part) for part in measured(only)] == [False, False, False, True, False]


def test_the_table_of_indices_has_each_set_under_its_codec() -> None:
    html = perception.perception(_FOUND.perception, _FOUND.perception_images, _FOUND.notes)
    cells = _row(html, "bpg:qp=46, 0.07 bpp", "restored by rdn")
    assert cells == ["53.69", "0.91 (0.88 to 0.94)", "35.56", "15.56", "60"]
    assert _row(html, "originals", "originals") == ["40.21", "-", "-", "-", "60"]
    assert "No NIQE: its parameters are not there." in html
    assert html.index("msh:quality=1") < html.index("bpg:qp=46")


def test_the_sentence_names_the_nearest_set_and_the_gap_it_closes() -> None:
    said = perception.sentence(named(_FOUND.perception))
    assert "HOSA of the test images is 40.21 for the originals and 55.69 for msh:quality=1" in said
    closed = 1 - (40.56 - 40.21) / (55.69 - 40.21)
    assert f"restored by adversarial: {100 * closed:.0f} % of the gap is closed" in said
    assert "gaps of a few points say nothing" in said


def test_a_gap_of_a_few_points_is_not_read() -> None:
    table = named(_FOUND.perception)
    table.loc[table["channel"] == "C", "hosa"] = 42.0
    said = perception.sentence(table)
    assert "too small to be read" in said
    assert "closed" not in said


def test_restorers_that_bring_nothing_are_said_to_bring_nothing() -> None:
    table = named(_FOUND.perception)
    said = perception.sentence(table[table["restorer"] != "adversarial"])
    assert "No restorer brings the images nearer" in said


def test_without_an_index_only_distortion_is_told() -> None:
    unknown = _FOUND.perception.assign(hosa=math.nan, success_rate=math.nan)
    html = perception.perception(unknown, _FOUND.perception_images.assign(hosa=math.nan))
    assert "No perceptual index could be computed" in html
    assert "<svg" not in html


def test_the_plane_says_which_restorers_raise_distortion() -> None:
    said = perception.plane_sentence(named(_FOUND.perception))
    assert "Adversarial restoration raises the distortion" in said
    assert "Non-adversarial restoration lowers the distortion by 0.25 levels" in said


def test_originals_are_at_no_distortion_and_at_their_own_distance() -> None:
    table = named(_FOUND.perception).assign(kid=0.1)
    table.loc[table["channel"] == "O", "kid"] = math.nan
    drawn = plane_panels(table, {"kid": "patch KID"}, set_styles(table))
    assert [title for title, _ in drawn] == ["patch KID and distortion"]
    assert drawn[0][1].count("0.04 bpp") == 1


@pytest.mark.parametrize("scores", [[40.0] * 8, [40.0, 41.0]])
def test_few_or_equal_images_are_a_line_instead_of_a_density(scores: list[float]) -> None:
    images = named(_FOUND.perception_images)
    few = images.groupby("set", sort=False).head(len(scores)).copy()
    few["hosa"] = 40.0 if len(scores) > 2 else few["hosa"]
    panels = density_panels(few, "hosa", "HOSA", set_styles(images))
    assert panels


def test_features_are_told_by_both_numbers() -> None:
    html = features.features(_FOUND.features, _FOUND.channels)
    cells = _row(html, "msh:quality=1, 0.04 bpp", "restored by adversarial")
    assert cells == ["0.988", "0.023", "48", "60"]
    assert "channels are off by 1.032 (compressed), 0.023 (restored by adversarial)" in html
    assert html.count("<figure>") == len(CODECS)


def test_information_loss_may_be_negative_and_is_called_no_bound() -> None:
    html = information.information(_FOUND.information)
    assert "-0.0020" in html
    assert "-0.0120 to +0.0080" in html
    assert "it is itself no bound" in html
    assert "+0.0400 (95 %: +0.0300 to +0.0500)" in html
    rows: list[dict[Any, Any]] = _FOUND.information.tail(1).to_dict("records")
    said = information.sentence(rows)
    assert "0.0020 bits per pixel fewer" in said
    assert "which may be none" in said


def test_what_the_interval_does_not_know_is_said() -> None:
    single = information.information(_FOUND.information.assign(seeds=1, class_weights=True))
    assert "With one seed it knows nothing of how trainings differ" in single
    assert "class weights, which tilts" in single
    assert "class weights" not in information.information(_FOUND.information)


def test_times_are_those_of_the_papers_table() -> None:
    html = timing.timing(_FOUND.timing)
    assert _row(html, "no codec", "OO, CO, RO, AO") == [*"---", "640.0", "640.0", "1.00"]
    cells = _row(html, "bpg:qp=46", "CC, OC")
    assert cells == ["1100.0", "150.0", "-", "640.0", "1890.0", "2.95"]
    assert "with bpg:qp=46 adds 1100.0 ms to encode and 150.0 ms to decode: 2.95 times" in html
    assert "a processor, 8 threads, cpu" in html


def test_ids_of_the_drawings_do_not_collide_and_names_are_escaped() -> None:
    html = "".join(measured(_FOUND))
    ids = re.findall(r'\bid="(m[0-9a-f]{10}|p[0-9a-f]{10})"', html)
    assert ids
    assert len(ids) == len(set(ids))
    assert not re.search(r">(nan|inf)\b", html)
    evil = _FOUND.timing.assign(restorer="<script>", machine="<script>")
    assert "<script" not in timing.timing(evil)


def test_stages_without_a_result_are_named() -> None:
    html = "".join(measured(replace(_FOUND, absent=("features of originals",))))
    assert "Asked for, but not there: features of originals." in html


def test_documents_have_the_tables_of_a_run(tmp_path: Path) -> None:
    """As ``analysis/NAME.csv`` copied beside a page's ``results.csv``."""
    page = tmp_path / "study.csv"
    write_findings(_FOUND, tmp_path)
    for table in (tmp_path / "analysis").iterdir():
        table.rename(tmp_path / f"study-{table.name}")
    rows = pd.DataFrame([{"train_channel": "O", "test_channel": "O", "seed": 0, "miou": 0.5}])
    tables = read_study(page, rows).tables
    html = measured(_FOUND)
    for name, made in (("perception", "HOSA"), ("timing", "times segment")):
        text = tables[name]()
        assert made in text
        cells = [cell for line in text.splitlines() if "|" in line for cell in line.split(" | ")]
        shown = "".join(html)
        assert all(c.strip("| ") in shown for c in cells[:40] if c.strip("| :-"))
    for name in ("features", "information"):
        assert tables[name]().count("|") > 10
