from __future__ import annotations

import csv
import statistics

import pytest

from ratewise.study.analysis.restored import COLUMNS, restored_quality
from ratewise.study.engine import PlannedStudy
from ratewise.study.outputs import QUALITY


def test_each_restored_store_has_the_means_of_its_images(restored_run: PlannedStudy) -> None:
    settings, plan, cache = restored_run.study.settings, restored_run.plan, restored_run.cache
    table = restored_quality(settings, plan, cache)
    assert tuple(table.columns) == COLUMNS
    assert set(table["channel"]) == {"R", "A", "r@50%", "r@25%"} & set(table["channel"])
    assert {"R", "A"} <= set(table["channel"])
    assert set(table["restorer"]) == {"tiny"}
    assert table["adversarial"].tolist() == [settings.restoration.restorers["tiny"].adversarial] * (
        len(table)
    )
    means = []
    for stage in plan.stages.values():
        if stage.kind == "restore":
            with (cache.folder(stage) / QUALITY).open() as file:
                rows = list(csv.DictReader(file))
            kept = [row for row in rows if row["seen"] == "0"] or rows
            means.append(statistics.mean(float(row["psnr_after"]) for row in kept))
    assert sorted(table["psnr_after"]) == pytest.approx(sorted(means), abs=1e-3)
