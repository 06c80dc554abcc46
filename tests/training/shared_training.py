"""Run by test_training_devices.py, once or by several processes: fits a line.

Arguments: folder, devices, the step in which all processes die (-1: none).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from training_examples import Line, Regression

from ratewise.training.loop import fit
from ratewise.training.settings import OptimiserSettings, TrainingSettings
from ratewise.training.step import Stepper


def dying_in(step: int) -> Any:
    """``Stepper.step`` that ends the process in a step."""
    whole = Stepper.step

    def until(self: Stepper, parts: Any, number: int) -> None:
        if number == step:
            os._exit(9)
        whole(self, parts, number)

    return until


if __name__ == "__main__":
    folder, devices, last = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    Stepper.step = dying_in(last)  # type: ignore[method-assign]
    settings = TrainingSettings(
        epochs=6, batch_size=4, devices=devices, device="cpu", precision="fp32",
        clip_norm=1.0, checkpoint_seconds=0,
    )  # fmt: skip
    fit(Regression(OptimiserSettings(kind="adam", lr=0.05)), Line(), settings, folder, quiet=True)
