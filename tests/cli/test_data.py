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
    assert names == [
        *("camvid", "cityscapes", "inria", "semantic_drone", "imagenet", "image_folder"),
        *("folder", "streets", "screens"),
    ]
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


def _class_folders(root: Path, labels: int) -> None:
    for label in range(labels):
        for split, images in (("train", label + 1), ("val", 1)):
            folder = root / split / f"c{label:02d}"
            folder.mkdir(parents=True)
            for image in range(images):
                PillowImage.new("RGB", (6, 4)).save(folder / f"{image}.png")


def test_images_of_each_class_are_counted(tmp_path: Path) -> None:
    _class_folders(tmp_path, 2)
    check = ("check", tmp_path, "--data", "image_folder", "-j", 1, "-q")
    facts = json.loads(_run(*check, "--json").stdout)
    assert facts["labels"] == ["c00", "c01"]
    assert [split["label_images"] for split in facts["splits"]] == [[1, 2], [1, 1]]
    table = _run(*check).stdout.split("images per class")[1]
    rows = [line.strip("\u2502 ").split() for line in table.splitlines() if "c0" in line]
    assert [[cell for cell in row if cell != "\u2502"] for row in rows] == [
        ["c00", "1", "1"],
        ["c01", "2", "1"],
    ]


def test_of_many_classes_the_smallest_and_largest_are_shown(tmp_path: Path) -> None:
    _class_folders(tmp_path, 22)
    shown = _run("check", tmp_path, "--data", "image_folder", "-j", 1, "-q").stdout
    (others,) = [line for line in shown.splitlines() if "(2 others)" in line]
    assert others.split("\u2502")[2:4] == ["    23 ", "   2 "]  # c10 has 11 images and c11 has 12
    assert [f"c{label:02d}" in shown for label in range(22)] == [True] * 10 + [False] * 2 + [
        True
    ] * 10


def test_a_missing_folder_is_exit_code_2(tmp_path: Path) -> None:
    result = _run("check", tmp_path / "none", "--data", "camvid")
    assert result.exit_code == 2
    assert "none: no such folder" in result.stderr
