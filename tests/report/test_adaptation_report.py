"""The report and the documents of a comparison of adaptations, from numbers with known answers."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest
from made_up_adaptation import SAVED, made_up

from ratewise.errors import InputError
from ratewise.report.adaptation_plots import grid_panels, rate_panels, styles
from ratewise.report.adaptation_report import write_adaptation_report
from ratewise.report.adaptation_tables import (
    file_rows,
    forgetting_rows,
    gain_rows,
    grid_rows,
    percent,
    point_rows,
)
from ratewise.report.adaptation_text import (
    gain_sentences,
    grid_sentences,
    headlines,
    old_file_sentences,
)
from ratewise.report.publish import main, publish, read_results
from ratewise.study.adaptation.tables import Comparison

PAGE = "".join(
    f"<!-- table:{kind} -->\n<!-- /table -->\n"
    for kind in ("adapted", "forgetting", "grid", "adaptations", "adapted-points")
)


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    return made_up()


@pytest.fixture
def folder(comparison: Comparison, tmp_path: Path) -> Path:
    """What a run leaves, under the names that documents have."""
    comparison.save(tmp_path)
    (tmp_path / "points.csv").rename(tmp_path / "codec-adaptation.csv")
    for kind in ("bdrate", "forgetting", "adaptations"):
        (tmp_path / f"{kind}.csv").rename(tmp_path / f"codec-adaptation-{kind}.csv")
    (tmp_path / "codec-adaptation.md").write_text(PAGE)
    return tmp_path


def test_the_gain_table_has_rates_kept_shares_and_what_becomes_of_old_files(
    comparison: Comparison,
) -> None:
    titles, rows = gain_rows(comparison)
    found = {(row[0], row[1]): dict(zip(titles, row, strict=True)) for row in rows}
    assert set(found) == {(target, label) for target in ("camvid", "screens") for label in SAVED}
    whole, added = found["camvid", "finetune"], found["camvid", "cawf-0.02"]
    assert (whole["target: bits"], whole["source: bits"]) == ("-20.0 %", "+15.0 %")
    assert (whole["parameters"], whole["of the full gain"]) == ("100 %", "100 %")
    assert (whole["with auto"], whole["files of the source"]) == ("-", "undecodable")
    assert (added["target: bits"], added["of the full gain"]) == ("-12.0 %", "60 %")
    assert (added["parameters"], added["source: bits"]) == ("1.9 %", "+2.0 %")
    assert (added["with auto"], added["files of the source"]) == ("0.0 %", "identical")
    assert found["camvid", "finetune-decoder"]["files of the source"] == "-0.75 dB"
    assert found["screens", "cawf-0.08"]["target: bits"] == "-24.0 %"


def test_the_forgetting_table_says_what_old_files_decode_to(comparison: Comparison) -> None:
    titles, rows = forgetting_rows(comparison)
    assert len(rows) == 2 * 2 * len(SAVED)  # the most images of each way alone
    found = {tuple(row[:4]): dict(zip(titles, row, strict=True)) for row in rows}
    whole = found["camvid", "finetune", "100", "source"]
    assert (whole["identical"], whole["undecodable"]) == ("0 %", "100 %")
    assert (whole["PSNR before"], whole["PSNR after"]) == ("29.00", "undecodable")
    decoder = found["screens", "finetune-decoder", "100", "screens"]
    assert (decoder["PSNR after"], decoder["encoded as before"]) == ("28.25", "100 %")
    assert found["camvid", "cawf-0.02", "100", "source"]["identical"] == "100 %"
    assert found["camvid", "cawf-0.02", "100", "source"]["drift of y"] == "0.1200"


def test_the_grid_is_of_the_quality_where_several_numbers_of_images_were_tried(
    comparison: Comparison,
) -> None:
    titles, rows = grid_rows(comparison)
    assert {row[titles.index("quality")] for row in rows} == {"3"}
    found = {tuple(row[i] for i in (0, 1, 3)): dict(zip(titles, row, strict=True)) for row in rows}
    few = found["camvid", "cawf-0.02", "5"]
    assert few["target: bits at equal PSNR"] == "-3.6 %"  # 12 % by 0.3
    assert few["target: lambda D + R"] == f"{100 * (0.4 * (1 - 0.036) + 0.3) / 0.7 - 100:.1f} %"
    assert few["of the full gain"] == "-"  # nothing was fine-tuned on 5
    assert few["files of the source"] == "identical"
    assert few["with auto"] == "0.0 %"
    assert [row[1] for row in rows[:9]] == sorted(
        [row[1] for row in rows[:9]], key=list(SAVED).index
    )


def test_every_finding_is_a_sentence(comparison: Comparison) -> None:
    assert headlines(comparison)[:2] == [
        "On camvid, finetune from 100 images needs 20.0 % fewer bits at equal PSNR, and 15.0 % "
        "more on the source's domain.",
        "On camvid, cawf-0.08 from 100 images needs 16.0 % fewer bits at equal PSNR, and keeps "
        "80 % of what fine-tuning gains with 7.7 % parameters more; coded with it, the source's "
        "domain needs 6.0 % more, with auto as many.",
    ]
    assert len(gain_sentences(comparison)) == 2 * len(SAVED)
    assert old_file_sentences(comparison) == [
        "After finetune no old file of the source can be decoded.",
        "After finetune-decoder old files of the source decode to other pixels, -0.75 dB.",
        "After low_rank-0.08, cawf-0.02 or cawf-0.08 every old file of the source decodes to "
        "identical pixels, and encoding with the source gives the same bytes.",
    ]
    assert grid_sentences(comparison)[0] == (
        "On camvid at quality 3, cawf-0.02 changes lambda D + R by -2.1 % from 5, by -4.8 % from "
        "20, by -6.9 % from 100 images."
    )
    assert grid_sentences(comparison)[2] == (
        "On camvid at quality 3, cawf from 100 images changes lambda D + R by -6.9 % with 1.9 %, "
        "by -9.1 % with 7.7 % parameters more."
    )


def test_some_old_files_that_cannot_be_decoded_are_a_share(comparison: Comparison) -> None:
    forgetting = comparison.forgetting.copy()
    some = (forgetting["label"] == "finetune") & (forgetting["quality"] == 1)
    forgetting.loc[some, ["undecodable", "psnr"]] = [0.5, 24.0]
    changed = replace(comparison, forgetting=forgetting)
    assert old_file_sentences(changed)[0] == (
        "After finetune 90 % of the source's old files cannot be decoded."
    )
    row = forgetting_rows(changed)[1][1]
    assert row[5:8] == ["90 %", "29.00", "24.00"]


def test_the_report_is_one_file_with_every_table_and_plot(
    comparison: Comparison, tmp_path: Path
) -> None:
    write_adaptation_report(tmp_path / "report.html", comparison)
    html = (tmp_path / "report.html").read_text()
    assert "http://" not in html.replace("http://www.w3.org", "")
    assert "https://" not in html
    titles = re.findall(r"<h2>(.*?)</h2>", html)
    assert titles == [
        "What adapting gains",
        "Adapted to camvid",
        "Adapted to screens",
        "What is forgotten",
        "Gain by images and size",
        "The adaptations",
        "All operating points",
    ]
    assert html.count('<svg class="plot"') == 2 * (2 + 2)
    text = unescape(html)
    for sentence in (*headlines(comparison), *grid_sentences(comparison)):
        assert sentence in text
    for rows in (gain_rows, forgetting_rows, grid_rows, file_rows, point_rows):
        assert all(title in text for title in rows(comparison)[0])
    again = tmp_path / "again.html"
    write_adaptation_report(again, comparison)
    assert again.read_text() == html


def test_lines_are_drawn_where_the_numbers_are(comparison: Comparison) -> None:
    keys, panels = rate_panels(comparison, "camvid")
    assert list(keys) == ["source", *SAVED]
    assert [title for title, _ in panels] == ["on camvid", "on the source's domain"]
    keys, panels = grid_panels(comparison, "camvid")
    assert list(keys) == list(SAVED)
    assert len(panels) == 2
    assert "5 images" in panels[1][1]
    looks = [(style.colour, style.line) for style in styles(comparison).values()]
    assert len(set(looks)) == len(looks)


def test_what_was_not_measured_is_left_out(comparison: Comparison, tmp_path: Path) -> None:
    bdrate = comparison.bdrate[comparison.bdrate["qualities"] == "3"]
    few = replace(comparison, bdrate=bdrate[bdrate["images"] == 100])
    assert gain_rows(few)[1] == []
    assert grid_panels(few, "camvid") == ({}, [])
    write_adaptation_report(tmp_path / "report.html", few)
    titles = re.findall(r"<h2>(.*?)</h2>", (tmp_path / "report.html").read_text())
    assert titles == ["What is forgotten", "The adaptations", "All operating points"]
    nothing = replace(
        few,
        bdrate=few.bdrate[:0],
        forgetting=few.forgetting[:0],
        adaptations=few.adaptations[:0],
    )
    assert headlines(nothing) == ["There are no adaptations yet."]
    write_adaptation_report(tmp_path / "report.html", nothing)


@pytest.mark.parametrize(
    ("share", "text"), [(1.0, "100 %"), (0.0786, "7.9 %"), (0.0199, "2.0 %"), (0.0049, "0.49 %")]
)
def test_shares_of_parameters_have_the_digits_that_they_need(share: float, text: str) -> None:
    assert percent(share) == text


def test_documents_get_their_tables_and_figure_from_the_files(
    folder: Path, comparison: Comparison
) -> None:
    assert publish(folder) == [
        folder / "codec-adaptation.md",
        folder / "codec-adaptation-rates.png",
    ]
    text = (folder / "codec-adaptation.md").read_text()
    assert (
        "| camvid | cawf-0.02 | 1.9 % | 100 | -12.0 % | -12.0 % | +0.37 dB | 60 % | +2.0 % "
        "| 0.0 % | identical |  |"
    ) in text
    assert text.count("| camvid | finetune | 100 | source | 0 % | 100 % |") == 1
    assert publish(folder, check=True) == []
    read = read_results(folder / "codec-adaptation.csv").tables["grid"]()
    assert all(" | ".join(row) in read for row in grid_rows(comparison)[1])


def test_a_missing_or_foreign_file_beside_the_points_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    beside = folder / "codec-adaptation-forgetting.csv"
    beside.write_text("a,b\n1,2\n")
    assert main([str(folder)]) == 2
    assert "not a file of a comparison of adaptations: no column 'target'" in (
        capsys.readouterr().err
    )
    beside.unlink()
    with pytest.raises(InputError, match="codec-adaptation-forgetting"):
        read_results(folder / "codec-adaptation.csv")


def test_a_way_that_gains_nothing_keeps_nothing_and_notes_are_shown(
    comparison: Comparison,
) -> None:
    bdrate = comparison.bdrate.copy()
    way = (bdrate["label"] == "cawf-0.02") & (bdrate["qualities"] != "3")
    bdrate.loc[way, ["bd_rate_percent", "kept_percent", "note"]] = [1.5, -7.5, "hardly in common"]
    bdrate.loc[bdrate["label"] == "cawf-0.08", "bd_rate_percent"] = float("nan")
    bdrate.loc[bdrate["label"] == "cawf-0.08", "note"] = "the curves have nothing in common"
    changed = replace(comparison, bdrate=bdrate)
    said = gain_sentences(changed)
    assert said[3] == (
        "On camvid, cawf-0.02 from 100 images needs 1.5 % more bits at equal PSNR, and keeps "
        "nothing of what fine-tuning gains with 1.9 % parameters more; coded with it, the source's "
        "domain needs 1.5 % more, with auto 1.5 % more."
    )
    assert said[4] == (
        "On camvid, cawf-0.08 from 100 images cannot be compared in bits at equal PSNR: the "
        "curves have nothing in common."
    )
    assert [row[-1] for row in gain_rows(changed)[1]][2:4] == ["", "hardly in common"]
