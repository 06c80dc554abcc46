from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ratewise.report.finding import main_finding
from ratewise.report.model import StripColumn
from ratewise.report.page import write_report


@pytest.fixture
def html(tmp_path, study, results, rates, strip) -> str:
    write_report(tmp_path / "report.html", study, results, rates, [strip])
    return (tmp_path / "report.html").read_text()


def _cells(html: str, section: str, codec: str, configuration: str) -> list[str]:
    """The cells of one row, found in the HTML itself."""
    text = html[html.index(f"<h2>{section}</h2>") :]
    text = text[text.index(f"<span>{codec}") :]
    line = next(r for r in text.split("<tr>") if f">{configuration}</th>" in r)
    return re.findall(r"<td[^>]*>(.*?)</td>", line)


def test_numbers_of_the_page_are_the_means_of_the_rows(html):
    cells = _cells(html, "What each bit buys", "jpeg:quality=5", "OC")
    miou, seeds = np.array([50.0, 56.0]), np.array([70.0, 74.0])
    assert cells[0] == f"{miou.mean():.1f} ± {miou.std(ddof=1):.1f}"
    assert cells[1] == f"{(miou - seeds).mean():.1f} ± {(miou - seeds).std(ddof=1):.1f}"
    assert cells[2] == f"{miou.mean() + 20:.1f} ± {miou.std(ddof=1):.1f}"
    assert cells[3] == f"{miou.mean() - 10:.1f} ± {miou.std(ddof=1):.1f}"
    assert cells[4:] == ["12.000", "100 %", "0.200", "1.7 %", "2"]
    classes = _cells(html, "Which classes pay", "jpeg:quality=5", "OC")
    assert [cell.split(" ±")[0] for cell in classes] == ["63.0", "53.0", "43.0"]


def test_the_page_links_to_nothing_outside_itself(html):
    assert "http" not in html
    links = re.findall(r'(?:src|href|xlink:href)="([^"]*)"', html)
    assert links
    assert all(link.startswith(("data:image/png;base64,", "#")) for link in links)
    assert "@import" not in html
    assert "<script" not in html


def test_ids_of_the_plots_do_not_collide(html):
    ids = re.findall(r'\bid="(m[0-9a-f]{10}|p[0-9a-f]{10})"', html)
    assert ids
    assert len(ids) == len(set(ids))


def test_the_same_input_gives_the_same_page(html, tmp_path, study, results, rates, strip):
    write_report(tmp_path / "again.html", study, results, rates, [strip])
    assert (tmp_path / "again.html").read_text() == html


def test_text_from_outside_is_escaped(tmp_path, study, results, rates, strip):
    evil = "<img src=x onerror=alert(1)>\"'&"
    results = results.rename(columns={"iou:pole": f"iou:{evil}"}).assign(recipe="standard")
    study = replace(
        study, name=evil, description=evil, command=evil, data=evil, environment={evil: evil}
    )
    strip = replace(strip, title=evil, columns=[replace(strip.columns[0], title=evil)])
    rates = rates.assign(split=evil)
    write_report(tmp_path / "report.html", study, results, rates, [strip])
    html = (tmp_path / "report.html").read_text()
    assert "<img src=x" not in html
    assert "&lt;img src=x" in html
    assert '"\'&"' not in html


def test_a_result_that_is_missing_is_a_dash(html):
    assert _cells(html, "What each bit buys", "webp:quality=10", "CC")[:2] == ["-", "-"]
    assert set(_cells(html, "Which classes pay", "webp:quality=10", "CC")) == {"-"}
    assert not re.search(r">(nan|inf)\b", html)


@pytest.mark.parametrize("kept", ["nothing", "one seed", "only OO", "no OO", "only CO"])
def test_poor_studies_are_reported_too(tmp_path, study, results, rates, kept):
    name = results["train_channel"] + results["test_channel"]
    keep = {
        "nothing": name == "",
        "one seed": results["seed"] == 0,
        "only OO": name == "OO",
        "no OO": name != "OO",
        "only CO": (name == "CO") & (results["test_codec"] == "png"),
    }[kept]
    bare = results[[c for c in results if not c.startswith(("iou:", "miou:"))]]
    study = replace(study, classes=None)
    for rows in (results[keep], bare[keep]):
        write_report(tmp_path / "report.html", study, rows, rates.iloc[:0])
        html = (tmp_path / "report.html").read_text()
        assert not re.search(r">(nan|inf)\b", html)
        assert "How it was made" in html


def test_empty_frames_without_columns_are_reported(tmp_path, study):
    write_report(tmp_path / "report.html", study, pd.DataFrame(), pd.DataFrame())
    assert "There are no results yet." in (tmp_path / "report.html").read_text()


def test_many_large_strips_keep_the_page_small(tmp_path, study, results, rates, strip):
    noise = np.random.default_rng(0).integers(0, 256, (360, 480, 3), np.uint8)
    mask = np.zeros((360, 480), np.uint8)
    columns = [StripColumn(f"OC jpeg:quality={i}", noise, mask, 0.2) for i in range(6)]
    large = replace(strip, original=noise, mask=mask, columns=columns)
    write_report(tmp_path / "report.html", study, results, rates, [large] * 2)
    assert (tmp_path / "report.html").stat().st_size < 5_000_000


def test_the_finding_is_the_largest_loss_and_what_training_gives_back(results):
    first, above, spread = main_finding(results)
    assert first == (
        "At jpeg:quality=5 (0.20 bpp) a model trained on originals loses 19.0 ± 1.4 mIoU points on "
        "compressed images (OC); training on compressed images (CC) gives back 11.0 ± 1.4."
    )
    assert above == "Above OO: CO at jpeg:quality=30 (+2.0 ± 1.4)."
    assert spread == "± is the sample standard deviation over 2 seeds."


def test_the_finding_of_one_seed_says_that_the_spread_is_unknown(results):
    sentences = main_finding(results[results["seed"] == 0])
    assert "±" not in sentences[0]
    assert "the spread between seeds is unknown" in sentences[-1]


def test_the_finding_says_when_training_on_compressed_images_makes_it_worse(results):
    worse = (results["train_channel"] == "C") & (results["test_channel"] == "C")
    results.loc[worse, "miou"] -= 0.2
    assert "(CC) loses another 9.0 ± 1.4." in main_finding(results)[0]


def test_a_loss_within_the_spread_is_called_so(results):
    compressed = results["train_channel"] + results["test_channel"] == "OC"
    kept = results[
        compressed | (results["test_codec"] == "png") & (results["train_codec"] == "png")
    ]
    kept = kept.assign(miou=kept["miou"].where(~compressed, kept["seed"].map({0: 0.75, 1: 0.67})))
    assert "loses 1.0 ± 8.5 mIoU points" in main_finding(kept)[0]
    assert "less than the spread between seeds" in main_finding(kept)[0]


def test_stages_are_listed_by_kind_and_each_by_itself(html):
    text = html[html.index("<h3>Stages</h3>") :]
    kinds, each = text.split("<details>")[:2]
    rows = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in kinds.split("<tr>")[2:]]
    assert rows[0] == ["compress", "2", "12.5 s", "1,234,567"]
    assert rows[1] == ["train", "1", "67 min", "-"]
    each = each[: each.index("</details>")]
    assert "All 3 stages" in each
    assert (
        each.index("train segmentation") < each.index("compress test") < each.index("train, jpeg")
    )
    assert "234,567" in each
