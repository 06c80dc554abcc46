"""``ratewise task`` on the command line: train, evaluate, predict, export."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from typer.testing import CliRunner, Result

from ratewise.cli.main import app
from ratewise.data.store import open_store
from ratewise.images import read_image, read_mask, write_png
from ratewise.settings_files import read_settings
from ratewise.tasks import classification_predictor, predictor
from ratewise.tasks.models import load_any
from ratewise.tasks.training_settings import TaskTrainingSettings

CONFIGS = Path(__file__).parents[2] / "configs" / "tasks"

STREETS = """
name: tiny
data: {name: streets, train: 6, val: 2, width: 64, height: 48}
codec: jpeg:quality=20
task:
  architecture: Unet
  encoder: tu-test_resnet
  decoder_options: {decoder_channels: [16, 8, 8, 4, 4]}
  holdout: 0.3
  training: {epochs: 2, batch_size: 2, device: cpu, precision: fp32}
"""

ANIMALS = """
name: animals
data: {name: image_folder, root: animals}
prepare: {crop: [32, 32]}
task:
  kind: classification
  model: test_efficientnet
  holdout: 0
  optimiser: {kind: adam, lr: 1.0e-3}
  training: {steps: 2, batch_size: 2, device: cpu, precision: fp32}
"""


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)))


def _done(*arguments: object) -> str:
    result = _run(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A segmentation model (run/), a classifier (classifier/) and stores to test them on."""
    folder = tmp_path_factory.mktemp("task")
    (folder / "tiny.yaml").write_text(STREETS)
    (folder / "animals.yaml").write_text(ANIMALS)
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for label in ("cat", "dog"):
            for number in range(3):
                pixels = rng.integers(0, 256, (40, 44, 3)).astype(np.uint8)
                write_png(folder / "animals" / split / label / f"{number}.png", pixels)
    for settings, out in (("tiny", "run"), ("animals", "classifier")):
        _done("task", "train", folder / f"{settings}.yaml", "-o", folder / out, "-j", 1, "-q")
    streets = ("--data", "streets", "--split", "val", "--set", "val=2")
    sides = ("--set", "width=64", "--set", "height=48")
    compress = ("store", "compress")
    _done(*compress, "-", folder / "val", *streets, *sides, "-c", "bpg:qp=40", "-j", 1, "-q")
    animals = ("--data", "image_folder", "--split", "val", "--crop", "32x32")
    _done(*compress, folder / "animals", folder / "pets", *animals, "-c", "png", "-j", 1, "-q")
    return folder


def test_training_leaves_a_model_that_says_how_it_was_made(folder: Path) -> None:
    model = folder / "run/model.safetensors"
    before = model.read_bytes()
    assert load_any(model).origin == {
        "name": "tiny",
        "data": "streets",
        "split": "train",
        "prepare": "none",
        "codec": "jpeg:quality=20",
        "seed": 0,
    }
    assert open_store(folder / "run/stores/train").codec == "jpeg:quality=20"
    arguments = ("task", "train", folder / "tiny.yaml", "-o", folder / "run", "-j", 1)
    again = json.loads(_done(*arguments, "-q", "--json"))
    assert again["weights"] == str(model)
    assert again["best"]["holdout_miou"] >= 0
    assert model.read_bytes() == before
    said = _done(*arguments).splitlines()
    assert said[0].startswith("holdout_miou ")
    assert said[1:] == [str(model)]


