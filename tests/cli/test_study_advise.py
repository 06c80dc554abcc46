"""``ratewise study advise``: what it prints, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import Result
from typer.testing import CliRunner

from ratewise.cli.main import app
from ratewise.study.results import write_results


def _row(configuration: str, codec: str, size: int, accuracy: float) -> dict[str, Any]:
    train, test = configuration
    whole = size * 100
    return {
        "prepare": "none", "recipe": "standard", "seed": 0, "train_channel": train,
        "train_codec": codec, "train_share": "", "test_channel": test, "test_codec": "png",
        "train_images": 100, "train_bpp": size / 1000, "miou": accuracy,
        "bytes_compressed": whole if train == "C" else 0,
        "bytes_privileged": whole if train == "O" else 0, "bytes_auxiliary": 0,
    }  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> Path:
    rows = [
        _row("OO", "png", 10_000, 0.70),
        _row("CO", "jpeg:quality=5", 100, 0.50),
        _row("CO", "jpeg:quality=50", 1_000, 0.66),
    ]
    write_results(pd.DataFrame(rows), tmp_path)
    return tmp_path


def _advise(run: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["study", "advise", str(run), *arguments])


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (["--budget", "50kB"], "100 images through jpeg:quality=5 (CO, 0.100 bpp): 10.0 kB, 1 %"),
        (["--cost", "10%"], "100 images through jpeg:quality=50 (CO, 1.000 bpp): 100 kB, 10 %"),
        (["--accuracy", "0.70"], "100 images (OO, 10.000 bpp): 1.00 MB, 100 %"),
        (["--accuracy", "60"], "through jpeg:quality=50"),
        (["--accuracy", "65", "--margin", "2"], "(OO, "),
        (["--budget", "1GB", "--images", "100000"], "Collect 100,000 images"),
    ],
)
def test_the_answer_stands_first(run: Path, arguments: list[str], answer: str) -> None:
    result = _advise(run, *arguments)
    assert result.exit_code == 0, result.stderr
    assert answer in result.stdout.splitlines()[0]
    assert "measured with one seed, so its spread is not known" in result.stdout
    assert "Pareto front" in result.stdout


def test_json_has_the_answer_and_how_far_it_carries(run: Path) -> None:
    value = json.loads(_advise(run, "--cost", "10%", "--json").stdout)
    assert value["covered"] is True
    assert value["best"] == {
        "configuration": "CO", "codec": "jpeg:quality=50", "bpp": 1.0, "images": 100,
        "bytes": 100_000, "percent": 10.0, "accuracy": 0.66, "std": None, "models": 1,
        "basis": "studied",
    }  # fmt: skip
    assert [option["codec"] for option in value["alternatives"]] == ["jpeg:quality=5"]
    assert len(value["front"]) == 3
    assert any("One seed" in note for note in value["notes"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--accuracy", "0.9"], "Nothing in the study reaches it"),
        (["--budget", "1kB"], "The study does not cover so little"),
    ],
)
def test_a_study_without_an_answer_says_so_with_exit_code_1(
    run: Path, arguments: list[str], said: str
) -> None:
    result = _advise(run, *arguments)
    assert result.exit_code == 1
    assert result.stdout.startswith("The study has no answer.\n" + said)
    as_json = _advise(run, *arguments, "--json")
    assert as_json.exit_code == 1
    assert json.loads(as_json.stdout)["best"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "ask for one of a budget, a cost and an accuracy"),
        (["--budget", "1MB", "--cost", "2%"], "ask for one of"),
        (["--budget", "lots"], "--budget 'lots' is not a number of bytes"),
        (["--cost", "2GB"], "cost '2GB' is not known"),
        (["--accuracy", "1"], "accuracy '1' is not known"),
        (["--cost", "2%", "--margin", "1"], "a margin goes with an accuracy"),
        (["--cost", "2%", "--test", "R"], "no configuration was tested on channel 'R'"),
    ],
)
def test_a_wrong_question_is_one_sentence_and_exit_code_2(
    run: Path, arguments: list[str], message: str
) -> None:
    result = _advise(run, *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_folder_without_results_is_refused(tmp_path: Path) -> None:
    result = _advise(tmp_path / "nowhere", "--cost", "2%")
    assert result.exit_code == 2
    assert "no results here" in result.stderr
