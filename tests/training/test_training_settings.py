"""Training settings: what is refused, and that planning needs no torch."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ratewise.errors import InputError
from ratewise.training.settings import OptimiserSettings, ScheduleSettings, TrainingSettings
from ratewise.validation import validate


@pytest.mark.parametrize(
    ("model", "value", "words"),
    [
        (TrainingSettings, {}, "either epochs or steps"),
        (TrainingSettings, {"epochs": 1, "steps": 1}, "either epochs or steps"),
        (TrainingSettings, {"epochs": 0}, "greater than or equal to 1"),
        (TrainingSettings, {"epochs": 1, "batch_size": 3, "devices": 2}, "multiple of devices"),
        (TrainingSettings, {"epochs": 1, "batch_size": 3, "accumulate": 4}, "accumulate = 4"),
        (TrainingSettings, {"epochs": 1, "precision": "fp16"}, "precision"),
        (TrainingSettings, {"epochs": 1, "epoch": 2}, "did you mean epochs?"),
        (OptimiserSettings, {"kind": "adam", "momentum": 0.5}, "momentum is an option of sgd"),
        (OptimiserSettings, {"kind": "sgd", "betas": (0.5, 0.9)}, "betas is an option of adam"),
        (OptimiserSettings, {"schedule": "polly"}, "schedule.kind"),
        (ScheduleSettings, {"kind": "poly", "patience": 2}, "patience is an option of plateau"),
        (ScheduleSettings, {"kind": "plateau", "warmup": 0.1}, "not of plateau"),
    ],
)
def test_wrong_settings_are_named(model: type, value: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        validate(model, value, "study.yaml")


def test_a_schedule_can_be_given_by_its_name() -> None:
    assert OptimiserSettings(schedule="poly").schedule == ScheduleSettings(kind="poly")  # type: ignore[arg-type]


def test_only_settings_that_decide_the_result_are_compared() -> None:
    slow = TrainingSettings(epochs=2, workers=0, checkpoint_seconds=1, device="cpu")
    fast = TrainingSettings(epochs=2, workers=4, checkpoint_epochs=3, tensorboard=True)
    assert slow.deciding() == fast.deciding()
    assert slow.deciding() != TrainingSettings(epochs=2, batch_size=4).deciding()


def test_planning_imports_no_torch() -> None:
    code = (
        "import sys; import ratewise.training.settings, ratewise.training.schedule; "
        "sys.exit(any(name in sys.modules for name in ('torch', 'numpy', 'lightning')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
