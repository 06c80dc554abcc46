from __future__ import annotations

import re
import statistics
from dataclasses import replace

import made_up_classification as made_up
import numpy as np
import pandas as pd
import pytest

from ratewise.report.analysis.matrix import matrices
from ratewise.report.crossed import without_crossed
from ratewise.report.heat_maps import matrix_png, panels, scale
from ratewise.report.recipe_sections import generalisation
from ratewise.report.text import configuration_rows

NAMES = ("lossless", *made_up.CODECS)


@pytest.fixture
def classified() -> pd.DataFrame:
    return pd.DataFrame(made_up.rows())


def test_a_cell_is_the_mean_over_seeds_of_the_model_of_its_row_on_the_codec_of_its_column(
    classified,
):
    fine, expert, _ = matrices(classified)[0].maps
    assert (fine.title, expert.title) == ("fine-tuning", "expert training")
    assert expert.codecs == NAMES
    assert expert.rows == ("pre-trained", *NAMES)
    for i, trained in enumerate(made_up.BYTES):
        for j, tested in enumerate(made_up.BYTES):
            seeds = [made_up.accuracy("expert", trained, tested, seed) for seed in made_up.GAIN]
            assert expert.values[i + 1, j] == pytest.approx(statistics.mean(seeds))
    reference = [made_up.accuracy("pretrained", "png", tested, 0) for tested in made_up.BYTES]
    assert expert.values[0] == pytest.approx(reference)


def test_the_map_of_differences_is_paired_by_seed(classified):
    lost = (classified["recipe"] == "expert") & (classified["seed"] == 0)
    lost &= (classified["train_codec"] == "bpg:qp=41") & (classified["test_codec"] == "png")
    found = matrices(classified[~lost])[0].maps[-1]
    assert found.difference
    assert found.title == "expert training minus fine-tuning"
    assert found.values[0, 0] == pytest.approx(0.007)
    assert found.values[NAMES.index("bpg:qp=41"), 0] == pytest.approx(0.009)
    assert found.text(0, 0) == "+0.7"


def test_differences_away_from_the_diagonal_are_summed_up(classified):
    *scores, found = matrices(classified)[0].maps
    assert [matrix.sentence for matrix in scores] == ["", ""]
    away = [found.values[i, j] for i in range(len(NAMES)) for j in range(len(NAMES)) if i != j]
    mean, above = 100 * statistics.mean(away), sum(value > 0 for value in away)
    assert f"differ by {mean:+.1f} points in the mean" in found.sentence
    assert f"{above} of {len(away)} differences are above 0" in found.sentence
    first = 100 * statistics.mean(found.values[0, 1:])
    assert found.sentence.endswith(f"Trained on originals: {first:+.1f} in the mean.")
    assert found.markdown().endswith(f"- {found.sentence}")


def test_codecs_stand_in_the_order_of_the_study_and_those_of_no_crossed_cell_are_left_out(
    classified,
):
    crossed = classified["train_codec"] != classified["test_codec"]
    webp = crossed & (classified[["train_codec", "test_codec"]] == "jpeg:quality=10").any(axis=1)
    both = (classified["train_channel"] == "C") & (classified["test_channel"] == "C")
    kept = classified[~(webp & both)]
    found = matrices(kept, ["bpg:qp=51", "jpeg:quality=5"])[0].maps[0]
    assert found.codecs == ("lossless", "bpg:qp=51", "jpeg:quality=5", "bpg:qp=41")


def test_missing_cells_are_blank_on_the_map_and_a_dash_in_the_document(classified):
    pair = (classified["train_codec"] == "bpg:qp=41") & (classified["test_codec"] == "png")
    found = matrices(classified[~pair])[0]
    row = found.maps[0].rows.index("bpg:qp=41")
    assert np.isnan(found.maps[0].values[row, 0])
    assert re.search(r"\| bpg:qp=41 \| - \| \d", found.maps[0].markdown())
    whole, less = (panels(m)[0][1] for m in (matrices(classified)[0], found))
    cell = r"fill-opacity: "  # a coloured rectangle; the page shows through where there is none
    assert len(re.findall(cell, whole)) - len(re.findall(cell, less)) == 1
    assert ">nan<" not in less


def test_equal_scores_have_equal_colours_in_all_maps(classified):
    found = matrices(classified)[0]
    low, high = scale(found.maps)
    assert (low, high) == pytest.approx((0.5, 0.918))  # differences have no part in it
    opacities = [re.findall(r"fill-opacity: ([\d.]+)", drawn) for _, drawn in panels(found)]
    # The pre-trained model's row is the first in both.
    assert opacities[0][:5] == opacities[1][:5]
    assert opacities[0][5] < opacities[1][5]  # 91.1 is paler than 91.8


def test_text_on_the_maps_follows_the_colour_of_the_page(classified):
    for _, drawn in panels(matrices(classified)[0]):
        assert "currentColor" in drawn
        assert "#010203" not in drawn


def test_what_every_study_has_is_no_matrix(results, classified):
    assert matrices(results) == []
    assert generalisation(results) == ""
    alone = classified[classified["recipe"].isin(["pretrained", "stability"])]
    assert matrices(alone) == []
    assert matrices(pd.DataFrame()) == []
    same = classified["train_codec"] == classified["test_codec"]
    either = (classified["train_codec"] == "png") | (classified["test_codec"] == "png")
    assert matrices(classified[same | either]) == []


def test_one_pair_of_codecs_is_no_matrix_and_stays_in_the_tables(classified):
    pair = classified[
        (classified["recipe"] == "finetune")
        & (classified["train_codec"] == "jpeg:quality=10")
        & (classified["test_codec"] == "bpg:qp=41")
    ]
    assert len(without_crossed(pair)) == len(pair) == 2
    assert configuration_rows(pair)[1][0][0] == "jpeg:quality=10 to bpg:qp=41"


def test_crossed_cells_do_not_swamp_the_other_tables(classified):
    _, rows = configuration_rows(classified)
    assert not [cells for cells in rows if " to " in cells[0]]
    # 4 recipes on originals; at each of 4 codecs OC of all four, CO and CC of two.
    assert len(rows) == 4 + 4 * (4 + 2 * 2)


def test_the_rows_may_have_any_index(classified):
    shuffled = classified.sample(frac=1, random_state=0)
    again = shuffled.set_index(np.zeros(len(shuffled), int))
    assert len(without_crossed(again)) == len(without_crossed(classified))
    assert not matrices(again)[0].maps[0].markdown().count(" - ")


def test_the_section_has_a_map_per_recipe_and_says_how_to_read_it(classified):
    html = generalisation(classified, made_up.CODECS)
    assert html.count("<figure>") == 3
    assert "The row above is the pre-trained model" in html
    assert "blue is a gain" in html
    bare = generalisation(classified[classified["recipe"] == "finetune"])
    assert bare.count("<figure>") == 1
    assert "pre-trained" not in bare
    assert "blue is a gain" not in bare


def test_many_wide_maps_stand_two_in_a_row_in_a_document(classified, tmp_path):
    from PIL import Image

    found = matrices(classified)
    matrix_png(found, tmp_path / "few.png")
    many = [
        replace(
            m,
            codecs=m.codecs * 2,
            rows=m.rows * 2,
            values=np.tile(m.values, (2, 2)),
        )
        for m in found[0].maps
    ]
    matrix_png([replace(found[0], maps=many)], tmp_path / "many.png")
    few, wide = (Image.open(tmp_path / f"{name}.png").size for name in ("few", "many"))
    assert few[0] > 2.5 * few[1]
    assert wide[0] < 2 * wide[1]
