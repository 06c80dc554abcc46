"""Tiny trained models, in the sense of being on disk: a segmentation model and a classifier."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ratewise.data.classes import Classes, default_colours
from ratewise.images import Image
from ratewise.tasks import classification, classification_predictor, predictor, segmentation
from ratewise.tasks.classification_settings import ClassificationSettings
from ratewise.tasks.segmentation_settings import SegmentationSettings

CLASSES = Classes(("sky", "road", "pole"), default_colours(3))
LABELS = ("cat", "dog", "owl", "ant", "bee", "fox")
OUTPUTS = ["elk", *reversed(LABELS), "hen"]
SEGMENTATION = SegmentationSettings(
    architecture="Unet",
    encoder="tu-test_resnet",
    decoder_options={"decoder_channels": [16, 8, 8, 4, 4]},
)
CLASSIFICATION = ClassificationSettings(
    model="test_efficientnet", head="restricted", head_classes=OUTPUTS
)


def segmentation_file(folder: Path) -> Path:
    """A model file of three classes with random weights."""
    path = folder / "segmentation.safetensors"
    model = segmentation.initial_model(SEGMENTATION, 3, seed=0)
    predictor.save_model(path, model, SEGMENTATION, CLASSES, origin={"seed": 0})
    return path


def classifier_file(folder: Path) -> Path:
    """A model file of eight outputs, six of which are classes, with random weights."""
    path = folder / "classifier.safetensors"
    model = classification.initial_model(CLASSIFICATION, LABELS, seed=0)
    classification_predictor.save_model(path, model, CLASSIFICATION, LABELS, origin={"seed": 0})
    return path


def picture(number: int, height: int = 64, width: int = 96) -> Image:
    """A smooth random picture, which codecs do not turn into another."""
    rng = np.random.default_rng(number)
    coarse = rng.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3))
    return np.kron(coarse, np.ones((8, 8, 1)))[:height, :width].astype(np.uint8)
