"""``ratewise data`` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image as PillowImage
from typer.testing import CliRunner, Result

from ratewise.cli.main import app


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["data", *map(str, arguments)])


def test_every_data_set_is_listed() -> None:
    names = [entry["name"] for entry in json.loads(_run("list", "--json").stdout)]
    assert names == ["camvid", "cityscapes", "inria", "semantic_drone", "folder", "streets"]
    assert "streets" in _run("list").stdout


def test_a_sound_data_set_is_counted_and_problems_are_named(tmp_path: Path) -> None:
    for name, value in (("1", 0), ("2", 1)):
        for folder in ("images", "masks"):
            (tmp_path / folder).mkdir(exist_ok=True)
        PillowImage.new("RGB", (6, 4)).save(tmp_path / f"images/{name}.png")
        mask = np.full((4, 6), value, np.uint8)
        PillowImage.fromarray(mask).save(tmp_path / f"masks/{name}.png")
    (tmp_path / "classes.yaml").write_text("names: [sky, road]")
    check = ("check", tmp_path, "--data", "folder", "-j", 1, "-q")
    sound = _run(*check, "--json")
    assert sound.exit_code == 0, sound.output
    (split,) = json.loads(sound.stdout)["splits"]
    assert split["sizes"] == {"6x4": 2}
    assert split["class_pixels"] == [24, 24]
    assert "50.00%" in _run(*check).stdout

    PillowImage.fromarray(np.full((4, 6), 9, np.uint8)).save(tmp_path / "masks/1.png")
    PillowImage.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "masks/2.png")
    wrong = _run(*check)
    assert wrong.exit_code == 1
    assert "masks/1.png: class id 9 is out of range" in wrong.stderr
    assert "masks/2.png: the mask is 4x4" in wrong.stderr


def test_a_missing_folder_is_exit_code_2(tmp_path: Path) -> None:
    result = _run("check", tmp_path / "none", "--data", "camvid")
    assert result.exit_code == 2
    assert "none: no such folder" in result.stderr
