"""The sections about loss, shift and restoration: there with their rows, absent without."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import paper_study
import pytest
from paper_study import CODECS, RESTORERS

from ratewise.data import cityscapes
from ratewise.report.analysis_sections import analysis
from ratewise.report.finding import main_finding
from ratewise.report.html import grouped_table, line_key
from ratewise.report.model import StudySummary
from ratewise.report.naming import channels_of, spelled
from ratewise.report.page import write_report
from ratewise.report.palette import configuration_style, configuration_styles
from ratewise.report.plots import groups
from ratewise.report.publish import publish
from ratewise.report.tables import configuration_table, tidy

TITLES = {
    "What goes wrong, and what helps": "OO",
    "From one configuration to another": "CO OC",
    "Bits saved at equal accuracy": "CO",
    "How many originals it takes": "oO",
    "Originals among compressed or restored images": "o+cO o+rO",
    "Which restorer": "RO",
}
DISTORTION = "Rate and distortion, before and after restoration"


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """Two rates of one codec, and six classes."""
    everything = paper_study.rows(2)
    codecs = ["png", "msh:quality=1", "msh:quality=3"]
    kept = everything["train_codec"].isin(codecs) & everything["test_codec"].isin(codecs)
    shown = ("iou:wall", "iou:road", "iou:train", "iou:person", "iou:rider", "iou:pole")
    columns = [c for c in everything if not c.startswith("iou:") or c in shown]
    return everything.loc[kept, columns]


@pytest.fixture
def paper(study: StudySummary) -> StudySummary:
    return replace(
        study,
        seeds=(0, 1, 2, 3),
        classes=cityscapes.CLASSES,
        codecs=CODECS[:1],
        configurations=["OO", "CO", "RO", "RO(rdn-p)", "o+rO@12.5%"],
        restorers=RESTORERS,
    )


def _titles(path: Path) -> list[str]:
    return re.findall(r"<h2>(.*?)</h2>", path.read_text())


def _written(
    tmp_path: Path, study: StudySummary, rows: pd.DataFrame, quality: pd.DataFrame | None
) -> Path:
    path = tmp_path / "report.html"
    write_report(path, study, rows, pd.DataFrame(), (), quality)
    return path


def test_a_full_study_has_every_section_each_with_its_finding(
    tmp_path: Path, paper: StudySummary, rows: pd.DataFrame
) -> None:
    path = _written(tmp_path, paper, rows, paper_study.quality())
    html = path.read_text()
    for title in (*TITLES, DISTORTION):
        text = html[html.index(f"<h2>{title}</h2>") :]
        first = re.search(r'<p class="says">(.*?)</p>', text[: text.index("</section>")])
        assert first, title
        assert re.search(r"\d", first[1]), title
    assert not re.search(r">(nan|inf)\b", html)
    ids = re.findall(r'\bid="(m[0-9a-f]{10}|p[0-9a-f]{10})"', html)
    assert len(ids) == len(set(ids))


def test_each_section_is_absent_without_its_rows(paper: StudySummary, rows: pd.DataFrame) -> None:
    pairs = rows["train_channel"] + rows["test_channel"]
    for title, needed in TITLES.items():
        kept = rows[~pairs.isin(needed.split())]
        if needed == "CO OC":
            kept = rows[pairs.isin(["OO", "CO"])]
        found = analysis(paper, kept)
        html = "".join([found.diagnosis, *found.comparisons, found.distortion])
        assert f"<h2>{title}</h2>" not in html
        assert DISTORTION not in html
        assert html


def test_a_study_of_compression_alone_has_a_diagnosis_and_no_restoration(
    tmp_path: Path, study: StudySummary, results: pd.DataFrame
) -> None:
    titles = _titles(_written(tmp_path, study, results, None))
    assert "What goes wrong, and what helps" in titles
    assert "From one configuration to another" in titles
    assert not {"Which restorer", "How many originals it takes", DISTORTION} & set(titles)


def test_the_main_finding_names_what_restoration_wins(rows: pd.DataFrame) -> None:
    assert main_finding(rows, RESTORERS)[1].startswith(
        "Restoring the training set (CO to RO) wins 4."
    )


def test_restorers_are_told_apart_where_there_are_several(rows: pd.DataFrame) -> None:
    names = set(configuration_table(rows)["configuration"])
    assert {"RO(adversarial)", "RO(rdn-p)", "RO(rdn-m)", "o+rO@12.5%(adversarial)"} <= names
    assert "o+cO@12.5%" in names
    single = configuration_table(rows[~rows["restorer"].str.startswith("rdn")])
    assert "RO" in set(single["configuration"])
    asked = ["CO", "RO", "RO(rdn-p)", "oO@12.5%", "o+rO@12.5%"]
    assert spelled(asked, rows, "adversarial") == [
        "CO",
        "RO(adversarial)",
        "RO(rdn-p)",
        "oO@12.5%",
        "o+rO@12.5%(adversarial)",
    ]
    one = rows[~rows["restorer"].str.startswith("rdn")]
    assert spelled(asked, one, "adversarial") == ["CO", "RO", "RO(rdn-p)", *asked[3:]]


def test_the_rate_of_a_mixture_is_that_of_its_compressed_images(rows: pd.DataFrame) -> None:
    table = tidy(rows)
    mixed = table[(table["pair"] == "o+cO") & (table["codec"] == "msh:quality=1")]
    assert mixed["rate"].tolist() == pytest.approx([0.0419] * len(mixed))
    assert (mixed["train_bpp"] > 1).all()
    alone = tidy(rows[rows["train_channel"] == "o+c"])
    assert alone["rate"].tolist() == alone["train_bpp"].tolist()


@pytest.mark.parametrize(
    ("name", "channels"),
    [
        ("RO", "RO"),
        ("o+rO@12.5%#25%(rdn)", "o+rO"),
        ("oO@12.5%", "oO"),
        ("CO#500kB", "CO"),
        ("OC · finetune", "OC"),
    ],
)
def test_the_channels_of_a_name(name: str, channels: str) -> None:
    assert channels_of(name) == channels


def test_few_configurations_are_drawn_together_and_many_by_what_they_are_tested_on() -> None:
    few = ["OO", "CO", "OC", "CC", "RO"]
    assert [group.names for group in groups(few)] == [tuple(few)]
    many = [*few, "RO(b)", "OR", "AO", "CO#25%", "oO@12.5%", "rO@12.5%"]
    assert [(group.title, group.names) for group in groups(many)] == [
        ("Tested on originals", ("OO", "CO", "RO", "AO")),
        ("Tested on compressed or restored images", ("OO", "OC", "CC", "OR")),
        ("Trained on fewer images", ("OO", "CO#25%")),
    ]


def test_styles_tell_configurations_apart() -> None:
    names = ["OO", "CO", "OC", "CC", "RO", "OR", "RR", "AO", "OA"]
    styles = [configuration_style(name) for name in names]
    assert len({style.colour for style in styles}) == len(names)
    assert len({style.marker for style in styles}) == len(names)
    assert len({line_key(style) for style in styles}) == len(names)
    assert configuration_style("oO@12.5%").colour != configuration_style("OO").colour
    both = configuration_styles(["RO(a)", "RO(b)", "AO(a)"])
    assert both["AO(a)"] == configuration_style("AO")
    assert both["RO(a)"] != both["RO(b)"]


def test_a_grouped_table_names_what_rows_have_in_common_once() -> None:
    html = grouped_table(["codec", "step", "n"], [["a&b", "x", "1"], ["a&b", "y", "2"]], (0, 1))
    assert html.count("a&amp;b") == 1
    assert html.count("<tbody>") == 1
    assert '<th class="text">x</th><td>1</td>' in html


def test_documents_have_the_tables_of_the_analysis(tmp_path: Path, rows: pd.DataFrame) -> None:
    kinds = [
        "differences",
        "rate-saved",
        "privileged",
        "hybrids",
        "adversarial",
        "diagnosis",
        "diagnosis-classes",
    ]
    rows.to_csv(tmp_path / "a.csv", index=False)
    page = "\n".join(f"<!-- table:{kind} -->\n<!-- /table -->" for kind in kinds)
    (tmp_path / "a.md").write_text(page)
    publish(tmp_path)
    text = (tmp_path / "a.md").read_text()
    assert "| restoration of the training set (rdn-p) | CO to RO | +2.1 [" in text
    assert "| adversarial |  | 74.3 ± " in text  # whether it is adversarial is not in the rows
    assert "- **msh:quality=1 (0.042 bpp).** Trained on originals and run on" in text
    assert "| msh:quality=1 (0.042 bpp) | wall | " in text
    assert "- rO@12.5% and oO@12.5% do not cross" in text
    paper_study.quality().to_csv(tmp_path / "a-restoration.csv", index=False)
    publish(tmp_path)
    text = (tmp_path / "a.md").read_text()
    assert "| adversarial | adversarial | 74.3 ± " in text
    assert "| 31.55 | 11.87 |" in text
    assert "| rdn-p | not adversarial | 71.6 ± " in text
    assert publish(tmp_path) == []
