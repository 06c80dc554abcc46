"""Models as ONNX files that compute what PyTorch computes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from task_examples import (
    CLASSES,
    CLASSIFICATION,
    LABELS,
    classifier_file,
    segmentation_file,
)

from ratewise.errors import InputError, RatewiseError
from ratewise.tasks import classification, export
from ratewise.tasks.classification_predictor import ClassificationPredictor, LoadedClassifier
from ratewise.tasks.export import export_onnx
from ratewise.tasks.models import load_any


def _run(path: Path, images: np.ndarray) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {"images": images})
    return logits


def _metadata(path: Path) -> dict[str, str]:
    return {entry.key: entry.value for entry in onnx.load(path).metadata_props}


def test_segmentation_of_any_number_and_size(tmp_path: Path) -> None:
    model = load_any(segmentation_file(tmp_path))
    done = export_onnx(model, tmp_path / "m.onnx", size=(64, 48))
    assert done.fixed is None
    assert [(one.images, one.width, one.height) for one in done.checks] == [
        (1, 64, 48),
        (3, 104, 72),
    ]
    assert all(one.passed for one in done.checks)
    rng = np.random.default_rng(0)
    for shape in ((2, 3, 48, 64), (1, 3, 37, 81), (1, 3, 64, 64)):
        images = rng.random(shape, np.float32)
        with torch.no_grad():
            expected = model.model(torch.from_numpy(images)).numpy()
        found = _run(tmp_path / "m.onnx", images)
        assert found.shape == (shape[0], 3, *shape[2:])
        assert found == pytest.approx(expected, abs=1e-4)
    metadata = _metadata(tmp_path / "m.onnx")
    assert json.loads(metadata["classes"]) == list(CLASSES.names)
    assert json.loads(metadata["origin"]) == {"seed": 0}
    assert metadata["task"] == "segmentation"


def test_a_restricted_classifier_gives_the_classes_of_the_data_set(tmp_path: Path) -> None:
    model = load_any(classifier_file(tmp_path))
    assert isinstance(model, LoadedClassifier)
    done = export_onnx(model, tmp_path / "m.onnx")
    assert (done.width, done.height, done.fixed) == (160, 160, None)  # what it was published for
    pixels = np.random.default_rng(0).integers(0, 256, (2, 70, 90, 3)).astype(np.uint8)
    expected = ClassificationPredictor(model.model, device="cpu").class_scores(list(pixels))
    images = pixels.transpose(0, 3, 1, 2).astype(np.float32) / 255
    found = _run(tmp_path / "m.onnx", images)
    assert found.shape == (2, len(LABELS))
    assert found == pytest.approx(np.stack(expected), abs=1e-5)
    metadata = _metadata(tmp_path / "m.onnx")
    assert json.loads(metadata["classes"]) == list(LABELS)
    assert "picked from all outputs" in metadata["logits"]


def test_sides_that_the_model_fixes_are_said(tmp_path: Path) -> None:
    settings = CLASSIFICATION.model_copy(update={"model": "test_vit"})
    network = classification.initial_model(settings, LABELS, seed=0).eval()
    model = LoadedClassifier(network, settings, LABELS, {})
    done = export_onnx(model, tmp_path / "m.onnx")
    assert done.fixed is not None
    assert done.fixed.startswith("the model does not take 200x184 (")
    assert [(one.images, one.width, one.height) for one in done.checks] == [
        (1, 160, 160),
        (3, 160, 160),
    ]
    with pytest.raises(RatewiseError, match="cannot be converted to ONNX at 100x100"):
        export_onnx(model, tmp_path / "no.onnx", size=(100, 100))
    assert not (tmp_path / "no.onnx").exists()


def test_a_file_that_differs_from_pytorch_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_any(classifier_file(tmp_path))
    monkeypatch.setattr(export, "_reference", lambda network, images: np.zeros((len(images), 6)))
    with pytest.raises(RatewiseError, match=r"differ from PyTorch's by .* more than 0\.001"):
        export_onnx(model, tmp_path / "m.onnx", size=(64, 64))
    assert not (tmp_path / "m.onnx").exists()


def test_a_missing_extra_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_any(classifier_file(tmp_path))
    monkeypatch.setattr(
        export, "find_spec", lambda name: None if name == "onnxruntime" else object()
    )
    with pytest.raises(InputError, match=r"needs onnxruntime.*pip install 'ratewise\[onnx\]'"):
        export_onnx(model, tmp_path / "m.onnx")
    done = export_onnx(model, tmp_path / "m.onnx", size=(64, 64), check=False)
    assert done.checks == ()
