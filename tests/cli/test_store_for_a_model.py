"""``ratewise store compress`` for a model's sake: budgets, agreements, resumed, refused."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage
from typer.testing import CliRunner, Result

from ratewise.cli.main import app
from ratewise.data import measurements
from ratewise.data.budget import compress_to_budget
from ratewise.data.classes import Classes
from ratewise.data.compress import compress_store
from ratewise.data.sources import FolderSource
from ratewise.data.store import open_store
from ratewise.files import sha256_file
from ratewise.images import Image
from ratewise.tasks import classification, classification_predictor, predictor, segmentation
from ratewise.tasks.classification_settings import ClassificationSettings
from ratewise.tasks.divergence import pointwise_divergence
from ratewise.tasks.segmentation_settings import SegmentationSettings
from ratewise.training.normalisation import Normalisation
from ratewise.training.weights import save_weights

LABELS = ("dog", "tench")
BLIND = 1e6
"""A standard deviation after which nothing is left of a colour."""


@pytest.fixture(scope="module")
def red(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier with random weights that sees red alone."""
    seen = Normalisation(mean=(0.5, 0, 0), std=(0.1, BLIND, BLIND))
    settings = ClassificationSettings(model="mobilenetv3_small_050", normalisation=seen)
    model = classification.initial_model(settings, LABELS, seed=1)
    with torch.no_grad():
        classification.head(model).weight.mul_(3000)  # type: ignore[operator]
    path = tmp_path_factory.mktemp("red") / "red.safetensors"
    classification_predictor.save_model(path, model, settings, LABELS)
    return path


