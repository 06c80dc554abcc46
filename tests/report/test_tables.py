from __future__ import annotations

import math
import statistics

import pandas as pd
import pytest
from made_up_study import SCORES, row

from ratewise.report.tables import (
    ORIGINALS,
    class_table,
    configuration_table,
    family,
    paired_difference,
    select,
    tidy,
    with_missing,
)
from ratewise.report.text import (
    class_rows,
    configuration_rows,
    markdown,
    number,
    points,
    signed_points,
)


def _point(table: pd.DataFrame, configuration: str, codec: str) -> pd.Series:
    found = table[(table["configuration"] == configuration) & (table["codec"] == codec)]
    assert len(found) == 1
    return found.iloc[0]


def test_each_point_has_the_mean_and_the_sample_deviation_of_its_seeds(results):
    table = configuration_table(results)
    assert len(table) == len(SCORES)
    for (name, share, codec), values in SCORES.items():
        point = _point(table, name + share, ORIGINALS if name == "OO" else codec)
        assert point["miou"] == pytest.approx(statistics.mean(values))
        assert point["miou std"] == pytest.approx(statistics.stdev(values))
        assert point["miou:small objects"] == pytest.approx(statistics.mean(values) - 0.1)
        assert point["seeds"] == 2


def test_differences_to_the_originals_are_paired_by_seed(results):
    point = _point(configuration_table(results), "OC", "jpeg:quality=5")
    pairs = [0.50 - 0.70, 0.56 - 0.74]
    assert point["miou difference"] == pytest.approx(statistics.mean(pairs))
    assert point["miou difference std"] == pytest.approx(statistics.stdev(pairs))


def test_a_seed_that_the_reference_lacks_counts_in_the_mean_but_not_in_the_difference(results):
    extra = pd.DataFrame([row("OC", "", "jpeg:quality=5", 2, 0.80)])
    table = configuration_table(pd.concat([results, extra], ignore_index=True))
    point = _point(table, "OC", "jpeg:quality=5")
    assert point["miou"] == pytest.approx(statistics.mean([0.50, 0.56, 0.80]))
    assert point["miou difference"] == pytest.approx(-0.19)


def test_the_order_of_rows_does_not_matter(results):
    shuffled = results.sample(frac=1, random_state=3)
    backwards = configuration_table(shuffled).sort_values(["codec", "configuration"])
    forwards = configuration_table(results).sort_values(["codec", "configuration"])
    columns = ["configuration", "codec", "miou", "miou std", "miou difference"]
    pd.testing.assert_frame_equal(
        forwards[columns].reset_index(drop=True), backwards[columns].reset_index(drop=True)
    )


def test_points_stand_from_high_to_low_rate_within_a_family_after_the_originals(results):
    codecs = list(dict.fromkeys(configuration_table(results)["codec"]))
    assert codecs == [ORIGINALS, "jpeg:quality=30", "jpeg:quality=5", "webp:quality=10"]


def test_bytes_are_in_per_cent_of_what_the_reference_uses(results):
    point = _point(configuration_table(results), "CO#25%", "jpeg:quality=30")
    assert point["train_percent"] == pytest.approx(100 * (0.6 * 25) / (12 * 100))
    assert point["test_percent"] == pytest.approx(100)


def test_one_seed_has_no_spread(results):
    table = configuration_table(results[results["seed"] == 0])
    assert table["miou"].notna().all()
    assert table["miou std"].isna().all()


def test_rows_read_from_a_csv_file_give_the_same_table(results, tmp_path):
    results.to_csv(tmp_path / "rows.csv", index=False)
    again = pd.read_csv(tmp_path / "rows.csv")  # empty shares come back as NaN
    assert configuration_rows(again) == configuration_rows(results)


def test_a_metric_that_is_nan_for_one_seed_is_averaged_over_the_others(results):
    is_oo = (results["train_channel"] == "O") & (results["test_channel"] == "O")
    results.loc[is_oo & (results["seed"] == 1), "iou:pole"] = math.nan
    point = _point(class_table(results), "OO", ORIGINALS)
    assert point["iou:pole"] == pytest.approx(0.60)
    assert math.isnan(point["iou:pole std"])


def test_recipes_that_vary_are_named_and_compared_with_the_standard_reference(results):
    tuned = pd.DataFrame([{**row("OC", "", "jpeg:quality=5", 0, 0.65), "recipe": "finetune"}])
    table = configuration_table(pd.concat([results, tuned], ignore_index=True))
    point = _point(table, "OC · finetune", "jpeg:quality=5")
    assert point["miou difference"] == pytest.approx(0.65 - 0.70)


def test_different_codecs_on_the_two_sides_are_both_named(results):
    crossed = pd.DataFrame([{**row("CC", "", "jpeg:quality=5", 0, 0.6)}])
    crossed["train_codec"] = "webp:quality=10"
    assert tidy(crossed)["codec"].item() == "webp:quality=10 to jpeg:quality=5"
    assert family("webp:quality=10 to jpeg:quality=5") == "webp to jpeg"


def test_points_of_failed_stages_get_a_row_without_numbers(results):
    table = configuration_table(results)
    full = with_missing(table, ["jpeg:quality=5", "webp:quality=10"], ["OO", "OC", "CC"])
    point = _point(full, "CC", "webp:quality=10")
    assert math.isnan(point["miou"])
    assert point["seeds"] == 0
    assert len(full) == len(table) + 1


def test_nothing_is_missed_of_channels_asked_for_with_codecs_of_their_own(results):
    table = configuration_table(results)
    codecs = ["jpeg:quality=5", "webp:quality=10"]
    full = with_missing(table, codecs, ["OO", "OC", "CC"], paired=["CC"])
    assert len(full) == len(table)


def test_paired_differences_between_any_two_points(results):
    rows = tidy(results)
    both = [select(rows, name, "jpeg:quality=5") for name in ("CC", "OC")]
    assert paired_difference(*both, "miou").tolist() == pytest.approx([0.10, 0.12])


def test_no_rows_at_all_give_an_empty_table():
    assert configuration_table(pd.DataFrame()).empty
    assert class_table(pd.DataFrame()).empty


def test_numbers_as_text():
    assert number(math.nan) == "-"
    assert number(None) == "-"
    assert number(-0.04) == "0.0"
    assert number(100.0, 0) == "100"
    assert points(0.712, 0.0041) == "71.2 ± 0.4"
    assert points(0.712) == "71.2"
    assert signed_points(0.004, math.nan) == "+0.4"
    assert signed_points(-0.123, 0.008) == "-12.3 ± 0.8"
    assert signed_points(0.0001) == "0.0"


def test_text_tables_have_a_cell_for_every_column(results):
    for titles, rows in (configuration_rows(results), class_rows(results)):
        assert len(rows) == len(SCORES)
        assert {len(cells) for cells in rows} == {len(titles)}
    lines = markdown(["a", "b"], [["x|y", "1"]]).splitlines()
    assert lines[-1] == "| x\\|y | 1 |"
