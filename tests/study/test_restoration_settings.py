"""The section on restoration says what is wrong with it, and what configurations need of it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from study_examples import RESTORED, write_study

from ratewise.errors import InputError
from ratewise.study.channels import Configuration
from ratewise.study.engine import plan_study
from ratewise.study.settings import Study, StudySettings, load_study


def _study(folder: Path, configurations: list[str] | None = None, **changes: Any) -> Study:
    study = dict(RESTORED)
    if configurations is not None:
        study["configurations"] = configurations
    study["restoration"] = {**RESTORED["restoration"], **changes}
    return load_study(write_study(folder, study))


def test_a_preset_is_named_by_a_bare_string(tmp_path: Path) -> None:
    study = _study(tmp_path, restorers={"a": "tiny", "b": {"preset": "tiny", "patch": 64}})
    assert study.settings.restoration is not None
    first, second = study.settings.restoration.restorers.values()
    assert first.generator == second.generator
    assert (first.patch, second.patch) == (96, 64)
    assert study.settings.restoration.first == "a"


def test_the_defaults_are_half_of_the_images_cross_fitted_and_five_to_one(tmp_path: Path) -> None:
    restoration = load_study(
        write_study(tmp_path, RESTORED | {"restoration": {"restorers": {"a": "tiny"}}}),
        {"configurations": "[RO]"},
    ).settings.restoration
    assert restoration is not None
    assert restoration.privileged.fraction == Fraction(1, 2)
    assert (restoration.overlap, restoration.margin) == ("cross_fit", 5)
    assert restoration.original_weight == 5
    assert not restoration.range


def test_the_settings_survive_being_written_down(tmp_path: Path) -> None:
    settings = _study(tmp_path).settings
    assert StudySettings.model_validate(settings.model_dump(mode="json")) == settings


@pytest.mark.parametrize(
    ("configurations", "changes", "said"),
    [
        (["RO(best)"], {}, r"restorer 'best' is not known \(allowed: tiny, plain\)"),
        (["RO", "RO(tiny)"], {}, r"RO and RO\(tiny\) are the same configuration"),
        (["o+cO@50%(tiny)"], {}, "restores nothing"),
        (["OO", "AO"], {"auxiliary": None}, r"AO needs restoration\.auxiliary"),
        (["OA"], {"auxiliary": None}, r"OA needs restoration\.auxiliary"),
        (["RO"], {"restorers": {}}, r"restoration\.restorers"),
        (["RO"], {"restorers": {"a b": "tiny"}}, "'a b' is no name for a restorer"),
        (["RO"], {"restorers": {"a": "big"}}, "preset 'big' is not known"),
        (["RO"], {"privileged": {}}, r"give one of groups, split, share.*given: none"),
        (["RO"], {"privileged": {"share": 50, "groups": ["a"]}}, "given: groups, share"),
        (["RO"], {"privileged": {"data": {"name": "streets"}}}, "given: none"),
        (["RO"], {"privileged": {"share": 100}}, r"privileged\.share = 100"),
        (["RO"], {"privileged": {"groups": []}}, r"privileged\.groups"),
        (["RO"], {"privileged": {"split": "val"}}, "'val' is a split of the task"),
        (["RO"], {"overlap": "maybe"}, "overlap = 'maybe'"),
        (["RO"], {"margin": -1}, "margin = -1"),
        (["RO"], {"original_weight": 0}, "original_weight = 0"),
        (["RO"], {"privilegd": {}}, "did you mean privileged"),
    ],
)
def test_what_does_not_do_is_named_at_load(
    tmp_path: Path, configurations: list[str], changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError, match=said) as caught:
        _study(tmp_path, configurations, **changes)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["RO", "OR", "AO", "rO@50%", "o+rO@50%"])
def test_what_restores_needs_the_section(tmp_path: Path, name: str) -> None:
    study = {key: value for key, value in RESTORED.items() if key != "restoration"}
    with pytest.raises(InputError, match="needs the section 'restoration'"):
        load_study(write_study(tmp_path, study | {"configurations": ["OO", name]}))


def test_shares_of_originals_need_no_section(tmp_path: Path) -> None:
    study = {key: value for key, value in RESTORED.items() if key != "restoration"}
    names = ["oO@50%", "o+cO@50%"]
    planned = plan_study(
        load_study(write_study(tmp_path, study | {"configurations": names})), tmp_path / "out"
    )
    assert [run.configuration for run in planned.plan.runs] == names


def test_originals_alone_cannot_be_restored(tmp_path: Path) -> None:
    study = RESTORED | {"codecs": ["png"], "configurations": ["RO"]}
    with pytest.raises(InputError, match="RO needs a codec; png stands for originals"):
        load_study(write_study(tmp_path, study))


def test_the_first_restorer_restores_where_none_is_named(tmp_path: Path) -> None:
    settings = _study(tmp_path).settings
    resolved = [settings.resolved(Configuration.parse(t)) for t in ("RO", "OR", "RR(plain)", "CO")]
    assert [c.restorer for c in resolved] == ["tiny", "tiny", "plain", ""]
    assert resolved[0].test.restorer == ""


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"privileged": {"split": "extra"}}, r"privileged\.split: streets has no split 'extra'"),
        (
            {"privileged": {"data": {"name": "streets"}, "split": "extra"}},
            r"restoration\.privileged\.split: streets has no split 'extra'",
        ),
        (
            {"auxiliary": {"data": {"name": "folder", "root": "gone"}}},
            "gone: no such folder",
        ),
        (
            {"auxiliary": {"data": {"name": "streets", "val": 0}, "split": "val"}},
            r"restoration\.auxiliary: streets: split 'val' has no images",
        ),
        ({"privileged": {"groups": ["x"]}}, r"no group 'x' .*allowed: train0000, train0001"),
        ({"privileged": {"groups": ["train0000", "train0001"]}}, "leave no image"),
        ({"margin": 5, "privileged": {"share": 25}}, r"lower restoration\.margin"),
        (
            {"restorers": {"tiny": {"preset": "tiny", "validation": 8}}},
            "validation = 8 images are held out of 8, which leaves none",
        ),
        (
            {"restorers": {"tiny": {"features": {"weights": "vgg.pth"}}}},
            r"restorers\.tiny\.features\.weights.*vgg\.pth: no such file",
        ),
    ],
)
def test_what_only_the_data_can_tell_is_said_before_any_work(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    study = _study(tmp_path, ["RO"], **changes)
    with pytest.raises(InputError, match=said):
        plan_study(study, tmp_path / "out")
    assert not list((tmp_path / "out").rglob("prepare-*"))
