"""``ratewise task predict``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from ratewise.cli.store_source import prepare_settings
from ratewise.cli.support import (
    AddressOption,
    EngineOption,
    QuietOption,
    WorkersOption,
    count,
    fail,
    finite,
    friendly_errors,
)
from ratewise.errors import InputError

if TYPE_CHECKING:
    from ratewise.data.classes import Classes
    from ratewise.tasks.inference import Prediction

ModelFile = Annotated[
    Path, typer.Argument(metavar="MODEL", help="Weights of `ratewise task train`, or of a study.")
]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
PrecisionOption = Annotated[str, typer.Option(help="auto, fp32 or bf16.")]
BatchOption = Annotated[
    int, typer.Option(min=1, help="Images of one size that go through the model together.")
]


def predict(
    model: ModelFile,
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILES...", help="Bitstreams and pictures; folders; stores."),
    ],
    masks: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write a PNG mask of each file there.")
    ] = None,
    colours: Annotated[
        bool, typer.Option("--colours", help="Masks in the classes' colours, not as class ids.")
    ] = False,
    resize: Annotated[str | None, typer.Option(help="Resize first, WIDTHxHEIGHT.")] = None,
    short_side: Annotated[int | None, typer.Option(help="Resize the short side first.")] = None,
    crop: Annotated[str | None, typer.Option(help="Then crop the centre, WIDTHxHEIGHT.")] = None,
    codec: Annotated[
        str | None,
        typer.Option(
            "--codec", "-c", metavar="SPEC", help="For streams that need it: msh:weights=FILE."
        ),
    ] = None,
    batch_size: BatchOption = 32,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    workers: WorkersOption = 1,
    engine: EngineOption = "local",
    address: AddressOption = None,
    quiet: QuietOption = False,
) -> None:
    """Predict on bitstreams of any codec here and on pictures; prints JSON lines.

    Each file is recognised by its content and decoded. One line per file, in
    their order: of a classifier class, probability and top5; of a segmentation
    model the share of pixels of each class.

    MODEL may be a joint codec's weights, too: the maps are then read from its own
    files (.rwj), without decoding a picture.

    Exit code 1: files that could not be predicted on have a line with an error.

    Examples:

      ratewise task predict model.safetensors photos-q46/ --masks masks/

      ratewise task predict classifier.safetensors a.jpg b.bpg c.rwn
        --short-side 256 --crop 224x224
    """
    with friendly_errors():
        check_choices(device, precision)
        settings = prepare_settings(resize, short_side, crop, None, None)

        from ratewise.execution import Resources, progress
        from ratewise.joint.inference import (
            is_joint_model,
            open_predictor,
            predict_bitstreams,
            predict_by_joint,
        )
        from ratewise.tasks.decoding import Decoding
        from ratewise.tasks.inference import facts, predict_files
        from ratewise.tasks.inputs import check_apart, find_inputs, mask_path
        from ratewise.tasks.models import class_names, load_any
        from ratewise.tasks.worker_inference import PredictJob, predict_by_workers

        resources = Resources(workers, engine, address)
        decoding = Decoding(settings, codec)
        job = PredictJob(model, decoding, device, cast(Any, precision), batch_size)
        inputs = find_inputs(files)
        if masks is not None:
            check_apart(masks, files)
        if is_joint_model(model):
            joint = open_predictor(model, decoding, device=device, precision=precision)
            classes: Classes | None = joint.model.classes
            names = joint.model.classes.names
            found = predict_bitstreams(joint, inputs, batch_size=batch_size)
            if resources.processes > 1:
                found = predict_by_workers(job, inputs, resources, predict_by_joint)
        else:
            loaded = load_any(model)
            classes, names = getattr(loaded, "classes", None), class_names(loaded)
            if engine == "ray":
                found = predict_by_workers(job, inputs, resources)
            else:
                found = predict_files(
                    loaded,
                    inputs,
                    decoding,
                    device=device,
                    precision=cast(Any, precision),
                    batch_size=batch_size,
                    resources=resources,
                )
        _check_masks(classes, model, masks, colours)
        out = sys.stdout  # a live display would take what is printed for its own
        failed = done = 0
        with progress("predict", None, quiet=quiet or out.isatty()) as bar:
            for prediction in found:
                line = facts(prediction, names)
                if masks is not None and prediction.mask is not None:
                    path = mask_path(masks, prediction.input)
                    _write_mask(path, prediction, classes, colours)
                    line["mask"] = str(path)
                print(json.dumps(finite(line), ensure_ascii=False), file=out, flush=True)
                done, failed = done + 1, failed + (prediction.error is not None)
                bar.advance()
        if failed:
            fail(f"{failed} of {count(done, 'file')} could not be predicted on", code=1)


def check_choices(device: str, precision: str) -> None:
    """Raise :class:`InputError` for a device or a precision that there is not."""
    for option, value, allowed in (
        ("--device", device, ("auto", "cpu", "cuda")),
        ("--precision", precision, ("auto", "fp32", "bf16")),
    ):
        if value not in allowed:
            raise InputError(f"{option} {value!r}: must be {', '.join(allowed)}")


def _check_masks(classes: Classes | None, model: Path, masks: Path | None, colours: bool) -> None:
    if masks is None:
        if colours:
            raise InputError("--colours needs --masks")
        return
    if classes is None:
        raise InputError(f"--masks: {model} is a classifier, which predicts no masks")
    try:
        masks.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--masks {masks}: cannot be made ({error.strerror})") from None


def _write_mask(path: Path, prediction: Prediction, classes: Classes | None, colours: bool) -> None:
    from ratewise.images import write_png

    mask = prediction.mask
    assert mask is not None
    if colours and classes is not None:
        from ratewise.report.pictures import colourise

        mask = colourise(mask, classes)
    write_png(path, mask)
