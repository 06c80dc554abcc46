"""``ratewise study``: what it prints, and how it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from ratewise.cli.main import app

_STUDY = {
    "name": "x",
    "data": {"name": "streets", "train": 4, "val": 2, "width": 64, "height": 48},
    "task": {},
    "codecs": ["jpeg:quality=5"],
    "configurations": ["OO", "CO"],
}


@pytest.fixture
def study(tmp_path: Path) -> Path:
    path = tmp_path / "x.yaml"
    path.write_text(yaml.safe_dump(_STUDY))
    return path


def test_plan_counts_stages_and_trainings(study: Path, tmp_path: Path) -> None:
    command = ["study", "plan", str(study), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0
    assert "2 results from 7 stages, 2 of them trainings; 0 stages are cached" in result.stdout
    stages = json.loads(CliRunner().invoke(app, [*command, "--json"]).stdout)
    assert [stage["kind"] for stage in stages].count("train") == 2
    assert {stage["state"] for stage in stages} == {"to do"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["plan", "gone.yaml"], "gone.yaml: no such study file"),
        (["run", "FILE", "--set", "codecs"], "--set codecs: write --set KEY=VALUE"),
        (["run", "FILE", "--set", "codecs=[jpeg:quality=0]"], "quality"),
        (["run", "FILE", "--set", "data.nmae=camvid"], "nmae"),
        (["run", "FILE", "--set", "seeds=[1"], "unreadable YAML"),
        (["show", "nowhere"], "nowhere: no results here"),
        (["report", "nowhere"], "nowhere: no study was run here"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(
    study: Path, arguments: list[str], message: str
) -> None:
    given = [str(study) if part == "FILE" else part for part in arguments]
    result = CliRunner().invoke(app, ["study", *given])
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1


def test_the_schema_knows_the_keys_of_a_study_file() -> None:
    schema = json.loads(CliRunner().invoke(app, ["study", "schema"]).stdout)
    assert set(_STUDY) <= set(schema["properties"])
    assert set(schema["required"]) == set(_STUDY)
    assert schema["additionalProperties"] is False
