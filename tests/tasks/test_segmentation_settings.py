"""What a study file may say about a segmentation task."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import segmentation_models_pytorch as smp

from ratewise.errors import InputError
from ratewise.tasks.segmentation_settings import ARCHITECTURES, SegmentationSettings
from ratewise.validation import validate


def test_the_architectures_are_those_of_segmentation_models_pytorch() -> None:
    assert {name.lower() for name in ARCHITECTURES} == set(smp.MODEL_ARCHITECTURES_MAPPING)
    assert all(hasattr(smp, name) for name in ARCHITECTURES)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"architecture": "DeepLabv3Plus"}, "did you mean DeepLabV3Plus?"),
        ({"architectur": "Unet"}, "did you mean architecture?"),
        ({"output_stride": 32}, "output_stride"),
        ({"augmentation": {"scale": [2, 0.5]}}, "first scale"),
        ({"augmentation": {"crop": [0, 10]}}, "augmentation.crop"),
        ({"class_weights": [1.0, 0.0]}, "class_weights"),
        ({"class_weights": "median"}, "median_frequency"),
        ({"holdout": 1.0}, "holdout"),
        ({"normalisation": {"std": 0}}, "normalisation.std"),
        ({"encoder_weights": ""}, "imagenet"),
    ],
)
def test_wrong_values_are_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        validate(SegmentationSettings, values, "study.yaml")
    assert message in str(caught.value)


def test_one_number_normalises_all_colours() -> None:
    settings = validate(SegmentationSettings, {"normalisation": {"mean": 0.5, "std": 0.5}}, "x")
    assert settings.normalisation is not None
    assert settings.normalisation.mean == settings.normalisation.std == (0.5, 0.5, 0.5)


def test_what_decides_the_result_reads_back_and_leaves_out_where_it_runs() -> None:
    settings = SegmentationSettings(encoder="resnet34", cache_mebibytes=5)
    deciding = settings.deciding()
    assert "cache_mebibytes" not in deciding
    again = validate(SegmentationSettings, deciding, "header")
    assert again.encoder == "resnet34"
    assert again.deciding() == deciding


def test_settings_are_read_without_torch() -> None:
    script = (
        "import sys, ratewise.tasks.segmentation_settings, ratewise.recipes;"
        "print(sorted({'torch', 'timm'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
