"""A miniature study of equal budgets, run."""

from __future__ import annotations

from pathlib import Path

import pytest
from study_examples import MINIATURE, RESTORATION, RESTORED, write_study

from ratewise.errors import InputError, StageError
from ratewise.execution import Resources
from ratewise.report.run_report import report_run
from ratewise.study.advise.advise import Question, advise
from ratewise.study.engine import plan_study, run_study
from ratewise.study.results import read_results
from ratewise.study.settings import load_study

_STUDY = RESTORED | {
    "name": "budgets",
    "configurations": ["OO", "CO"],
    "restoration": RESTORATION | {"privileged": {"share": 10}, "overlap": "allow"},
    "budgets": {"bytes": ["18kB"], "configurations": ["CO", "RO"]},
}


def test_every_budget_is_kept_and_compression_buys_more_images(tmp_path: Path) -> None:
    planned = plan_study(load_study(write_study(tmp_path, _STUDY)), tmp_path / "out")
    run_study(planned, resources=Resources(1), quiet=True)
    table = read_results(planned.folder)
    names = table.train_channel + table.test_channel + table.train_share
    rows = dict(zip(names, table.itertuples(), strict=True))
    assert list(rows) == ["OO", "CO", "CO#18kB", "OO#18kB", "RO#18kB"]
    for name in ("CO#18kB", "OO#18kB", "RO#18kB"):
        assert 0 < rows[name].bytes_compressed + rows[name].bytes_privileged <= 18_000
    assert rows["CO#18kB"].train_images > rows["RO#18kB"].train_images
    assert rows["CO#18kB"].train_images > rows["OO#18kB"].train_images
    assert rows["RO#18kB"].bytes_privileged > 0
    assert rows["CO#18kB"].train_bpp < rows["OO#18kB"].train_bpp
    page = report_run(planned.folder).read_text()
    assert "What the data cost" in page
    assert "A budget of 18kB holds" in page
    best = advise(table, Question(percent=100)).best
    assert best is not None
    assert best.accuracy == table.miou.max()


def test_a_budget_that_buys_nothing_stops_its_own_results_alone(tmp_path: Path) -> None:
    study = MINIATURE | {
        "configurations": ["CO"],
        "budgets": {"bytes": [10], "codecs": ["jpeg:quality=5"]},
    }
    planned = plan_study(load_study(write_study(tmp_path, study)), tmp_path / "out")
    with pytest.raises(StageError, match=r"a budget of 10B .* buys no training image.*CO#10B"):
        run_study(planned, resources=Resources(1), quiet=True)
    assert list(read_results(planned.folder).train_share) == [""]


def test_budgets_that_restore_need_the_section_restoration(tmp_path: Path) -> None:
    study = MINIATURE | {"budgets": {"bytes": [1000], "configurations": ["RO"]}}
    with pytest.raises(InputError, match="RO needs the section 'restoration'"):
        load_study(write_study(tmp_path, study))
