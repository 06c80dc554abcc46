"""``ratewise task``: train, evaluate, predict and export."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from ratewise.cli.support import JsonOption, count, friendly_errors, print_json, print_table
from ratewise.cli.task_predict import (
    BatchOption,
    DeviceOption,
    ModelFile,
    PrecisionOption,
    check_choices,
    predict,
)
from ratewise.cli.task_train import train
from ratewise.errors import InputError

if TYPE_CHECKING:
    from ratewise.data.store import Store
    from ratewise.tasks.export import Exported
    from ratewise.tasks.models import Evaluation

app = typer.Typer(no_args_is_help=True)


@app.callback()
def _noun() -> None:
    """Tasks: what a model does with the images."""


app.command()(train)


@app.command()
def evaluate(
    model: ModelFile,
    store: Annotated[Path, typer.Argument(metavar="STORE", help="With masks, or with labels.")],
    batch_size: BatchOption = 8,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Measure a model on the images of a store: accuracy or IoU, for each class too.

    Example:

      ratewise task evaluate runs/streets/model.safetensors val-q46/
    """
    with friendly_errors():
        check_choices(device, precision)

        from ratewise.data.store import open_store
        from ratewise.tasks.models import class_names, evaluate_on, load_any

        opened = open_store(store)
        loaded = load_any(model)
        result = evaluate_on(
            loaded,
            opened,
            str(model),
            device=device,
            precision=cast(Any, precision),
            batch_size=batch_size,
        )
        names = class_names(loaded)
        if as_json:
            about = {"model": str(model), "store": str(store), "codec": opened.codec}
            print_json({**about, "bpp": opened.bpp, **result.metrics})
        else:
            _print_evaluation(result, names, opened)


app.command()(predict)


@app.command()
def export(
    model: ModelFile,
    out: Annotated[Path, typer.Argument(metavar="OUT.onnx", help="The file to write.")],
    size: Annotated[
        str | None,
        typer.Option(
            help="WIDTHxHEIGHT to convert at.", show_default="the model's own, else 256x256"
        ),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check/--no-check", help="Compare with PyTorch on random images.")
    ] = True,
    as_json: JsonOption = False,
) -> None:
    """Write a model as ONNX, and check it against PyTorch with onnxruntime.

    Input `images`, float32 (N, 3, H, W) in [0, 1]; output `logits` of the data
    set's classes. Normalisation is inside; the classes' names are in the metadata.
    Needs the extra `onnx`. A difference above 0.001 of the logits' range is an
    error.

    Example:

      ratewise task export runs/streets/model.safetensors streets.onnx
    """
    with friendly_errors():
        wanted = None if size is None else _sides(size)
        if out.suffix.lower() != ".onnx":
            raise InputError(f"{out}: a model is written as ONNX; end its name in .onnx")
        if out.is_dir():
            raise InputError(f"{out}: this is a folder; give the name of a file")

        from ratewise.tasks.export import export_onnx
        from ratewise.tasks.models import load_any

        done = export_onnx(load_any(model), out, size=wanted, check=check)
        if as_json:
            print_json(_export_facts(done))
        else:
            _print_export(done)


def _sides(text: str) -> tuple[int, int]:
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise InputError(f"--size {text!r}: must be WIDTHxHEIGHT, such as 224x224")
    return int(width), int(height)


def _print_evaluation(result: Evaluation, names: tuple[str, ...], store: Store) -> None:
    """The means, then a row per class; all in per cent."""
    metrics = result.metrics
    per_class = [key for key in metrics if key.startswith(("iou:", "accuracy:"))]
    means = [key for key in metrics if key not in per_class and key != "images"]
    shown = ", ".join(f"{key} {_percent(metrics[key])}" for key in means)
    images = count(int(metrics["images"]), "image")
    print(f"{store.path}: {images}, {store.codec}, {store.bpp:.4f} bpp")
    print(f"per cent: {shown}")
    what = per_class[0].partition(":")[0]
    counts = result.matrix.sum(axis=1)
    column, total = ("pixels", max(1, int(counts.sum()))) if what == "iou" else ("images", 0)
    rows = [
        [name, _percent(metrics[f"{what}:{name}"]), _percent(n / total) if total else str(n)]
        for name, n in zip(names, counts, strict=True)
    ]
    title = "IoU" if what == "iou" else "accuracy"
    print_table("", ["class", f"{title} %", f"{column} %" if total else column], rows)


def _percent(share: float) -> str:
    return "-" if share != share else f"{100 * share:.1f}"


def _export_facts(done: Exported) -> dict[str, Any]:
    checks = [{**vars(one), "relative": one.relative} for one in done.checks]
    return {**vars(done), "path": str(done.path), "checks": checks}


def _print_export(done: Exported) -> None:
    if done.fixed is None:
        sides = "any width and height"
    else:
        sides = f"{done.width}x{done.height} alone: {done.fixed}"
    print(f"{done.path}: {done.bytes / 1e6:.2f} MB, any number of images, {sides}")
    for one in done.checks:
        print(
            f"{count(one.images, 'image')} of {one.width}x{one.height}: largest difference "
            f"{one.difference:.1e}, {one.relative:.1e} of the logits' range"
        )
