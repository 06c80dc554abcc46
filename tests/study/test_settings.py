"""A study file says what is wrong with it, and what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from ratewise.errors import InputError
from ratewise.study.settings import CodecPair, load_study

_VALID = {
    "name": "x",
    "data": {"name": "streets"},
    "task": {},
    "codecs": ["jpeg:quality=5,10", "jpeg2000:ratio=75"],
    "configurations": ["OO", "CO#25%", {"train": "jpeg:quality=5", "test": "jpeg:quality=10"}],
}


def _written(path: Path, **changes: object) -> Path:
    file = path / "study.yaml"
    file.write_text(yaml.safe_dump({**_VALID, **changes}))
    return file


def test_sweeps_are_written_out_in_their_one_spelling(tmp_path: Path) -> None:
    settings = load_study(_written(tmp_path)).settings
    assert settings.codecs == ["jpeg:quality=5", "jpeg:quality=10", "jpeg2000:ratio=75"]
    assert settings.configurations[-1] == CodecPair(train="jpeg:quality=5", test="jpeg:quality=10")


def test_relative_paths_start_from_the_folder_of_the_file(tmp_path: Path) -> None:
    assert load_study(_written(tmp_path)).base == tmp_path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"codecz": []}, r"unknown key 'codecz'; did you mean codecs\?"),
        ({"codecs": ["jpg:quality=5"]}, r"codecs.*unknown codec 'jpg'; did you mean jpeg"),
        ({"codecs": ["jpeg:quality=500"]}, r"quality.*500"),
        ({"codecs": ["jpeg:quality=5,5.0e0x"]}, r"quality"),
        ({"codecs": ["jpeg:qualty=5"]}, r"qualty"),
        ({"codecs": ["jpeg:quality=5", "jpeg:quality=5"]}, r"stands twice"),
        ({"codecs": []}, r"codecs.*at least 1"),
        ({"configurations": ["XO"]}, r"configuration 'XO' is not known; allowed: O, C, R, A, o, r"),
        ({"seeds": [1, 1]}, r"1 stands twice"),
        ({"seeds": [-1]}, r"seeds.*-1"),
        ({"data": {"name": "kitti"}}, r"kitti"),
        ({"data": {"name": "streets", "wdth": 5}}, r"wdth"),
        ({"task": {"architecture": "DeepLab"}}, r"DeepLab.*allowed: .*DeepLabV3Plus"),
        ({"task": {"training": {"epochs": 0}}}, r"task.training.epochs = 0"),
        ({"name": "../up"}, r"name"),
        ({"recipes": ["magic"]}, r"recipes.*'magic'"),
    ],
)
def test_a_wrong_key_or_value_is_named(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    file = _written(tmp_path, **changes)
    with pytest.raises(InputError, match=message) as caught:
        load_study(file)
    assert str(caught.value).startswith(str(file))
    assert "\n" not in str(caught.value)


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text("name: x")
    with pytest.raises(InputError, match="'data' is missing"):
        load_study(file)


@pytest.mark.parametrize(
    ("text", "message"),
    [("a: [1", "unreadable YAML"), ("", "keys and values"), ("- 1", "keys and values")],
)
def test_what_is_no_study_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(text)
    with pytest.raises(InputError, match=message):
        load_study(file)


def test_a_missing_file_and_a_binary_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such study file"):
        load_study(tmp_path / "gone.yaml")
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="cannot be read as text"):
        load_study(tmp_path / "b.yaml")


def test_values_can_be_replaced_by_dotted_keys(tmp_path: Path) -> None:
    changes = {"seeds": "[3, 4]", "task.training.epochs": "2", "data.width": "64"}
    settings = load_study(_written(tmp_path), changes).settings
    assert settings.seeds == [3, 4]
    assert settings.task.training.epochs == 2
    with pytest.raises(InputError, match=r"--set name\.x"):
        load_study(_written(tmp_path), {"name.x": "1"})
