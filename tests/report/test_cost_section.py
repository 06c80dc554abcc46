"""The section on the cost of collecting data."""

from __future__ import annotations

import re
from typing import Any

import pandas as pd
import pytest
from made_up_study import RATES, row

from ratewise.report.cost_section import cost
from ratewise.report.palette import distinct_styles


def _budgeted(configuration: str, part: str, codec: str, images: int, miou: float) -> Any:
    described = row(configuration, part, codec, 0, miou) | {"train_images": images}
    kind = "compressed" if configuration[0] == "C" else "privileged"
    return described | {f"bytes_{kind}": RATES[codec] * images * 384}


def _table(html: str) -> list[list[str]]:
    return [re.findall(r"<td[^>]*>(.*?)</td>", line) for line in html.split("<tr>")[2:]]


def test_costs_are_in_per_cent_of_oo_and_the_front_is_marked(results: pd.DataFrame) -> None:
    html = cost(results)
    rows = {cells[0]: cells[1:] for cells in _table(html) if cells}
    assert rows["OO"][3] == "100 %"
    assert rows["CO at jpeg:quality=5"][3] == "1.67 %"  # 0.2 of 12 bpp
    assert rows["CO#25% at jpeg:quality=30"][3] == "1.25 %"  # a quarter of 0.6 of 12
    assert rows["CO at jpeg:quality=30"][4] == "74.0 ± 4.2"
    front = [name for name, cells in rows.items() if cells[-1] == "yes" and name[1] == "O"]
    assert front == ["CO#25% at jpeg:quality=30", "CO at jpeg:quality=5", "CO at jpeg:quality=30"]


def test_the_finding_names_the_cheapest_within_a_point_of_oo(results: pd.DataFrame) -> None:
    assert (
        "5 % of OO&#x27;s bytes are enough to come within one mIoU point of it: CO at "
        "jpeg:quality=30 reaches 74.0 ± 4.2, OO 72.0 ± 2.8." in cost(results)
    )
    harsh = results[results.train_codec != "jpeg:quality=30"]
    more = pd.DataFrame([row("CO", "", "webp:quality=10", 0, 0.5)])
    assert (
        "Nothing cheaper than OO comes within one mIoU point of it (72.0 ± 2.8); the nearest, CO "
        "at jpeg:quality=5, reaches 67.5 ± 2.1 with 1.67 % of its bytes."
        in cost(pd.concat([harsh, more]))
    )


def test_a_budget_sets_few_lossless_images_against_many_compressed_ones(
    results: pd.DataFrame,
) -> None:
    more = [
        _budgeted("OO", "#20kB", "png", 4, 0.1),
        _budgeted("CO", "#20kB", "jpeg:quality=30", 86, 0.6),
        _budgeted("CO", "#20kB", "jpeg:quality=5", 100, 0.5),
    ]
    sentence = (
        "A budget of 20kB holds 4 images losslessly, which train a model to 10.0; as CO at "
        "jpeg:quality=30 it holds 86 images, which train one to 60.0."
    )
    assert sentence in cost(pd.concat([results, pd.DataFrame(more)]))
    assert "A budget of" not in cost(results)


def test_there_is_a_panel_for_each_kind_of_test_images(results: pd.DataFrame) -> None:
    html = cost(results)
    assert html.count("<svg class=") == 2
    assert "Models used on original images" in html
    assert "Models used on compressed images" in html


def test_a_study_without_three_costs_or_without_oo_has_no_section(results: pd.DataFrame) -> None:
    kept = results.train_codec.isin(["png", "jpeg:quality=5"])
    assert cost(results[kept]) == ""
    assert cost(results[results.train_channel + results.test_channel != "OO"]) == ""
    assert cost(results.iloc[:0]) == ""


@pytest.mark.parametrize("count", [8, 12])
def test_every_configuration_has_a_colour_of_its_own(count: int) -> None:
    names = ["OO", "CO", "RO", "AO", "oO@12.5%", "rO@12.5%", "o+cO@12.5%", "o+rO@12.5%",
             "OC", "CC", "RR", "OR"][:count]  # fmt: skip
    styles = distinct_styles(names)
    assert len({style.colour for style in styles.values()}) == count
    assert styles["CO"].colour == distinct_styles(["CO"])["CO"].colour
