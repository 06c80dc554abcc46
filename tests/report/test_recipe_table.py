from __future__ import annotations

import math
import statistics

import made_up_classification as made_up
import pandas as pd
import pytest
from made_up_study import row as segmentation_row

from ratewise.report.analysis.matrix import matrices
from ratewise.report.analysis.recipes import compare, gain_sentence, recipe_table
from ratewise.report.finding import main_finding
from ratewise.report.recipe_sections import recipes


@pytest.fixture
def classified() -> pd.DataFrame:
    return pd.DataFrame(made_up.rows())


def _lines(rows: pd.DataFrame, codecs=()) -> list[dict[str, str]]:
    table = recipe_table(compare(rows, codecs))
    return [dict(zip(table.titles, line, strict=True)) for line in table.rows]


def _scores(recipe: str, trained: str, tested: str) -> str:
    values = [100 * made_up.accuracy(recipe, trained, tested, seed) for seed in made_up.GAIN]
    return f"{statistics.mean(values):.2f} ± {statistics.stdev(values):.2f}"


def test_the_table_has_the_papers_columns_and_a_row_per_operating_point(classified):
    table = recipe_table(compare(classified))
    assert table.titles == [
        "codec", "setting", "PSNR (dB)", "SSIM", "bytes per image", "pre-trained",
        "stability training", "fine-tuning", "expert training", "gain", "seeds",
    ]  # fmt: skip
    assert [list(line[:5]) for line in table.rows] == [
        ["originals", "lossless", "∞", "1.000", "60,000"],
        ["jpeg", "quality=10", "25.85", "0.700", "2,938"],
        ["jpeg", "quality=5", "23.27", "0.700", "2,120"],
        ["bpg", "qp=41", "27.94", "0.700", "1,681"],
        ["bpg", "qp=51", "23.34", "0.700", "375"],
    ]


def test_recipes_of_originals_are_tested_on_the_codec_and_others_trained_on_it_too(classified):
    lossless, line = _lines(classified)[0], _lines(classified)[-1]
    assert line["pre-trained"] == _scores("pretrained", "png", "bpg:qp=51")
    assert line["stability training"] == _scores("stability", "png", "bpg:qp=51")
    assert line["fine-tuning"] == _scores("finetune", "bpg:qp=51", "bpg:qp=51")
    assert line["expert training"] == _scores("expert", "bpg:qp=51", "bpg:qp=51")
    assert lossless["expert training"] == _scores("expert", "png", "png")


def test_the_gain_is_paired_by_seed(classified):
    assert {line["gain"] for line in _lines(classified)} == {"+0.70 ± 0.28"}
    own = classified["recipe"] == "expert"
    lost = own & (classified["seed"] == 0) & (classified["train_codec"] == "bpg:qp=51")
    line = _lines(classified[~lost])[-1]
    assert line["gain"] == "+0.90"  # seed 1 alone, although fine-tuning has both
    assert line["expert training"] == "68.10"
    assert line["seeds"] == "1 to 2"


def test_operating_points_stand_in_the_order_of_the_study_after_the_lossless_one(classified):
    order = ["bpg:qp=51", "bpg:qp=41", "png"]
    lines = _lines(classified, order)
    assert [line["setting"] for line in lines] == [
        "lossless", "qp=51", "qp=41", "quality=10", "quality=5",
    ]  # fmt: skip


def test_originals_that_were_compressed_before_are_called_what_the_study_says(classified):
    named = classified.assign(originals="JPEG-75")
    assert _lines(named)[0]["setting"] == "JPEG-75"
    found = matrices(named)[0].maps[0]
    assert found.codecs[0] == "JPEG-75"
    assert found.rows[1] == "JPEG-75"


def test_a_recipe_under_a_name_of_its_own_gets_a_column_and_absent_ones_none(classified):
    kept = classified[classified["recipe"].isin(["finetune", "expert"])]
    named = kept.replace({"recipe": {"expert": "expert-printed"}})
    titles = recipe_table(compare(named)).titles
    assert list(titles[5:]) == ["fine-tuning", "expert-printed", "seeds"]
    assert gain_sentence(compare(named)[0]) == ""


