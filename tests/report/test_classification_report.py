from __future__ import annotations

import re
import statistics

import made_up_classification as made_up
import numpy as np
import pandas as pd
import pytest

from ratewise.errors import InputError
from ratewise.report.bytes_plot import curves, keys, panel
from ratewise.report.metric import MIOU, TOP1, metric_of
from ratewise.report.model import StudySummary
from ratewise.report.page import write_report
from ratewise.report.palette import configuration_styles
from ratewise.report.publish import main, publish, read_results
from ratewise.report.text import class_rows, configuration_rows


@pytest.fixture
def classified() -> pd.DataFrame:
    return pd.DataFrame(made_up.rows())


@pytest.fixture(scope="module")
def html(tmp_path_factory) -> str:
    study = StudySummary(
        name="made up", description="", command="", data="imagenette", task="classification",
        model="small", seeds=(0, 1), classes=None, codecs=made_up.CODECS,
        configurations=("OO", "OC", "CO", "CC"),
    )  # fmt: skip
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_report(path, study, pd.DataFrame(made_up.rows()), pd.DataFrame())
    return path.read_text()


def test_the_metric_is_the_one_that_rows_have_values_of(results, classified):
    assert metric_of(results) is MIOU
    assert metric_of(classified) is TOP1
    assert metric_of(results.assign(top1=np.nan)) is MIOU
    assert metric_of(classified.assign(miou=np.nan)) is TOP1
    assert metric_of(classified.assign(top1=np.nan)) is TOP1
    assert metric_of(pd.DataFrame()) is MIOU


def test_a_page_about_classification_has_no_word_about_segmentation(html):
    assert "mIoU" not in html
    assert "IoU" not in html
    assert "small objects" not in html
    assert not re.search(r">(nan|inf)\b", html)
    assert [*re.findall(r"<h2>(.*?)</h2>", html)] == [
        "Recipes", "What each bit buys", "Accuracy against rate",
        "Accuracy against bytes per image", "Trained on one codec, tested on another",
        "What the data cost", "Which classes pay", "How it was made",
    ]  # fmt: skip


def test_every_row_of_the_configuration_table_has_a_result(html):
    text = html[html.index("<h2>What each bit buys</h2>") : html.index("<h2>Accuracy against rate")]
    assert "OC · pretrained" in text
    assert 'class="main">-<' not in text  # no recipe was asked for what it cannot do
    values = [
        100 * made_up.accuracy("expert", "bpg:qp=51", "bpg:qp=51", seed) for seed in made_up.GAIN
    ]
    text = text[text.index("<span>bpg:qp=51") :]
    line = next(r for r in text.split("<tr>") if ">CC · expert</th>" in r)
    assert f">{statistics.mean(values):.1f} ± {statistics.stdev(values):.1f}<" in line


def test_ids_of_all_plots_differ(html):
    ids = re.findall(r'\bid="(m[0-9a-f]{10}|p[0-9a-f]{10})"', html)
    assert len(ids) == len(set(ids)) > 0


def test_tables_have_top_5_only_where_there_is_one(classified):
    titles, rows = configuration_rows(classified)
    assert titles == ["codec", "configuration", "train bpp", "test bpp", "top-1", "to OO", "seeds"]
    assert {len(cells) for cells in rows} == {len(titles)}
    titles, rows = configuration_rows(classified.assign(top5=0.99))
    assert titles[6:] == ["top-5", "seeds"]
    assert rows[0][6] == "99.0 ± 0.0"


def test_the_class_table_has_the_accuracy_of_each_class(classified):
    titles, rows = class_rows(classified)
    assert titles == ["codec", "configuration", *made_up.CLASSES]
    assert rows[0][:3] == ["originals", "OO · pretrained", "89.0 ± 0.0"]


