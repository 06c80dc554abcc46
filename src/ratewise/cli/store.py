"""``ratewise store``: compress, decompress, restore."""

from __future__ import annotations

import sys
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from ratewise.cli.store_contents import StorePath, name_problems
from ratewise.cli.store_facts import control_line
from ratewise.cli.store_rates import RateOptions, compress_by_rate
from ratewise.cli.store_source import prepare_settings, source_of
from ratewise.cli.support import (
    AddressOption,
    EngineOption,
    JsonOption,
    QuietOption,
    WorkersOption,
    count,
    disk,
    fail,
    friendly_errors,
    place,
    print_json,
)
from ratewise.errors import InputError

if TYPE_CHECKING:
    from ratewise.data.compress import StoreSummary
    from ratewise.data.sources import Source
    from ratewise.execution import Resources

app = typer.Typer(no_args_is_help=True)


@app.command()
def compress(
    src: Annotated[
        Path,
        typer.Argument(
            metavar="SRC",
            parser=place,
            help="Folder of images, a store, or the root of a data set (- for a generated one).",
        ),
    ],
    dst: Annotated[
        Path,
        typer.Argument(metavar="DST", parser=place, help="Folder or address of the new store."),
    ],
    codec: Annotated[
        str, typer.Option("--codec", "-c", help="Codec spec, such as jpeg:quality=10.")
    ],
    budget: Annotated[
        str | None, typer.Option(help="Bytes that all files may take together, such as 2GB.")
    ] = None,
    objective: Annotated[
        str | None, typer.Option(help="What is best under a budget: psnr (default), mse or task.")
    ] = None,
    agreement: Annotated[
        float | None,
        typer.Option(help="Instead of a budget: the share of predictions that must stay."),
    ] = None,
    model: Annotated[
        Path | None, typer.Option(help="Whose predictions: a weights file of a task.")
    ] = None,
    device: Annotated[str, typer.Option(help="Of the model: auto, cpu or cuda.")] = "auto",
    data: Annotated[str | None, typer.Option(help="Data set: see `ratewise data list`.")] = None,
    split: Annotated[str | None, typer.Option(help="Split of the data set.")] = None,
    option: Annotated[
        list[str] | None,
        typer.Option("--set", help="Option of the data set, KEY=VALUE; may be repeated."),
    ] = None,
    resize: Annotated[str | None, typer.Option(help="Resize first, WIDTHxHEIGHT.")] = None,
    short_side: Annotated[int | None, typer.Option(help="Resize the short side first.")] = None,
    crop: Annotated[str | None, typer.Option(help="Then crop the centre, WIDTHxHEIGHT.")] = None,
    tile: Annotated[str | None, typer.Option(help="Then cut into tiles, WIDTHxHEIGHT.")] = None,
    grid: Annotated[
        str | None, typer.Option(help="So many tiles, spread evenly, COLUMNSxROWS.")
    ] = None,
    shard_images: Annotated[
        int | None,
        typer.Option(min=1, help="So many images in each of a number of tar files (WebDataset)."),
    ] = None,
    workers: WorkersOption = 0,
    engine: EngineOption = "local",
    address: AddressOption = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Compress a folder of images, or a split of a data set, to real bitstreams.

    The store has the tree of the source. Interrupted and run again, it goes on.

    Under a budget each image gets its own operating point, so that all of them
    take at most that many bytes and the mean PSNR (or MSE) is best. --codec then
    says which points are allowed: bpg, bpg:chroma=444, bpg:qp=29,37,46.

    With --objective task a model's predictions on the decoded images are as close
    as can be to those on the originals; with --agreement each image has the
    smallest file on which they stay the same. No labels are looked at.

    Exit code 1: images that could not be read are in failures.csv, all others
    are done.

    Examples:

      ratewise store compress photos/ photos-j10/ --codec jpeg:quality=10

      ratewise store compress camvid/ out/ --data camvid --split val
        --codec webp:quality=20 --resize 240x180

      ratewise store compress - out/ --data streets --split train
        --set train=50 --codec png

      ratewise store compress photos/ photos-2gb/ --codec bpg --budget 2GB

      ratewise store compress photos/ photos-2gb/ --codec bpg --budget 2GB
        --objective task --model model.safetensors

      ratewise store compress photos/ photos-98/ --codec bpg --agreement 0.98
        --model model.safetensors

      ratewise store compress photos/ s3://bucket/photos-j10 --codec
        jpeg:quality=10 --shard-images 1000 --engine ray --address auto
    """
    with friendly_errors():
        from ratewise.data.compress import compress_store
        from ratewise.execution import Resources

        resources = Resources(workers, engine, address)
        rates = RateOptions.parse(budget, objective, agreement, model, device)
        settings = prepare_settings(resize, short_side, crop, tile, grid)
        source = source_of(src, data, split, option or [], settings)
        control = None
        if shard_images is not None:
            summary = _compressed_shards(source, dst, codec, shard_images, rates, resources, quiet)
        elif rates is None:
            summary = compress_store(source, dst, codec, resources=resources, quiet=quiet)
        else:
            fitted = compress_by_rate(rates, source, dst, codec, resources, quiet)
            summary, control = fitted.store, fitted.rate_control.to_dict()
        if json:
            facts = {**asdict(summary), "bpp": summary.bpp, "path": str(dst)}
            print_json({**facts, "rate_control": control} if control else facts)
        else:
            print(
                f"{dst}: {summary.images} images, {_size(summary.bytes)} "
                f"(from {_size(summary.source_bytes)}), {summary.bpp:.3f} bpp; "
                f"{summary.done} done now, {summary.skipped} were there, {summary.failed} failed"
            )
            if control:
                print(control_line(control))
        if summary.failed:
            failed = count(summary.failed, "image")
            fail(f"{failed} could not be compressed; see {dst / 'failures.csv'}", code=1)


def _compressed_shards(
    source: Source,
    dst: Path,
    codec: str,
    images: int,
    rates: RateOptions | None,
    resources: Resources,
    quiet: bool,
) -> StoreSummary:
    from ratewise.data.sharding import compress_shards

    if rates is not None:
        raise InputError("--shard-images cannot be combined with --budget or --agreement")
    return compress_shards(
        source, dst, codec, shard_images=images, resources=resources, quiet=quiet
    )


@app.command()
def decompress(
    src: StorePath,
    dst: Annotated[
        Path, typer.Argument(parser=disk, metavar="DST", help="Folder for the PNG images.")
    ],
    workers: WorkersOption = 0,
    engine: EngineOption = "local",
    address: AddressOption = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Decode a store to PNG images in the same tree, with its masks.

    Example:

      ratewise store decompress photos-j10/ photos-decoded/
    """
    with friendly_errors():
        from ratewise.data.decompress import decompress_store
        from ratewise.data.store import open_store
        from ratewise.execution import Resources

        summary = decompress_store(
            open_store(src), dst, resources=Resources(workers, engine, address), quiet=quiet
        )
        if json:
            print_json({**asdict(summary), "path": str(dst)})
        else:
            print(f"{dst}: {summary.done} images decoded, {summary.skipped} were there")
        if summary.failures:
            name_problems(summary.failures)
            fail(f"{count(len(summary.failures), 'image')} could not be decoded", code=1)


@app.command()
def restore(
    src: StorePath,
    dst: Annotated[
        Path,
        typer.Argument(parser=disk, metavar="DST", help="Folder of the new store, of PNG images."),
    ],
    restorer: Annotated[
        Path, typer.Option("--restorer", "-r", help="Weights of `ratewise restorer train`.")
    ],
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32 or bf16.")] = "auto",
    workers: WorkersOption = 1,
    engine: EngineOption = "local",
    address: AddressOption = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Restore the images of a store: a new store with the same tree and masks.

    Interrupted and run again, it goes on. One process uses all cores; several
    (--workers) use one core each, and load the restorer each.

    Exit code 1: images that could not be read are in failures.csv, all others
    are done.

    Example:

      ratewise store restore photos-q46/ photos-restored/ --restorer runs/r/restorer.safetensors
    """
    with friendly_errors():
        for option, value, allowed in (
            ("--device", device, ("auto", "cpu", "cuda")),
            ("--precision", precision, ("auto", "fp32", "bf16")),
        ):
            if value not in allowed:
                raise InputError(f"{option} {value!r}: must be {', '.join(allowed)}")

        from ratewise.data.store import open_store
        from ratewise.execution import Resources
        from ratewise.restoration.stores import MismatchWarning, mismatches, restore_store

        store = open_store(src)
        for sentence in mismatches(store, [restorer]):
            print(f"warning: {sentence}", file=sys.stderr)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", MismatchWarning)
            summary = restore_store(
                store,
                dst,
                [restorer],
                resources=Resources(workers, engine, address),
                quiet=quiet,
                device=device,
                precision=cast(Any, precision),
            )
        if json:
            print_json({**asdict(summary), "path": str(dst)})
        else:
            print(
                f"{dst}: {summary.images} images restored from {_size(summary.source_bytes)}; "
                f"{summary.done} done now, {summary.skipped} were there, {summary.failed} failed"
            )
        if summary.failed:
            failed = count(summary.failed, "image")
            fail(f"{failed} could not be restored; see {dst / 'failures.csv'}", code=1)


def _size(size: int) -> str:
    return f"{size / 1e6:.2f} MB" if size >= 1e5 else f"{size} bytes"
