"""``ratewise store`` on the command line: results, exit codes, one sentence per mistake."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage
from typer.testing import CliRunner, Result

from ratewise.cli.main import app
from ratewise.data.store import open_store


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["store", *map(str, arguments)])


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(2):
        pixels = np.random.default_rng(i).integers(0, 256, (16, 16, 3), np.uint8)
        PillowImage.fromarray(pixels).save(folder / f"{i}.png")
    return folder


def test_compress_info_verify_decompress(photos: Path, tmp_path: Path) -> None:
    store = tmp_path / "s"
    made = _run("compress", photos, store, "--codec", "jpeg:quality=10", "-j", 1, "-q", "--json")
    assert made.exit_code == 0, made.output
    facts = json.loads(made.stdout)
    assert (facts["done"], facts["failed"]) == (2, 0)
    facts = json.loads(_run("info", store, "--json").stdout)
    assert (facts["codec"], facts["images"]) == ("jpeg:quality=10", 2)
    assert "jpeg:quality=10" in _run("info", store).stdout
    assert _run("verify", store, "-j", 1, "-q", "--decode").exit_code == 0
    assert _run("decompress", store, tmp_path / "d", "-j", 1, "-q").exit_code == 0
    assert (tmp_path / "d/1.png").is_file()
    again = _run("compress", store, tmp_path / "s2", "--codec", "png", "-j", 1, "-q")
    assert again.exit_code == 0, again.output
    (store / "1.jpg").write_bytes(b"")
    wrong = _run("verify", store, "-j", 1, "-q")
    assert wrong.exit_code == 1
    assert "1.jpg: has 0 bytes" in wrong.stderr


def test_a_budget_is_kept_and_told(photos: Path, tmp_path: Path) -> None:
    store, arguments = tmp_path / "s", ("--codec", "jpeg:quality=10,20,30", "-j", 1, "-q")
    made = _run("compress", photos, store, *arguments, "--budget", "1350", "--json")
    assert made.exit_code == 0, made.output
    facts = json.loads(made.stdout)
    assert facts["bytes"] <= 1350
    assert facts["rate_control"] == {
        "budget": 1350,
        "objective": "psnr",
        "points": "jpeg:quality=10,20,30",
        "used": facts["bytes"],
        "binding": True,
    }
    again = _run("compress", photos, store, *arguments, "--budget", "1350").stdout
    assert f"budget: {facts['bytes']:,} of 1,350 bytes (" in again
    info = _run("info", store).stdout
    assert "best psnr over jpeg:quality=10,20,30" in info
    assert "quality " in info
    wide = _run("compress", photos, tmp_path / "w", *arguments, "--budget", "1000000")
    assert "not binding: every image is at its best" in wide.stdout
    assert "points     quality 30 (2)" in _run("info", tmp_path / "w").stdout
    other = _run("compress", photos, store, *arguments, "--budget", "1351")
    assert other.exit_code == 2
    assert "holds a store made to a budget of 1350 bytes" in other.stderr


def test_an_unreadable_image_gives_exit_code_1(photos: Path, tmp_path: Path) -> None:
    (photos / "bad.png").write_text("x")
    result = _run("compress", photos, tmp_path / "s", "--codec", "png", "-j", 1, "-q")
    assert result.exit_code == 1
    assert "1 image could not be compressed; see" in result.stderr
    assert (tmp_path / "s/0.png").is_file()


def test_a_split_of_generated_data(tmp_path: Path) -> None:
    sizes = ["--set", "train=1", "--set", "width=64", "--set", "height=48"]
    result = _run(
        *("compress", "-", tmp_path / "s", "--data", "streets", "--split", "train", *sizes),
        *("--codec", "png", "--crop", "32x32", "-j", 1, "-q", "--json"),
    )
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["pixels"] == 32 * 32


def test_info_says_how_many_images_have_labels(tmp_path: Path) -> None:
    for key in ("train/dog/1.png", "train/dog/2.png", "train/tench/3.png"):
        (tmp_path / "data" / key).parent.mkdir(parents=True, exist_ok=True)
        PillowImage.new("RGB", (16, 16)).save(tmp_path / "data" / key)
    arguments = ("--data", "image_folder", "--split", "train", "--codec", "png", "-j", 1, "-q")
    made = _run("compress", tmp_path / "data", tmp_path / "s", *arguments)
    assert made.exit_code == 0, made.output
    assert "labels     3 images have one, of 2 classes" in _run("info", tmp_path / "s").stdout
    facts = json.loads(_run("info", tmp_path / "s", "--json").stdout)
    assert (facts["labelled"], facts["labels"]) == (3, ["dog", "tench"])


@pytest.mark.parametrize(
    "arguments",
    [
        ("compress", "photos", "memory://there", "-c", "jpeg", "--budget", "9kB"),
        ("decompress", "s", "memory://there"),
        ("restore", "s", "memory://there", "--restorer", "r.safetensors"),
    ],
)
def test_what_cannot_be_written_to_an_address_is_said(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    _run("compress", photos, tmp_path / "s", "-c", "png", "-j", 1, "-q")
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    result = _run(*(str(photos) if one == "photos" else one for one in arguments))
    assert result.exit_code == 2
    assert "memory://there" in result.output
    assert "disk only" in " ".join(result.output.split())
    assert sorted(tmp_path.rglob("*")) == before


def test_list_has_a_line_for_each_image(photos: Path, tmp_path: Path) -> None:
    _run("compress", photos, tmp_path / "s", "-c", "jpeg:quality=30", "-j", 1, "-q")
    records = open_store(tmp_path / "s").records
    lines = [line.split("\t") for line in _run("list", tmp_path / "s").stdout.splitlines()]
    assert [line[0] for line in lines] == [one.path for one in records]
    assert [int(line[2]) for line in lines] == [one.bytes for one in records]
    assert lines[0][5] == "jpeg:quality=30"
    objects = _run("list", tmp_path / "s", "--json").stdout.splitlines()
    assert [json.loads(line)["sha256"] for line in objects] == [one.sha256 for one in records]


def test_tiles_are_spread_over_a_grid(photos: Path, tmp_path: Path) -> None:
    tiles = ("--tile", "8x12", "--grid", "3x2")
    made = _run("compress", photos, tmp_path / "s", "-c", "png", *tiles, "-j", 1, "-q", "--json")
    assert made.exit_code == 0, made.output
    assert json.loads(made.stdout)["images"] == 2 * 6
    for place, left in enumerate((0, 4, 8)):  # 16 pixels wide, so 4 from one tile to the next
        tile = np.asarray(PillowImage.open(tmp_path / f"s/0_r1_c{place}.png"))
        whole = np.asarray(PillowImage.open(photos / "0.png"))
        np.testing.assert_array_equal(tile, whole[4:16, left : left + 8])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{photos}", "{out}", "--codec", "jpg:quality=5"], "jpg"),
        (["{photos}", "{out}", "--codec", "jpeg:quality=500"], "quality"),
        (["{photos}/none", "{out}", "--codec", "png"], "no such folder"),
        (["{photos}", "{photos}/s", "--codec", "png"], "outside of its source"),
        (["{photos}", "{out}", "--codec", "png", "--split", "x"], "need --data"),
        (["{photos}", "{out}", "--codec", "png", "--crop", "8"], "--crop = '8'"),
        (["{photos}", "{out}", "--codec", "png", "--grid", "4"], "must be COLUMNSxROWS"),
        (["{photos}", "{out}", "--codec", "png", "--grid", "2x2"], "'grid' needs 'tile'"),
        (["{photos}", "{out}", "--codec", "jpeg", "--objective", "mse"], "needs --budget"),
        (["{photos}", "{out}", "--codec", "jpeg:quality=5", "--budget", "9000"], "leave quality"),
        (["{photos}", "{out}", "--codec", "png", "--budget", "9000"], "no operating point"),
        (["{photos}", "{out}", "--codec", "jpeg", "--budget", "many"], "--budget"),
        (
            ["{photos}", "{out}", "--codec", "jpeg", "--budget", "9", "--objective", "ssim"],
            "allowed: psnr, mse",
        ),
        (["{photos}", "{out}", "-c", "jpeg", "--budget", "9", "-j", "1"], "too small; with every"),
        (["-", "{out}", "--codec", "png", "--data", "streets"], "allowed: train, val"),
        (["{photos}", "{out}", "--codec", "png", "--data", "x"], "unknown data set 'x'"),
    ],
)
def test_wrong_input_is_one_sentence_and_exit_code_2(
    photos: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    filled = [a.format(photos=photos, out=tmp_path / "out") for a in arguments]
    result = _run("compress", *filled, "-q")
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()
