"""What a study file may say about a classification task."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from ratewise.errors import InputError
from ratewise.tasks.classification_settings import ClassificationSettings
from ratewise.training.settings import ScheduleSettings
from ratewise.validation import validate


def test_the_defaults_are_those_of_the_paper() -> None:
    settings = ClassificationSettings()
    assert settings.optimiser.kind == "adam"
    assert settings.optimiser.betas == (0.5, 0.99)
    assert settings.optimiser.lr == 1e-5
    schedule = settings.optimiser.schedule
    assert isinstance(schedule, ScheduleSettings)
    assert (schedule.kind, schedule.factor, schedule.patience) == ("plateau", 0.2, 3)
    assert settings.training.epochs == 45
    assert settings.augmentation is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"modell": "resnet50"}, "did you mean model?"),
        ({"head": "old"}, "head"),
        ({"weights": "imagnet"}, "weights = 'imagnet': give null, 'imagenet' or a file"),
        ({"weights": ""}, "'imagenet'"),
        ({"head_classes": ["a", "b"]}, "restricted"),
        ({"head": "restricted", "head_classes": ["a", "b", "a"]}, "'a' is named twice"),
        ({"head": "restricted", "head_classes": []}, "head_classes"),
        ({"holdout": 1.0}, "holdout"),
        ({"normalisation": {"std": 0}}, "normalisation.std"),
        ({"augmentation": {"crop_scale": [0.5, 0.1]}}, "the first must not be above the second"),
        ({"augmentation": {"crop_scale": [0.0, 1.0]}}, "augmentation.crop_scale"),
        ({"augmentation": {"crop_scale": [0.5, 1.1]}}, "augmentation.crop_scale"),
        ({"augmentation": {"ratio": [2, 1]}}, "augmentation.ratio"),
        ({"augmentation": {"size": [0, 10]}}, "augmentation.size"),
    ],
)
def test_wrong_values_are_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        validate(ClassificationSettings, values, "study.yaml")
    assert message in str(caught.value)


def test_what_decides_the_result_reads_back_and_leaves_out_where_it_runs() -> None:
    settings = ClassificationSettings(
        model="resnet18", head="restricted", weights="a.pth", cache_mebibytes=5
    )
    assert settings.weights_file == "a.pth"
    deciding = settings.deciding()
    assert "cache_mebibytes" not in deciding
    again = validate(ClassificationSettings, deciding, "header")
    assert again.model == "resnet18"
    assert again.deciding() == deciding


@pytest.mark.parametrize("weights", [None, "imagenet"])
def test_weights_that_are_no_file(weights: str | None) -> None:
    assert ClassificationSettings(weights=weights).weights_file is None


def test_settings_and_metrics_are_read_without_torch() -> None:
    script = (
        "import sys, ratewise.tasks.classification_settings, ratewise.metrics.classification;"
        "print(sorted({'torch', 'timm'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