def test_what_rows_do_not_know_is_left_blank(classified):
    bare = classified.drop(columns=["test_ssim", "test_bytes_per_image"])
    missing = bare[(bare["recipe"] != "stability") | (bare["test_codec"] != "bpg:qp=41")]
    line = next(line for line in _lines(missing) if line["setting"] == "qp=41")
    assert (line["SSIM"], line["bytes per image"]) == ("-", "-")
    assert line["stability training"] == "-"


def test_the_ssim_of_originals_is_1_where_ssim_was_measured(classified):
    measured = classified["test_ssim"].where(classified["test_codec"] != "png")
    assert _lines(classified.assign(test_ssim=measured))[0]["SSIM"] == "1.000"
    assert _lines(classified.assign(test_ssim=math.nan))[0]["SSIM"] == "-"


def test_several_models_have_rows_of_their_own(classified):
    other = classified.assign(model="resnet50", top1=classified["top1"] - 0.1)
    lines = _lines(pd.concat([classified, other]))
    assert len(lines) == 2 * len(made_up.BYTES)
    assert lines[0]["codec"] == "originals, mobilenetv2_100"
    assert lines[len(made_up.BYTES)]["codec"] == "originals, resnet50"


def test_expert_training_for_segmentation_is_compared_with_plain_training_in_miou():
    rows = [
        {**segmentation_row("CC", "", "jpeg:quality=5", seed, miou), "recipe": recipe}
        for recipe, scores in {"standard": (0.5, 0.6), "expert": (0.52, 0.61)}.items()
        for seed, miou in enumerate(scores)
    ]
    line = _lines(pd.DataFrame(rows))[0]
    assert line["standard"] == "55.00 ± 7.07"
    assert line["expert training"] == "56.50 ± 6.36"
    assert line["gain"] == "+1.50 ± 0.71"


def test_studies_of_one_recipe_have_no_such_section(results, classified):
    assert recipes(results) == ""
    assert recipes(classified[classified["recipe"] == "expert"]) == ""
    assert recipes(pd.DataFrame()) == ""
    assert "<h2>Recipes</h2>" in recipes(classified)


def test_the_sentence_counts_lossy_points_and_gives_their_mean_and_range(classified):
    worse = (classified["recipe"] == "expert") & (classified["test_codec"] == "bpg:qp=41")
    rows = classified.assign(top1=classified["top1"].where(~worse, classified["top1"] - 0.02))
    assert gain_sentence(compare(rows)[0]) == (
        "Expert training is above fine-tuning at 3 of 4 lossy operating points: +0.20 points on "
        "average (-1.30 to +0.70), paired by seed (2 seeds per point)."
    )


def test_the_finding_says_what_the_recipes_win_back_of_the_largest_loss(classified):
    first, back, gain, spread = main_finding(classified)
    assert first == (
        "At bpg:qp=51 (0.06 bpp) a model trained on originals loses 40.0 ± 0.0 top-1 points on "
        "compressed images (OC)."
    )
    assert back == (
        "To the pre-trained model at bpg:qp=51, training on compressed images adds +17.1 ± 0.1 by "
        "fine-tuning and +17.8 ± 0.4 by expert training."
    )
    assert gain.startswith("Expert training is above fine-tuning at 4 of 4 lossy")
    assert spread == "± is the sample standard deviation over 2 seeds."


def test_a_model_without_originals_of_its_recipe_is_compared_with_the_pretrained_one(classified):
    from ratewise.report.tables import configuration_table

    kept = classified[
        (classified["recipe"] == "pretrained")
        | (classified["recipe"] == "expert") & (classified["train_codec"] != "png")
    ]
    table = configuration_table(kept)
    point = table[(table["recipe"] == "expert") & (table["pair"] == "CC")].iloc[0]
    seeds = [
        made_up.accuracy("expert", point["codec"], point["codec"], seed)
        - made_up.accuracy("pretrained", "png", "png", seed)
        for seed in made_up.GAIN
    ]
    assert point["top1 difference"] == pytest.approx(statistics.mean(seeds))
    assert not math.isnan(point["top1 difference std"])