@pytest.fixture(scope="module")
def masks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A segmentation model with random weights."""
    settings = SegmentationSettings(decoder_options={"decoder_channels": 16})
    path = tmp_path_factory.mktemp("masks") / "masks.safetensors"
    model = segmentation.initial_model(settings, 3, seed=0)
    classes = Classes(("sky", "road", "tree"), ((0, 0, 0),) * 3)
    predictor.save_model(path, model, settings, classes)
    return path


@pytest.fixture
def photos(tmp_path: Path) -> FolderSource:
    """Half have structure in red, half in blue: the codec and PSNR care for both."""
    folder = tmp_path / "photos"
    folder.mkdir()
    y, x = np.mgrid[:48, :64]
    for i in range(12):
        rng = np.random.default_rng(i)
        pixels = np.full((48, 64, 3), 128.0)
        structure = 60 * np.sin(x / (2 + i / 4) + i) * np.cos(y / (2 + i / 3))
        pixels[..., 0 if i % 2 else 2] += structure + rng.normal(0, 15, (48, 64))
        PillowImage.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(folder / f"{i:02}.png")
    return FolderSource(folder)


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["store", *map(str, arguments)])


def _compress(photos: FolderSource, out: Path, *arguments: object) -> Result:
    return _run("compress", photos.root, out, "-c", "jpeg", "-j", 1, "-q", *arguments)


def _tree(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _logits(model: torch.nn.Module, image: Image) -> torch.Tensor:
    with torch.no_grad():
        logits: torch.Tensor = model(torch.tensor(image).permute(2, 0, 1)[None].float() / 255)
    return logits


def _divergence(photos: FolderSource, folder: Path, model: torch.nn.Module) -> float:
    """The mean over the images of a store, computed anew."""
    store, values = open_store(folder), []
    for index, record in enumerate(store.records):
        original = np.array(PillowImage.open(photos.root / record.key))
        pair = (_logits(model, original), _logits(model, store.image(index)))
        values.append(float(pointwise_divergence(*pair).mean()))
    return float(np.mean(values))


def test_a_budget_buys_predictions_closer_than_one_point_or_psnr(
    photos: FolderSource, red: Path, tmp_path: Path
) -> None:
    budget = compress_store(photos, tmp_path / "fixed", "jpeg:quality=30").bytes
    compress_to_budget(photos, tmp_path / "psnr", "jpeg", budget)
    made = _compress(
        *(photos, tmp_path / "task", "--budget", budget),
        *("--objective", "task", "--model", red, "--json"),
    )
    assert made.exit_code == 0, made.output
    control = json.loads(made.stdout)["rate_control"]
    files = sum(path.stat().st_size for path in (tmp_path / "task").glob("*.jpg"))
    assert files == control["used"] <= budget
    assert (control["objective"], control["model"]) == ("task", sha256_file(red))
    model = classification_predictor.load_model(red).model
    found = {
        kind: _divergence(photos, tmp_path / kind, model) for kind in ("fixed", "psnr", "task")
    }
    assert found["task"] == pytest.approx(control["divergence"], rel=0.01)
    assert found["task"] < 0.5 * min(found["fixed"], found["psnr"])
    spent = {0: 0, 1: 0}
    for record in open_store(tmp_path / "task").records:
        spent[int(record.key[:2]) % 2] += record.bytes
    assert spent[1] > spent[0]  # on what is red
    digest = sha256_file(red)[:12]
    info = _run("info", tmp_path / "task").stdout
    assert f"least divergence of model {digest} over jpeg, {control['divergence']:.4g} nats" in info


def test_a_run_stopped_goes_on_with_its_model_alone_and_ends_the_same(
    photos: FolderSource, red: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = "jpeg:quality=2,5,10,15,20,30,45,60,80"
    arguments = ("-c", points, "--budget", 9000, "--objective", "task", "--model")
    assert _compress(photos, tmp_path / "whole", *arguments, red).exit_code == 0
    write, lines = measurements.Measurements._write, 0

    def stop(self: measurements.Measurements, value: dict[str, object]) -> None:
        nonlocal lines
        lines += 1
        if lines > 11:  # four were scouted, some surveyed
            raise KeyboardInterrupt
        write(self, value)

    monkeypatch.setattr(measurements.Measurements, "_write", stop)
    assert _compress(photos, tmp_path / "s", *arguments, red).exit_code == 130
    monkeypatch.undo()
    other = tmp_path / "other.safetensors"
    loaded = classification_predictor.load_model(red)
    classification_predictor.save_model(
        other, loaded.model, loaded.settings, LABELS, origin={"another": 1}
    )
    refused = _compress(photos, tmp_path / "s", *arguments, other)
    assert refused.exit_code == 2
    assert f"for task (model {sha256_file(red)[:12]})" in refused.stderr
    assert f"for task (model {sha256_file(other)[:12]})" in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert _compress(photos, tmp_path / "s", *arguments, red).exit_code == 0
    assert _tree(tmp_path / "s") == _tree(tmp_path / "whole")


def test_agreement_holds_on_what_the_store_decodes_to(
    photos: FolderSource, masks: Path, tmp_path: Path
) -> None:
    for number in range(6, 12):
        (photos.root / f"{number:02}.png").unlink()
    codec = ("-c", "jpeg:quality=5,20,50,80,95,100")
    made = _run(
        *("compress", photos.root, tmp_path / "s", *codec, "-j", 1, "-q"),
        *("--agreement", 0.9, "--model", masks, "--json"),
    )
    assert made.exit_code == 0, made.output
    reached = json.loads(made.stdout)["rate_control"]["agreement"]
    model, store = predictor.load_model(masks).model, open_store(tmp_path / "s")
    shares = []
    for index, record in enumerate(store.records):
        original = np.array(PillowImage.open(photos.root / record.key))
        same = _logits(model, original).argmax(1) == _logits(model, store.image(index)).argmax(1)
        shares.append(float(same.float().mean()))
    assert sum(share < 0.9 for share in shares) == reached["short"]
    assert reached["short"] < 6
    assert np.mean(shares) == pytest.approx(reached["reached"])
    assert len({record.codec for record in store.records}) > 1
    line = f"agrees on {reached['reached']:.2%} of pixels in the mean (asked: 0.9 of each image)"
    assert f"model {sha256_file(masks)[:12]} {line}" in _run("info", tmp_path / "s").stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--budget", "9kB", "--agreement", "0.9", "--model", "{red}"], "exclude each other"),
        (["--agreement", "1.5", "--model", "{red}"], "--agreement = 1.5: must be above 0 and"),
        (["--agreement", "0.9"], "--agreement needs --model"),
        (["--budget", "9kB", "--objective", "task"], "--objective task needs --model"),
        (["--budget", "9kB", "--model", "{red}"], "--model needs --agreement, or --budget"),
        (["--model", "{red}"], "--model needs --agreement, or --budget"),
        (["--agreement", "0.9", "--model", "{red}", "--device", "tpu"], "--device 'tpu': must be"),
        (["--agreement", "0.9", "--model", "{photo}"], "not a readable safetensors file"),
        (["--agreement", "0.9", "--model", "{none}"], "no such weights file"),
        (["--agreement", "0.9", "--model", "{other}"], "is not the file of a trained task model"),
        (["--agreement", "0.9", "--model", "{red}", "-c", "png"], "has no operating point"),
        (
            [
                *("--budget", "9kB", "--objective", "task", "--model", "{red}"),
                *("--data", "streets", "--split", "val"),
            ],
            "predicts classes of whole images, which this data set does not have",
        ),
    ],
)
def test_wrong_input_is_one_sentence_and_exit_code_2(
    photos: FolderSource, red: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    save_weights(tmp_path / "other.safetensors", {"w": torch.zeros(1)}, {})
    files = {
        "red": red,
        "photo": photos.root / "00.png",
        "none": tmp_path / "none.safetensors",
        "other": tmp_path / "other.safetensors",
    }
    filled = [argument.format(**files) for argument in arguments]
    source = "-" if "streets" in arguments else photos.root
    result = _run("compress", source, tmp_path / "out", "-c", "jpeg", "-j", 1, "-q", *filled)
    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()
