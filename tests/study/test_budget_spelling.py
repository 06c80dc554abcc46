"""Budgets: how they are spelled, and which images they buy."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from ratewise.data.manifest import Record
from ratewise.errors import InputError, StageError
from ratewise.study.budget import Budget
from ratewise.study.budget_settings import BudgetSettings
from ratewise.study.channels import Configuration
from ratewise.study.plan import Stage
from ratewise.study.privileged import PrivilegedShare
from ratewise.study.shares import share_indices
from ratewise.study.spending import chosen_images
from ratewise.validation import validate

_COUNT = 40
_IMAGES = [(f"{drive}/{frame}", drive) for drive in "ab" for frame in range(_COUNT // 2)]
_ORIGINAL, _COMPRESSED = 1000, 100
_MEMBERS = PrivilegedShare(Fraction(1, 4), 7).members(_IMAGES)
_RULE = {"share": "1/4", "seed": 7, "without": [], "margin": 0}


def _records(sizes: Sequence[int]) -> list[Record]:
    common = {"mask": None, "width": 8, "height": 8, "bpp": 0.0, "psnr": 0.0, "sha256": ""}
    rest = {"mask_sha256": None, "codec": "png", "versions": "{}", "source_format": "png"}
    return [
        Record(key=name, path=name, group=group, bytes=int(size), source=name, source_bytes=1,
               **common, **rest)
        for (name, group), size in zip(_IMAGES, sizes, strict=True)
    ]  # fmt: skip


_STORES = {
    "images": _records(np.random.default_rng(0).integers(50, 150, _COUNT)),
    "originals": _records([_ORIGINAL] * _COUNT),
    "privileged": _records([_ORIGINAL] * _COUNT),
    "compressed": _records([_COMPRESSED] * _COUNT),
}


def _bought(budget: str, *, seed: int = 3, restored: bool = False, **params: Any) -> Any:
    described: dict[str, Any] = Budget.parse(budget).to_json()
    inputs = {"images": "the images", "originals": "the originals"}
    if restored:
        inputs |= {"compressed": "the compressed", "privileged": "the originals"}
        described["privileged"] = {"rule": "share", **_RULE, "part": "whole"}
    stage = Stage(
        "train", "train", {"share": "1", "seed": seed, "budget": described, **params}, inputs
    )
    return chosen_images(stage, lambda role: _STORES[role])


@pytest.mark.parametrize(
    ("text", "name"),
    [("500kB", "500kB"), ("0.5MB", "500kB"), ("1500kB", "1.5MB"), ("999B", "999B"),
     ("2000MB", "2GB"), ("12.50%B", "12.5%B"), ("100%B", "100%B"), ("1.234567MB", "1.234567MB")],
)  # fmt: skip
def test_a_budget_has_one_spelling(text: str, name: str) -> None:
    assert Budget.parse(text).name == name
    assert Budget.from_json(Budget.parse(text).to_json()) == Budget.parse(text)
    for spelled in (f"CO#{text}", f"o+cO@12.5%#{text}", f"RO#{text}(rdn)"):
        parsed = Configuration.parse(spelled)
        assert parsed.name == spelled.replace(text, name)
        assert Configuration.parse(parsed.name) == parsed
        assert parsed.share == 1


@pytest.mark.parametrize("text", ["500KB", "500 kB", "500", "0B", "0.5B", "0%B", "101%B", "-1kB"])
def test_other_spellings_are_refused(text: str) -> None:
    with pytest.raises(InputError):
        Budget.parse(text)
    if text != "500":
        with pytest.raises(InputError):
            Configuration.parse(f"CO#{text}")


def test_a_share_of_images_is_no_budget() -> None:
    assert Configuration.parse("CO#25%").budget is None
    assert Configuration.parse("CO#25%").share == Fraction(1, 4)
    assert Configuration.parse("CO#25%B").budget == Budget(share=Fraction(1, 4))


@pytest.mark.parametrize("seed", range(5))
def test_budgets_are_nested_and_never_passed(seed: int) -> None:
    sizes = [record.bytes for record in _STORES["images"]]
    before: set[int] = set()
    for budget in range(200, sum(sizes) + 300, 97):
        found = _bought(f"{budget}B", seed=seed).indices
        spent = sum(sizes[i] for i in found)
        assert spent <= budget
        assert budget - spent < max(sizes) or len(found) == _COUNT
        assert before <= set(found)
        before = set(found)
    assert before == set(range(_COUNT))


def test_a_budget_buys_the_images_of_an_image_share() -> None:
    found = _bought("1kB").indices
    assert found == share_indices(_COUNT, Fraction(len(found), _COUNT), 3)


def test_a_percentage_is_of_the_originals_that_oo_is_trained_on() -> None:
    rule = {"use": "all", "without": ["a"]}
    sizes = [record.bytes for record in _STORES["images"]]
    found = _bought("5%B", images=rule).indices
    assert min(found) >= _COUNT // 2
    assert sum(sizes[i] for i in found) <= 0.05 * _ORIGINAL * _COUNT / 2
    assert found == _bought(f"{_ORIGINAL * _COUNT // 2 // 20}B", images=rule).indices


def test_the_originals_of_the_restorer_are_paid_first() -> None:
    paid = len(_MEMBERS) * _ORIGINAL
    assert len(_bought(f"{paid + 5 * _COMPRESSED}B", restored=True).indices) == 5
    with pytest.raises(
        StageError, match=r"budget of 10\.05kB .* buys no training image; the originals"
    ):
        _bought(f"{paid + _COMPRESSED // 2}B", restored=True)
    with pytest.raises(StageError, match="buys no training image"):
        _bought(f"{paid // 2}B", restored=True)


def test_an_original_that_the_restorer_was_trained_on_is_paid_once() -> None:
    mixture = {"use": "replaced", "original_weight": 5.0, **_RULE}
    paid = len(_MEMBERS) * _ORIGINAL
    found = _bought(f"{paid + 15 * _COMPRESSED}B", restored=True, images=mixture)
    others = [i for i in found.indices if i not in found.originals]
    assert len(others) == 15
    assert found.originals <= set(_MEMBERS)
    assert abs(len(found.originals) - 5) <= 1  # in proportion
    with pytest.raises(StageError, match="buys no training image"):
        _bought(f"{paid - 1}B", restored=True, images=mixture)


def test_a_mixture_keeps_its_proportion() -> None:
    mixture = {"use": "replaced", "original_weight": 5.0, **_RULE}
    before = _bought("1500B", images=mixture)
    for budget in (3, 6, 9, 12):
        found = _bought(f"{budget}kB", images=mixture)
        originals = [i for i in found.indices if i in found.originals]
        others = [i for i in found.indices if i not in found.originals]
        assert abs(len(originals) - len(found.indices) / 4) <= 1
        spent = sum(_STORES["images"][i].bytes for i in others) + _ORIGINAL * len(originals)
        assert spent <= budget * 1000
        assert set(before.indices) <= set(found.indices)
        before = found


def test_a_budget_for_no_image_says_so() -> None:
    with pytest.raises(StageError, match=r"a budget of 10B \(10 bytes\) buys no training image"):
        _bought("10B")


def test_the_section_expands_to_budgets_configurations_and_codecs() -> None:
    section = BudgetSettings(bytes=["1MB", 500], percent=[2.5], configurations=["CO", "RO"])
    found = section.expand(["jpeg:quality=5", "jpeg:quality=50"])
    names = [(configuration.name, configuration.train.codec) for configuration in found]
    for budget in ("1MB", "500B", "2.5%B"):
        assert [entry for entry in names if entry[0].endswith(f"#{budget}")] == [
            (f"CO#{budget}", "jpeg:quality=5"),
            (f"CO#{budget}", "jpeg:quality=50"),
            (f"OO#{budget}", "png"),
            (f"RO#{budget}", "jpeg:quality=5"),
            (f"RO#{budget}", "jpeg:quality=50"),
        ]


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({}, "give bytes"),
        ({"bytes": ["5 apples"]}, "500kB"),
        ({"bytes": ["5%B"]}, "percent"),
        ({"percent": [0]}, "per cent"),
        ({"bytes": [100], "configurations": ["CO#25%"]}, "without #"),
        ({"bytes": [100], "configurations": ["XO"]}, "XO"),
        ({"bytes": [100], "codecs": ["jpeg:quality=0"]}, "quality"),
    ],
)
def test_a_wrong_section_is_named(section: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        validate(BudgetSettings, section, "x.yaml")
