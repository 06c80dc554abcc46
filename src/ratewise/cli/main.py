"""The ``ratewise`` command: one file per noun. Nothing heavy is imported before it is used."""

from __future__ import annotations

import io
import sys
from importlib.metadata import version
from typing import Annotated

import typer

from ratewise.cli import (
    codec,
    codec_adapt,
    codec_crops,
    codec_list,
    codec_train,
    data,
    restorer,
    store,
    store_contents,
    study,
    task,
)

app = typer.Typer(
    name="ratewise",
    help="What compression costs a vision model, and how to win it back.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
codec.app.command("list")(codec_list.list_codecs)
codec.app.command("crops")(codec_crops.crops)
codec.app.command("train")(codec_train.train)
codec.app.command("adapt")(codec_adapt.adapt)
codec.app.command("forgetting")(codec_adapt.forgetting)
store.app.command("info")(store_contents.info)
store.app.command("list")(store_contents.list_images)
store.app.command("verify")(store_contents.verify)
app.add_typer(codec.app, name="codec", help="Encode, decode and measure images with a codec.")
app.add_typer(store.app, name="store", help="Compress folders and data sets to real bitstreams.")
app.add_typer(restorer.app, name="restorer", help="Train networks that restore images.")
app.add_typer(task.app, name="task", help="Train, measure, run and export models of a task.")
app.add_typer(study.app, name="study", help="Measure what each bit buys a model.")
app.add_typer(data.app, name="data", help="The data sets that ratewise reads.")


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"ratewise {version('ratewise')}")
        raise typer.Exit


@app.callback()
def _options(
    show_version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print it."),
    ] = False,
) -> None:
    """Options of the program itself."""


def main() -> None:
    """Entry point of the ``ratewise`` command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # file names may be any bytes
    try:
        app()
    except KeyboardInterrupt:  # while commands are looked up; within one, it has its own word
        raise SystemExit(130) from None
