"""``ratewise codec train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ratewise.cli.support import JsonOption, QuietOption, friendly_errors, print_json

SettingsFile = Annotated[
    Path, typer.Argument(metavar="SETTINGS", help="A settings file (YAML) of codecs to train.")
]


def train(
    settings: SettingsFile,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Weights and logs.", show_default="runs/NAME"),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", help="Replace a value: --set patch=128 (repeatable)."),
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train learned codecs on your images; leaves one weights file for each lambda.

    Interrupted and run again, it goes on. Use the result as msh:weights=FILE.

    Example: ratewise codec train configs/codecs/msh-small.yaml --out runs/msh-small
    """
    with friendly_errors():
        from ratewise.data.photographs import open_photographs
        from ratewise.neural.training.settings import CodecTrainingSettings
        from ratewise.settings_files import parse_overrides, read_settings

        chosen = read_settings(
            settings, CodecTrainingSettings, "settings file", parse_overrides(overrides or [])
        )
        base = settings.resolve().parent
        photographs = open_photographs(chosen.images, base)
        folder = out or Path("runs") / chosen.name

        from ratewise.neural.training.run import train_codecs

        trained = train_codecs(chosen, photographs, folder, base=base, quiet=quiet)
        if as_json:
            print_json([{"weights": str(one)} for one in trained])
        else:
            for one in trained:
                print(one)
