"""What a decoded image costs a model: the divergence, the disagreement, whose model it is."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, rel_entr

from ratewise.data.classes import Classes
from ratewise.errors import InputError
from ratewise.images import Image
from ratewise.tasks import classification, classification_predictor, predictor, segmentation
from ratewise.tasks.classification_settings import ClassificationSettings
from ratewise.tasks.rate_objective import predicting_model
from ratewise.tasks.segmentation_settings import SegmentationSettings
from ratewise.training.weights import save_weights

LABELS = ("cat", "dog", "owl")
SETTINGS = ClassificationSettings(
    model="mobilenetv3_small_050", head="restricted", head_classes=["owl", "ant", "cat", "dog"]
)
MASKS = SegmentationSettings(decoder_options={"decoder_channels": 16})
CLASSES = Classes(("sky", "road", "tree"), ((0, 0, 0),) * 3)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("c") / "classifier.safetensors"
    model = classification.initial_model(SETTINGS, LABELS, seed=0)
    with torch.no_grad():  # scores that differ between images
        classification.head(model).weight.mul_(300)  # type: ignore[operator]
    classification_predictor.save_model(path, model, SETTINGS, LABELS)
    return path


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("s") / "segmenter.safetensors"
    model = segmentation.initial_model(MASKS, len(CLASSES), seed=0)
    predictor.save_model(path, model, MASKS, CLASSES)
    return path


def _versions(size: tuple[int, int] = (40, 56)) -> tuple[Image, list[Image]]:
    """An image, and itself, and others of it."""
    rng = np.random.default_rng(0)
    original = rng.integers(0, 256, (*size, 3)).astype(np.uint8)
    return original, [original, *(original // k for k in (2, 3, 5, 8))]


def _logits(model: torch.nn.Module, image: Image) -> np.ndarray:
    with torch.no_grad():
        pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
        return model(pixels)[0].double().numpy()


def _kl(teacher: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Over axis 0, by scipy."""
    p, q = np.exp(log_softmax(teacher, axis=0)), np.exp(log_softmax(other, axis=0))
    return rel_entr(p, q).sum(axis=0)


def test_of_a_classifier_it_is_the_divergence_over_the_classes_of_the_data_set(
    classifier: Path,
) -> None:
    model = classification_predictor.load_model(classifier).model
    original, decoded = _versions()
    own = [2, 3, 0]  # cat, dog, owl among the outputs
    expected = [_kl(_logits(model, original)[own], _logits(model, d)[own]) for d in decoded]
    found = predicting_model(classifier, device="cpu").divergence.measure(original, decoded)
    assert found == pytest.approx(expected, rel=1e-3, abs=1e-6)
    assert found[0] == pytest.approx(0, abs=1e-6)
    assert min(found) >= 0
    assert max(found) > 0.01


def test_of_segmentation_it_is_the_mean_over_all_pixels(segmenter: Path) -> None:
    model = predictor.load_model(segmenter).model
    original, decoded = _versions()
    expected = [_kl(_logits(model, original), _logits(model, d)).mean() for d in decoded]
    asked = predicting_model(segmenter, device="cpu")
    assert asked.divergence.measure(original, decoded) == pytest.approx(
        expected, rel=1e-3, abs=1e-7
    )
    ours = _logits(model, original).argmax(0)
    differ = [float((_logits(model, d).argmax(0) != ours).mean()) for d in decoded]
    assert asked.disagreement.measure(original, decoded) == pytest.approx(differ, abs=1e-3)
    assert asked.of == "pixels"
    assert max(differ) > 0.01


def test_a_classifier_agrees_or_does_not(classifier: Path) -> None:
    model = classification_predictor.load_model(classifier).model
    original, decoded = _versions()
    top = [int(_logits(model, image)[[2, 3, 0]].argmax()) for image in [original, *decoded]]
    asked = predicting_model(classifier, device="cpu")
    assert asked.disagreement.measure(original, decoded) == [float(t != top[0]) for t in top[1:]]
    assert asked.of == "images"


def test_a_value_does_not_depend_on_what_was_asked_before_or_on_the_process(
    classifier: Path,
) -> None:
    original, decoded = _versions()
    aim = predicting_model(classifier, device="cpu").divergence
    first = aim.measure(original, decoded[1:3])
    aim.measure(*_versions((32, 32)))
    threads = torch.get_num_threads()
    assert pickle.loads(pickle.dumps(aim)).measure(original, decoded[1:3]) == first
    assert torch.get_num_threads() == threads


@dataclass(frozen=True)
class _Source:
    classes: Classes | None
    labels: tuple[str, ...] | None


def test_a_model_of_other_classes_is_refused(classifier: Path, segmenter: Path) -> None:
    ours, masks = predicting_model(classifier), predicting_model(segmenter)
    ours.check(_Source(None, LABELS))
    ours.check(_Source(None, None))  # pictures of anything: no label is needed
    masks.check(_Source(CLASSES, None))
    for model, source, message in [
        (ours, _Source(None, ("cat", "cow", "owl")), "classes are not the data set's: .* dog"),
        (ours, _Source(CLASSES, None), "predicts classes of whole images, which this data set"),
        (masks, _Source(None, LABELS), "predicts classes of pixels, which this data set"),
        (masks, _Source(Classes(("sky", "sea"), ((0, 0, 0),) * 2), None), "sea"),
    ]:
        with pytest.raises(InputError, match=message):
            model.check(source)


def test_a_file_that_is_no_model_or_changes_is_refused(classifier: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such weights file"):
        predicting_model(tmp_path / "none.safetensors")
    save_weights(tmp_path / "other.safetensors", {"w": torch.zeros(1)}, {"format": "another"})
    with pytest.raises(InputError, match=r"other\.safetensors: is not the file of a trained task"):
        predicting_model(tmp_path / "other.safetensors")
    aim = predicting_model(classifier).divergence
    changed = replace(aim, file=replace(aim.file, digest="0" * 64))
    with pytest.raises(InputError, match="has changed since this run began"):
        changed.measure(*_versions())
