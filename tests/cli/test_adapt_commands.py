"""``ratewise codec adapt`` and ``codec forgetting``, and files of adapted codecs on the way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from PIL import Image as PillowImage
from typer.testing import CliRunner, Result

from ratewise.cli.main import app
from ratewise.data.screens import render_screen
from ratewise.files import write_atomically

FEW = ["--set", "steps=2", "--set", "patch=64", "--set", "batch_size=2", "--set", "device=cpu"]
CODEC = "msh:quality=1"


def _run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(one) for one in arguments])


@pytest.fixture(scope="module")
def screens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("screens")
    for number in range(3):
        picture = PillowImage.fromarray(render_screen(0, number, 96, 64))
        picture.save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def adapted(screens: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("adapted")
    done = _run(
        *("codec", "adapt", screens, "-c", CODEC, "-o", out, "--name", "mine", *FEW, "--json", "-q")
    )
    assert done.exit_code == 0, done.output
    (facts,) = json.loads(done.stdout)
    assert facts["adaptation"] == str(out / "mine-q1.safetensors")
    assert facts["bytes"] == (out / "mine-q1.safetensors").stat().st_size < 400_000
    assert facts["images"] == 3
    assert facts["parameters"] <= 0.08 * 1_764_499
    return out


def test_an_adapted_file_is_decoded_with_its_adaptation_and_refused_without(
    adapted: Path, screens: Path, tmp_path: Path
) -> None:
    with_it = f"{CODEC},adaptations={adapted}"
    coded, plain = tmp_path / "a.rwn", tmp_path / "b.rwn"
    chosen = with_it + ",adaptation=mine"
    assert _run("codec", "encode", screens / "0.png", coded, "-c", chosen).exit_code == 0
    assert _run("codec", "encode", screens / "0.png", plain, "-c", CODEC).exit_code == 0
    assert coded.read_bytes()[3] >> 4 == 2
    assert _run("codec", "decode", coded, tmp_path / "a.png", "-c", with_it).exit_code == 0
    refused = _run("codec", "decode", coded, tmp_path / "c.png")
    assert refused.exit_code == 2
    assert "adaptations=PATH" in refused.stderr
    assert not (tmp_path / "c.png").exists()
    for spec in ([], ["-c", with_it]):
        assert _run("codec", "decode", plain, tmp_path / "b.png", *spec).exit_code == 0
    none = tmp_path / "none.rwn"
    _run("codec", "encode", screens / "0.png", none, "-c", with_it + ",adaptation=none")
    assert none.read_bytes() == plain.read_bytes()


def test_adapting_again_says_the_same(adapted: Path, screens: Path) -> None:
    before = (adapted / "mine-q1.safetensors").read_bytes()
    done = _run("codec", "adapt", screens, "-c", CODEC, "-o", adapted, "--name", "mine", *FEW)
    assert done.exit_code == 0
    assert "lambda D + R" in done.stdout
    assert (adapted / "mine-q1.safetensors").read_bytes() == before


def test_an_adaptation_is_not_overwritten_by_another(
    adapted: Path, screens: Path, tmp_path: Path
) -> None:
    before = (adapted / "mine-q1.safetensors").read_bytes()
    command = ["codec", "adapt", str(screens), "-c", CODEC, "-o", str(adapted), "--name", "mine"]
    refused = _run(*command, *FEW, "--set", "seed=1")
    assert refused.exit_code == 2
    assert "mine-q1.safetensors: is another adaptation" in refused.stderr
    assert (adapted / "mine-q1.safetensors").read_bytes() == before
    # other images of the same number are noticed once the training has shown what they give
    for number in range(3):
        PillowImage.fromarray(render_screen(1, number, 96, 64)).save(tmp_path / f"{number}.png")
    (adapted / "training").rename(adapted / "before")
    command[2] = str(tmp_path)
    refused = _run(*command, *FEW)
    assert refused.exit_code == 2
    assert "mine-q1.safetensors: is another adaptation" in refused.stderr
    assert (adapted / "mine-q1.safetensors").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--set", "stepz=4"], "did you mean steps"),
        (["--method", "cwaf"], "method"),
        (["--size", "0.9"], "size"),
        (["--codec", "jpeg:quality=10"], "only msh can be adapted"),
        (["--name", "a/b"], "letters"),
        (["--name", "auto"], "means something else"),
        (["--images", "4"], "there are only 3"),
        (["--method", "finetune", "--size", "0.1"], "size is an option"),
    ],
)
def test_wrong_arguments_are_named_before_any_work(
    screens: Path, tmp_path: Path, arguments: list[str], said: str
) -> None:
    done = _run("codec", "adapt", screens, "-o", tmp_path / "out", *arguments)
    assert done.exit_code == 2
    assert said in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_comparison_leaves_tables_and_a_report(screens: Path, tmp_path: Path) -> None:
    images = [{"root": str(screens)}]
    settings = {
        "name": "small",
        "qualities": [1],
        "targets": [{"name": "screens", "train": images, "test": images, "test_images": 1}],
        "source_images": {"test": images, "test_images": 1},
        "adaptations": [
            {
                "label": "cawf",
                "images": [3],
                "settings": {"steps": 1, "patch": 64, "batch_size": 1, "device": "cpu"},
            }
        ],
    }
    file = tmp_path / "small.yaml"
    write_atomically(file, yaml.safe_dump(settings))
    done = _run("codec", "forgetting", file, "-o", tmp_path / "out")
    assert done.exit_code == 0, done.output
    for name in ("points.csv", "forgetting.csv", "adaptations.csv", "report.html"):
        assert (tmp_path / "out" / name).stat().st_size > 100
    refused = _run("codec", "forgetting", file, "-o", tmp_path / "out", "--target", "camvid")
    assert refused.exit_code == 2
    assert "camvid" in refused.stderr
