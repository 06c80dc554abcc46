"""What the report says of the driving paper's own numbers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import paper_study
import pytest
from paper_study import RESTORERS, TABLE_III, printed

from ratewise.metrics.paired import Estimate
from ratewise.report.analysis.changes import change_table, changes, restoration_sentence, verdict
from ratewise.report.analysis.class_changes import class_changes
from ratewise.report.analysis.contexts import BIG, SMALL, Context, Point, contexts
from ratewise.report.analysis.diagnosis import diagnoses, parts_table, remedy_table, sentences
from ratewise.report.analysis.hybrids import hybrid_sentence, hybrid_table, hybrids
from ratewise.report.analysis.privileged import comparisons
from ratewise.report.analysis.rate_saved import rates_saved, saved_sentence
from ratewise.report.analysis.restorers import methods, restorer_sentence, restorer_table

HARSH, MILD = "msh:quality=1", "bpg:qp=38"


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return paper_study.rows()


@pytest.fixture(scope="module")
def context(rows: pd.DataFrame) -> Context:
    (found,) = contexts(rows, RESTORERS)
    return found


@pytest.fixture(scope="module")
def single() -> Context:
    (found,) = contexts(paper_study.rows(1), RESTORERS)
    return found


def _paper(configuration: str, codec: str) -> np.ndarray:
    return np.array(printed()[configuration, codec]) / 100


def test_differences_are_those_of_the_paper_and_paired(context: Context) -> None:
    for codec in paper_study.CODECS:
        found = context.change(Point("CO"), Point("RO", "", "adversarial"), codec)
        assert found is not None
        expected = _paper("RO", codec)[:19].mean() - _paper("CO", codec)[:19].mean()
        assert found.mean == pytest.approx(expected)
        # The change that all runs of a seed share (1 point) cancels.
        assert found.std < 0.008


def test_small_and_big_objects_are_those_of_the_data_set(context: Context) -> None:
    for metric, column in ((f"miou:{SMALL}", 19), (f"miou:{BIG}", 20)):
        own = context.at(Point("CO"), HARSH)
        assert own[metric].mean() == pytest.approx(_paper("CO", HARSH)[column], abs=2e-4)


def test_the_diagnosis_says_what_the_paper_says(context: Context) -> None:
    by_codec = {d.codec: d for d in diagnoses([context])}
    harsh = by_codec[HARSH]
    back = harsh.part("won back")
    assert back is not None
    assert back.mean == pytest.approx(0.0477, abs=1e-3)
    assert verdict(back) == "helps"
    # Compression before inference hurts small objects more.
    for diagnosis in by_codec.values():
        small, big = (diagnosis.part("compressed in use", f"miou:{s}") for s in (SMALL, BIG))
        assert small is not None
        assert big is not None
        assert small.mean < big.mean
    told = " ".join(sentences(harsh))
    assert "Restoring the training images (RO) wins back 4.8 points (95 % interval" in told
    assert "cannot be split" in told
    assert "14.0 points (95 % interval" in told
    assert "expect help from compression before training (+14.0)" in told
    assert "compression before inference (-1.5) did harm" in told
    mild = " ".join(sentences(by_codec[MILD]))
    assert "nothing is known of the shift" in mild
    assert "within the noise: restoration of the training set" in mild


def test_the_parts_of_a_loss_add_up(context: Context) -> None:
    for diagnosis in diagnoses([context]):
        loss, information, shift = (
            diagnosis.part(name) for name in ("loss in use", "information", "shift")
        )
        assert loss is not None
        assert information is not None
        assert shift is not None
        assert loss.mean == pytest.approx(information.mean + shift.mean)


def test_more_bits_are_measured_at_the_next_operating_point(context: Context) -> None:
    harsh = next(d for d in diagnoses([context]) if d.codec == HARSH)
    (found,) = [r for r in harsh.remedies if r.end == "CO at msh:quality=2"]
    assert found.gain.mean == pytest.approx(0.0327, abs=1e-3)


def test_one_seed_is_reported_without_intervals_and_says_so(single: Context) -> None:
    told = " ".join(" ".join(sentences(d)) for d in diagnoses([single]))
    assert "interval" not in told
    assert "one seed hints at" in told
    assert "nothing is known of the noise" in told
    assert all("one seed" in row[-1] for row in change_table(changes([single]), ()).rows)
    assert restoration_sentence(changes([single])).endswith("(one seed).")


def test_verdicts_have_stated_thresholds() -> None:
    def estimate(mean: float, low: float, high: float) -> Estimate:
        return Estimate(mean, 0.01, low, high, 4, False)

    assert verdict(estimate(0.02, 0.01, 0.03)) == "helps"
    assert verdict(estimate(-0.02, -0.03, -0.01)) == "harms"
    assert verdict(estimate(0.02, -0.01, 0.05)) == "within the noise"
    assert verdict(estimate(0.009, 0.008, 0.010)) == "clear, but under 1 point"


def test_classes_are_marked_where_all_seeds_agree(context: Context) -> None:
    found = next(c for c in class_changes([context]) if c.codec == HARSH)
    assert found.changes["wall"]["CO", "CC"].same_sign
    assert found.changes["wall"]["CO", "CC"].mean == pytest.approx(0.2182)
    assert not found.changes["sky"]["CO", "CC"].same_sign
    assert set(found.small) == set(paper_study.SMALL)


def test_the_rate_that_restoration_saves_is_the_papers(context: Context) -> None:
    """Section V-B: CO has 75.64 at 0.128 bpp (MSH), RO requires around 0.07 bpp."""
    found = rates_saved([context])
    (saved,) = [s for s in found if s.codec == "msh:quality=4" and s.point.pair == "RO"]
    assert saved.rate is not None
    assert 0.07 < saved.rate < 0.078
    assert saved.saved is not None
    assert saved.saved.has_interval
    assert "saves 42 %" in saved_sentence(found)
    (bounded,) = [s for s in found if s.codec == "msh:quality=3" and s.point.pair == "RO"]
    assert bounded.saved is None
    assert bounded.at_least == pytest.approx(1 - 0.0419 / 0.0891)
    (refused,) = [s for s in found if s.codec == "msh:quality=4" and s.point.pair == "CC"]
    assert refused.reason == "CC does not reach this level at its highest rate"


def test_a_saving_is_refused_with_its_reason_where_there_is_one_rate(rows: pd.DataFrame) -> None:
    one = rows[rows["train_codec"].isin(["png", HARSH]) & rows["test_codec"].isin(["png", HARSH])]
    found = rates_saved(contexts(one, RESTORERS))
    assert found
    assert all(s.saved is None and "too few points" in s.reason for s in found)
    assert saved_sentence(found).startswith("No saving of RO at the mIoU of CO can be stated: RO")


def test_hybrids_are_table_iii(context: Context) -> None:
    found = hybrids([context])
    assert len(found) == len(TABLE_III)
    assert "o+cO is above both oO and CO in 5 of 5 cases" in hybrid_sentence(found)
    assert "o+rO is above both oO and rO in 4 of 5 cases" in hybrid_sentence(found)
    first = hybrid_table(found).rows[0]
    assert [cell.split(" ")[0] for cell in first[2:7]] == ["69.5", "71.9", "74.1", "76.0", "74.0"]


def test_privileged_shares_that_do_not_cross_are_said_not_to(context: Context) -> None:
    found = comparisons([context])
    assert [c.sentence for c in found] == [
        f"rO@12.5% and oO@12.5% do not cross in the rates studied with {family}: rO@12.5% is "
        f"better at all of them, by {sizes} points."
        for family, sizes in (("msh", "2.2 to 3.8"), ("bpg", "0.4 to 3.2"))
    ]


def test_a_crossing_has_its_interpolated_rate(rows: pd.DataFrame) -> None:
    raised = rows.copy()
    raised.loc[raised["train_channel"] == "o", "miou"] += 0.732 - 0.719
    bpg = next(c for c in comparisons(contexts(raised, RESTORERS)) if c.family == "bpg")
    assert bpg.crossings is not None
    (rate,) = bpg.crossings.rates
    assert 0.0454 < rate < 0.0674
    assert bpg.sentence == (
        f"rO@12.5% and oO@12.5% cross at {rate:.3f} bpp with bpg (interpolated): oO@12.5% is "
        "better at the lowest rate, rO@12.5% at the highest."
    )


def test_ro_is_compared_with_the_originals_that_it_rests_on(rows: pd.DataFrame) -> None:
    half = rows[rows["train_channel"] == "o"].copy()
    half["train_share"] = "@50%"
    half["bytes_privileged"] *= 1489 / 373
    found = comparisons(contexts(pd.concat([rows, half], ignore_index=True), RESTORERS))
    assert {c.restored.name for c in found if c.alone.share == "@50%"} == {"RO"}


def test_restorers_are_table_v(context: Context) -> None:
    found = methods([context], paper_study.quality())
    assert "is above the best of the others in mIoU in 4 of 4 cases" in restorer_sentence(found)
    table = [row for row in restorer_table(found).rows if row[0].startswith("bpg:qp=46")]
    assert [(row[1], row[2], row[5], row[6]) for row in table] == [
        ("none (CO)", "", "33.37", "12.96"),
        ("adversarial", "adversarial", "31.95", "11.74"),
        ("rdn-p", "not adversarial", "34.04", "13.58"),
        ("rdn-m", "not adversarial", "33.62", "13.57"),
    ]
    unknown = methods([context], pd.DataFrame())
    assert {m.kind for m in unknown} == {""}
    assert restorer_sentence(unknown).startswith("RO against CO at msh:quality=1")


def test_tables_have_a_cell_for_every_column(context: Context) -> None:
    everything = diagnoses([context])
    for table in (parts_table(everything), remedy_table(everything)):
        assert table.rows
        assert {len(row) for row in table.rows} == {len(table.titles)}


def test_nothing_is_said_without_rows() -> None:
    assert contexts(pd.DataFrame()) == []
    assert diagnoses([]) == []
    assert changes([]) == []
    assert restoration_sentence([]) == ""
    assert saved_sentence([]) == ""
    assert hybrid_sentence([]) == ""
