"""``ratewise codec train``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ratewise.cli.support import (
    DevicesOption,
    JsonOption,
    NodesOption,
    QuietOption,
    friendly_errors,
    print_json,
)
from ratewise.errors import InputError

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
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="VARIANT", help="Of kind: joint, these variants alone (repeatable)."),
    ] = None,
    devices: DevicesOption = None,
    nodes: NodesOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train learned codecs on your images; leaves one weights file for each lambda.

    Interrupted and run again, it goes on. Use the result as msh:weights=FILE; of
    settings with kind: joint, which train one network for pictures and
    segmentation maps, as joint:weights=FILE.

    Example: ratewise codec train configs/codecs/msh-small.yaml --out runs/msh-small
    """
    with friendly_errors():
        from ratewise.settings_files import overridden, parse_overrides, read_values
        from ratewise.training.launch import is_first, shared_devices

        values = read_values(settings, "settings file", parse_overrides(overrides or []))
        joint = values.get("kind") == "joint"
        shared = shared_devices(devices, nodes)
        keys = {f"training.{name}" if joint else name: str(n) for name, n in shared.items()}
        overridden(values, keys)
        if "kind" in values and not joint:
            raise InputError(
                f"{settings}: kind = {values['kind']!r}: must be joint; a family of codecs has none"
            )
        if only and not joint:
            raise InputError("--only names variants, which settings of kind: joint have")
        trained = (
            _joint(settings, values, out, only or [], quiet)
            if joint
            else _family(settings, values, out, quiet)
        )
        if not is_first():
            return
        if as_json:
            print_json([{"weights": str(one)} for one in trained])
        else:
            for one in trained:
                print(one)


def _family(file: Path, values: Any, out: Path | None, quiet: bool) -> list[Path]:
    """A family of codecs that share everything but lambda."""
    from ratewise.data.photographs import open_photographs
    from ratewise.neural.training.settings import CodecTrainingSettings
    from ratewise.validation import validate

    chosen = validate(CodecTrainingSettings, values, str(file))
    base = file.resolve().parent
    photographs = open_photographs(chosen.images, base)

    from ratewise.neural.training.run import train_codecs

    folder = out or Path("runs") / chosen.name
    return train_codecs(chosen, photographs, folder, base=base, quiet=quiet)


def _joint(file: Path, values: Any, out: Path | None, only: list[str], quiet: bool) -> list[Path]:
    """Joint codecs: variants by lambdas."""
    from ratewise.joint.settings import JointTrainingSettings
    from ratewise.validation import validate

    chosen = validate(JointTrainingSettings, values, str(file))

    from ratewise.joint.run import train_joint

    return train_joint(
        chosen,
        out or Path("runs") / chosen.name,
        base=file.resolve().parent,
        only=only,
        quiet=quiet,
        said=None if quiet else lambda sentence: print(sentence, file=sys.stderr),
    )