def test_recipes_are_told_apart_in_plots():
    names = [f"{pair} · {recipe}" for pair in ("OO", "OC", "CC") for recipe in
             ("pretrained", "stability", "standard", "finetune", "expert", "a", "b")]  # fmt: skip
    styles = configuration_styles(names)
    assert list(styles) == names
    assert len({(style.colour, style.line) for style in styles.values()}) == len(names)


def test_bytes_per_image_are_drawn_as_a_line_per_codec_family_and_recipe(classified):
    found = curves(classified)
    assert [line.name for line in found[0].lines] == [
        "jpeg, fine-tuning", "jpeg, expert training", "bpg, fine-tuning", "bpg, expert training",
    ]  # fmt: skip
    line = found[0].lines[-1]
    assert line.rows["test_bytes_per_image"].tolist() == [375.0, 1681.0]
    assert line.rows["top1"].tolist() == pytest.approx(
        [
            statistics.mean(made_up.accuracy("expert", c, c, seed) for seed in made_up.GAIN)
            for c in ("bpg:qp=51", "bpg:qp=41")
        ]
    )
    styles = keys(found)
    assert styles["bpg, expert training"].line == "-"
    assert styles["bpg, fine-tuning"].line == "--"
    assert styles["bpg, fine-tuning"].colour == styles["bpg, expert training"].colour
    drawn = panel(found[0], TOP1)
    assert "bytes per image" in drawn
    assert ">375<" in drawn


def test_bytes_per_image_are_not_drawn_where_the_rate_says_the_same(results, classified):
    assert curves(results.assign(test_bytes_per_image=1000.0)) == []
    assert curves(classified.drop(columns="test_bytes_per_image")) == []
    two = pd.concat([results, results.assign(recipe="expert")])
    assert curves(two.assign(test_bytes_per_image=1000.0))
    assert curves(pd.DataFrame()) == []


def test_documents_of_a_classification_have_its_tables_and_figures(tmp_path, classified):
    classified.to_csv(tmp_path / "a.csv", index=False)
    kinds = ("recipes", "matrix", "configurations", "classes")
    markers = "\n\n".join(f"<!-- table:{kind} -->\n<!-- /table -->" for kind in kinds)
    (tmp_path / "a.md").write_text(markers + "\n")
    written = publish(tmp_path)
    names = ["a.md", "a-accuracy.png", "a-bytes.png", "a-matrix.png"]
    assert [path.name for path in written] == names
    assert all((tmp_path / n).read_bytes()[:4] == b"\x89PNG" for n in names[1:])
    text = (tmp_path / "a.md").read_text()
    assert "| bpg | qp=51 | 23.34 | 0.700 | 375 | 50.00 ± 0.00 |" in text
    assert "**expert training minus fine-tuning**" in text
    assert "| trained on \\ tested on | lossless | jpeg:quality=10 |" in text
    assert publish(tmp_path, check=True) == []
    (tmp_path / "a-matrix.png").unlink()
    assert publish(tmp_path, check=True) == [tmp_path / "a-matrix.png"]


def test_tables_about_segmentation_are_refused_for_a_classification(tmp_path, classified):
    classified.to_csv(tmp_path / "a.csv", index=False)
    (tmp_path / "a.md").write_text("<!-- table:diagnosis -->\n<!-- /table -->\n")
    with pytest.raises(InputError, match=r"'diagnosis' .allowed: configurations, classes, recipes"):
        publish(tmp_path)


def test_rows_without_a_metric_are_no_results(tmp_path, classified, capsys):
    classified.drop(columns="top1").to_csv(tmp_path / "a.csv", index=False)
    (tmp_path / "a.md").write_text("")
    assert main([str(tmp_path)]) == 2
    assert "no column 'miou'" in capsys.readouterr().err


def test_other_figures_are_left_out_of_studies_without_what_they_show(tmp_path, results):
    results.to_csv(tmp_path / "a.csv", index=False)
    assert list(read_results(tmp_path / "a.csv").figures) == ["accuracy"]
