"""``ratewise restorer``: train."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ratewise.cli.support import (
    DevicesOption,
    JsonOption,
    NodesOption,
    QuietOption,
    WorkersOption,
    count,
    friendly_errors,
    print_json,
    print_table,
)

if TYPE_CHECKING:
    from ratewise.restoration.quality import Quality
    from ratewise.restoration.run import Trained

app = typer.Typer(no_args_is_help=True)


@app.callback()
def _noun() -> None:
    """Restorers: networks that give compressed images back what compression took."""


@app.command()
def train(
    settings: Annotated[
        Path, typer.Argument(metavar="SETTINGS", help="A settings file (YAML) of a restorer.")
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Weights, logs, stores.", show_default="runs/NAME"),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", help="Replace a value: --set restorer.preset=small (repeatable)."),
    ] = None,
    devices: DevicesOption = None,
    nodes: NodesOption = None,
    workers: WorkersOption = 0,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train a restorer for one codec, or over a range; leaves restorer.safetensors.

    The originals and what the codecs make of them are stored under OUT/stores.
    Interrupted and run again, it goes on. Images that are held out show how much
    it restores.

    Example:

      ratewise restorer train configs/restorers/small.yaml --out runs/restorer
    """
    with friendly_errors():
        from ratewise.execution import Resources
        from ratewise.restoration.training_settings import RestorerTrainingSettings
        from ratewise.settings_files import parse_overrides, read_settings
        from ratewise.training.launch import is_first, shared_devices

        replaced = parse_overrides(overrides or []) | {
            f"restorer.training.{name}": str(number)
            for name, number in shared_devices(devices, nodes).items()
        }
        chosen = read_settings(settings, RestorerTrainingSettings, "settings file", replaced)

        from ratewise.restoration.run import train_from_settings

        trained = train_from_settings(
            chosen,
            out or Path("runs") / chosen.name,
            base=settings.resolve().parent,
            resources=Resources(workers),
            quiet=quiet,
        )
        if not is_first():
            return
        if as_json:
            print_json({**asdict(trained), "weights": str(trained.weights)})
        else:
            _print(trained)


def _print(trained: Trained) -> None:
    if trained.quality:
        rows = [
            [row.codec, what, *_cells(quality)]
            for row in trained.quality
            for what, quality in (("compressed", row.compressed), ("restored", row.restored))
        ]
        title = f"{count(trained.held_out, 'image')} held out of training"
        print_table(title, ["codec", "images", "PSNR", "MS-SSIM dB", "perceptual index"], rows)
    print(trained.weights)


def _cells(quality: Quality) -> list[str]:
    values = (quality.psnr, quality.ms_ssim_db, quality.perceptual)
    return ["-" if value is None else f"{value:.2f}" for value in values]