def test_a_run_of_other_settings_in_the_same_folder_is_refused(folder: Path) -> None:
    other = _run(
        *("task", "train", folder / "tiny.yaml", "-o", folder / "run", "-q", "-j", 1),
        *("--set", "task.optimiser.lr=0.01"),
    )
    assert other.exit_code == 1
    assert "lr" in other.stderr
    codec = _run(
        *("task", "train", folder / "tiny.yaml", "-o", folder / "run", "-q", "-j", 1),
        *("--set", "codec=png"),
    )
    assert codec.exit_code == 2
    assert "holds a store of jpeg:quality=20" in codec.stderr


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("codec=jpg", "unknown codec 'jpg'"),
        ("task.encoder=resnet19", "resnet19"),
        ("data.name=street", "did you mean streets?"),
        ("split=test", "no split 'test'"),
        ("epochs=3", "unknown key 'epochs'"),
        ("task.kind=classification", "task"),
    ],
)
def test_wrong_settings_are_one_sentence(
    folder: Path, tmp_path: Path, override: str, message: str
) -> None:
    failed = _run(
        *("task", "train", folder / "tiny.yaml", "-o", tmp_path / "o", "-q", "--set", override)
    )
    assert failed.exit_code == 2, failed.output
    assert message in failed.stderr
    assert failed.stderr.count("\n") == 1


def test_evaluating_gives_the_metrics_of_the_store(folder: Path) -> None:
    model, store = folder / "run/model.safetensors", folder / "val"
    command = ("task", "evaluate", model, store, "--precision", "fp32")
    found = json.loads(_done(*command, "--json"))
    loaded = load_any(model)
    assert isinstance(loaded, predictor.LoadedModel)
    expected = predictor.evaluate(
        predictor.SegmentationPredictor(loaded.model), open_store(store), loaded.classes
    )
    assert found["miou"] == pytest.approx(expected.metrics["miou"], abs=1e-4)
    assert (found["images"], found["codec"]) == (2, "bpg:qp=40")
    said = _done(*command)
    assert f"miou {100 * found['miou']:.1f}" in said
    for name in loaded.classes.names:
        assert name in said

    pets = ("task", "evaluate", folder / "classifier/model.safetensors", folder / "pets")
    found = json.loads(_done(*pets, "--json"))
    assert found["top1"] == (found["accuracy:cat"] + found["accuracy:dog"]) / 2
    assert found["top5"] is None
    assert "top5 -" in _done(*pets)


def test_a_model_and_a_store_of_other_classes_are_named(folder: Path, tmp_path: Path) -> None:
    wrong = _run("task", "evaluate", folder / "run/model.safetensors", folder / "pets")
    assert wrong.exit_code == 2
    assert "pets: has no masks" in wrong.stderr
    wrong = _run("task", "evaluate", folder / "classifier/model.safetensors", folder / "val")
    assert "val: has no labels" in wrong.stderr
    classifier = load_any(folder / "classifier/model.safetensors")
    assert isinstance(classifier, classification_predictor.LoadedClassifier)
    other = tmp_path / "other.safetensors"
    classification_predictor.save_model(
        other, classifier.model, classifier.settings, ("cat", "elk")
    )
    wrong = _run("task", "evaluate", other, folder / "pets")
    assert wrong.exit_code == 2
    assert "the data set lacks elk; the model lacks dog" in wrong.stderr


def test_predicting_prints_a_line_for_each_file(folder: Path, tmp_path: Path) -> None:
    model, masks = folder / "run/model.safetensors", tmp_path / "masks"
    (tmp_path / "x").mkdir()
    (tmp_path / "x/bad.jpg").write_bytes(b"nothing")
    command = ("task", "predict", model, folder / "val", "--precision", "fp32")
    result = _run(*command, tmp_path / "x", "--masks", masks, "-q")
    assert result.exit_code == 1
    assert result.stderr == "error: 1 of 3 files could not be predicted on\n"
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    store = open_store(folder / "val")
    loaded = load_any(model)
    assert isinstance(loaded, predictor.LoadedModel)
    expected = predictor.SegmentationPredictor(loaded.model).predict(
        [store.image(index) for index in range(2)]
    )
    for line, record, mask in zip(lines, store.records, expected, strict=False):
        assert line["file"] == str(store.path / record.path)
        assert (line["codec"], line["width"], line["height"]) == ("bpg:qp=40", 64, 48)
        assert line["bytes"] == record.bytes
        assert line["mask"] == str(masks / "val" / f"{record.path}.png")
        assert (read_mask(Path(line["mask"])) == mask).all()
    assert lines[2].keys() == {"file", "error"}
    assert [path.name for path in masks.iterdir()] == ["val"]
    _done(*command, "--masks", tmp_path / "drawn", "--colours", "-q")
    drawn = read_image(tmp_path / "drawn" / f"{store.records[0].path}.png")
    assert (drawn == np.array(loaded.classes.colours, np.uint8)[expected[0]]).all()


