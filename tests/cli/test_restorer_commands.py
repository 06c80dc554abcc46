"""``ratewise restorer train`` and ``ratewise store restore`` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from ratewise.cli.main import app
from ratewise.data.store import open_store
from ratewise.restoration.training_settings import RestorerTrainingSettings
from ratewise.settings_files import read_settings

CONFIGS = Path(__file__).parents[2] / "configs" / "restorers"

SETTINGS = """
name: tiny
images:
  - {data: streets, options: {train: 4, val: 0, width: 48, height: 48}, repeat: 2}
  - {data: streets, options: {train: 2, val: 0, width: 48, height: 48, seed: 5}}
prepare: {crop: [40, 40]}
codecs: ["jpeg:quality=10,30"]
restorer:
  preset: tiny
  generator: {width: 4, blocks: 1}
  discriminators: {width: 4, layers: 2}
  patch: 32
  validation: 2
  training: {steps: 3, batch_size: 2, device: cpu, precision: fp32}
"""


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)))


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    file = tmp_path / "tiny.yaml"
    file.write_text(SETTINGS)
    return file


def test_train_and_restore(settings: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    arguments = ("restorer", "train", settings, "--out", out, "-j", 1, "-q")
    trained = _run(*arguments)
    assert trained.exit_code == 0, trained.output
    assert "2 images held out of training" in trained.stdout
    assert trained.stdout.count("compressed") == trained.stdout.count("restored") == 2
    assert str(out / "restorer.safetensors") in trained.stdout.splitlines()
    originals = open_store(out / "stores/originals")
    assert [record.key.split("/")[0] for record in originals.records] == list("000011")
    assert {(record.width, record.height) for record in originals.records} == {(40, 40)}
    before = (out / "restorer.safetensors").read_bytes()
    facts = json.loads(_run(*arguments, "--json").stdout)
    assert [row["codec"] for row in facts["quality"]] == ["jpeg:quality=10", "jpeg:quality=30"]
    assert facts["held_out"] == 2
    assert (out / "restorer.safetensors").read_bytes() == before

    compressed, restored = out / "stores/jpeg-quality=10", tmp_path / "restored"
    command = ("store", "restore", compressed, restored, "--restorer", facts["weights"], "-q")
    made = _run(*command, "--device", "cpu", "--json")
    assert made.exit_code == 0, made.output
    assert "warning" not in made.stderr
    facts = json.loads(made.stdout)
    assert (facts["done"], facts["source_bytes"]) == (6, open_store(compressed).total_bytes)
    again = _run(*command, "--device", "cpu")
    assert "6 images restored from" in again.stdout
    assert "0 done now, 6 were there" in again.stdout
    other = _run("store", "compress", originals.path, tmp_path / "q5", "-c", "jpeg:quality=5", "-q")
    assert other.exit_code == 0, other.output
    warned = _run(*command[:2], tmp_path / "q5", tmp_path / "r5", *command[4:])
    assert warned.exit_code == 0
    assert warned.stderr.count("warning:") == 1
    assert "trained for jpeg:quality=10, jpeg:quality=30, not for jpeg:quality=5" in warned.stderr


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("codecs=[jpg]", "unknown codec 'jpg'"),
        ("restorer.preset=tny", "did you mean tiny?"),
        ("restorer.patch=16", "restorer.patch = 16"),
        ("images=[{root: nowhere}]", "nowhere: no such folder"),
        ("perception=nowhere", "nowhere"),
        ("restorer.validation=9", "validation = 9"),
        ("epochs=3", "unknown key 'epochs'"),
    ],
)
def test_wrong_settings_are_one_sentence(
    settings: Path, tmp_path: Path, override: str, message: str
) -> None:
    failed = _run("restorer", "train", settings, "-o", tmp_path / "o", "-q", "--set", override)
    assert failed.exit_code == 2, failed.output
    assert message in failed.stderr
    assert failed.stderr.count("\n") == 1


def test_restoring_with_something_else_is_one_sentence(settings: Path, tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    wrong = _run("store", "restore", tmp_path / "s", tmp_path / "d", "--restorer", settings)
    assert wrong.exit_code == 2
    assert "no store here" in wrong.stderr
    device = _run("store", "restore", "a", "b", "--restorer", settings, "--device", "gpu")
    assert "--device 'gpu': must be auto, cpu, cuda" in device.stderr


@pytest.mark.parametrize("file", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_examples_are_settings_of_restorers(file: Path) -> None:
    chosen = read_settings(file, RestorerTrainingSettings, "settings file")
    assert chosen.name == file.stem
