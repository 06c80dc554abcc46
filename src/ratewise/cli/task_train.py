"""``ratewise task train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ratewise.cli.support import (
    DevicesOption,
    JsonOption,
    NodesOption,
    QuietOption,
    WorkersOption,
    friendly_errors,
    print_json,
)


def train(
    settings: Annotated[
        Path, typer.Argument(metavar="SETTINGS", help="A settings file (YAML) of a task's model.")
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Weights, logs, store.", show_default="runs/NAME"),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", help="Replace a value: --set codec=bpg:qp=46 (repeatable)."),
    ] = None,
    devices: DevicesOption = None,
    nodes: NodesOption = None,
    workers: WorkersOption = 0,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train one model of a task on images through one codec; leaves model.safetensors.

    What the codec makes of the images is stored under OUT/stores. Interrupted and
    run again, it goes on. To compare codecs, rates or recipes, run a study.

    Several devices share each batch, so that their number changes the time and not
    the result. torchrun and SLURM may start their processes.

    Examples:

      ratewise task train configs/tasks/streets.yaml --out runs/streets

      ratewise task train configs/tasks/streets.yaml --devices 4

      torchrun --nproc-per-node 4 -m ratewise task train configs/tasks/streets.yaml
    """
    with friendly_errors():
        from ratewise.execution import Resources
        from ratewise.recipes.run import MODEL, train_from_settings
        from ratewise.settings_files import parse_overrides, read_settings
        from ratewise.tasks.training_settings import TaskTrainingSettings
        from ratewise.training.launch import is_first, shared_devices

        replaced = parse_overrides(overrides or []) | {
            f"task.training.{name}": str(number)
            for name, number in shared_devices(devices, nodes).items()
        }
        chosen = read_settings(settings, TaskTrainingSettings, "settings file", replaced)
        folder = out or Path("runs") / chosen.name
        base = settings.resolve().parent
        result = train_from_settings(
            chosen, folder, base=base, resources=Resources(workers), quiet=quiet
        )
        if not is_first():
            return
        if as_json:
            facts = {"weights": str(folder / MODEL), "steps": result.steps, "best": result.best}
            print_json(facts)
            return
        if result.best is not None and not quiet:
            measured = [f"{k} {v:.4g}" for k, v in result.best.items() if k.startswith("holdout_")]
            print(f"{', '.join(measured)} on the images held out")
        print(folder / MODEL)