def test_a_classifier_predicts_on_what_is_prepared(folder: Path) -> None:
    model = folder / "classifier/model.safetensors"
    file = folder / "animals/val/cat/0.png"
    crop = ("--crop", "32x32", "--precision", "fp32", "-q")
    (line,) = _done("task", "predict", model, file, *crop).splitlines()
    found = json.loads(line)
    assert (found["width"], found["height"]) == (44, 40)
    assert found["class"] in ("cat", "dog")
    assert found["top5"][0] == {"class": found["class"], "probability": found["probability"]}
    assert sum(top["probability"] for top in found["top5"]) == pytest.approx(1)
    stored = _done("task", "predict", model, folder / "pets", "--precision", "fp32", "-q")
    assert json.loads(stored.splitlines()[0])["probability"] == pytest.approx(found["probability"])


def test_what_cannot_be_predicted_on_is_told_before_any_work(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, val = folder / "run/model.safetensors", folder / "val"
    (tmp_path / "none").mkdir()
    (tmp_path / "text").write_text("text")
    classifier = folder / "classifier/model.safetensors"
    for arguments, message in (
        ((model, tmp_path / "gone"), "gone: no such file or folder"),
        ((model, tmp_path / "none"), "none: no images in this folder"),
        ((tmp_path / "text", val), "text: not a readable safetensors file"),
        ((tmp_path / "none", val), "none: no such weights file"),
        ((model, val, "--masks", val / "m"), "must lie outside"),
        ((model, val, "--masks", tmp_path / "text"), "there is a file of this name"),
        ((classifier, val, "--masks", tmp_path / "m"), "predicts no masks"),
        ((model, val, "--colours"), "--colours needs --masks"),
        ((model, val, "--device", "gpu"), "--device 'gpu'"),
        ((model, val, "--precision", "fp16"), "--precision 'fp16'"),
        ((model, val, "--crop", "224"), "--crop = '224'"),
        ((model, val, "--codec", "jpg"), "unknown codec 'jpg'"),
    ):
        wrong = _run("task", "predict", *arguments)
        assert wrong.exit_code == 2, wrong.output
        assert message in wrong.stderr
        assert wrong.stderr.count("\n") == 1
        assert wrong.stdout == ""
    assert not (tmp_path / "m").exists()


def test_exporting_says_what_it_checked(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, out = folder / "classifier/model.safetensors", tmp_path / "m.onnx"
    said = _done("task", "export", model, out, "--size", "32x32").splitlines()
    assert said[0].startswith(f"{out}: 0.4")
    assert said[0].endswith("MB, any number of images, any width and height")
    assert said[1].startswith("1 image of 32x32: largest difference ")
    assert said[2].startswith("3 images of 72x56: largest difference ")
    assert onnx.load(out).graph.input[0].name == "images"
    facts = json.loads(_done("task", "export", model, out, "--size", "32x32", "--json"))
    assert facts["fixed"] is None
    assert max(check["relative"] for check in facts["checks"]) < 1e-3
    for arguments, message in (
        ((model, tmp_path / "m.pt"), "end its name in .onnx"),
        ((model, out, "--size", "32"), "--size '32'"),
        ((folder / "tiny.yaml", out), "not a readable safetensors file"),
    ):
        wrong = _run("task", "export", *arguments)
        assert wrong.exit_code == 2
        assert message in wrong.stderr
    monkeypatch.setitem(sys.modules, "onnx", None)
    wrong = _run("task", "export", model, out)
    assert wrong.exit_code == 2
    assert "pip install 'ratewise[onnx]'" in wrong.stderr


@pytest.mark.parametrize("file", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_examples_are_settings_of_tasks(file: Path) -> None:
    chosen = read_settings(file, TaskTrainingSettings, "settings file")
    assert chosen.name == file.stem
