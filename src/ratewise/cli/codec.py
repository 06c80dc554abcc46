"""``ratewise codec``: encode, decode and bench."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ratewise.cli.support import (
    AddressOption,
    EngineOption,
    JsonOption,
    QuietOption,
    WorkersOption,
    count,
    friendly_errors,
    parse_size,
    print_json,
    print_table,
    write_result,
)

if TYPE_CHECKING:
    from ratewise.codecs import Choice
    from ratewise.codecs.bench import BenchResult
    from ratewise.images import Image

app = typer.Typer(no_args_is_help=True)

CodecOption = Annotated[
    str, typer.Option("--codec", "-c", metavar="SPEC", help="Such as jpeg:quality=10.")
]
CodecsOption = Annotated[
    list[str],
    typer.Option(
        "--codec",
        "-c",
        metavar="SPEC",
        help="Such as jpeg:quality=10, or a sweep: jpeg:quality=5,10,30 (repeatable).",
    ),
]
InFile = Annotated[Path, typer.Argument(metavar="IN", help="The file to read.")]
OutFile = Annotated[Path, typer.Argument(metavar="OUT", help="The file to write.")]


@app.command()
def encode(
    source: InFile,
    target: OutFile,
    codec: CodecOption,
    target_bpp: Annotated[
        float | None,
        typer.Option(metavar="BPP", help="The best picture of at most so many bits per pixel."),
    ] = None,
    target_bytes: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="The best picture of at most so many bytes: 2000, 2kB."),
    ] = None,
    target_psnr: Annotated[
        float | None,
        typer.Option(metavar="DB", help="The smallest file of at least so many dB of PSNR."),
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Encode an image; prints its bytes, bits per pixel and PSNR.

    With a target, --codec leaves its operating point out, or lists those to choose from.

    Example: ratewise codec encode street.png street.jpg --codec jpeg:quality=10

    Example: ratewise codec encode street.png street.bpg --codec bpg --target-bytes 2kB
    """
    with friendly_errors():
        from ratewise import codecs
        from ratewise.metrics.distortion import psnr
        from ratewise.metrics.rate import bits_per_pixel

        encode_image = _encoder(codec, target_bpp, target_bytes, target_psnr)
        _check_files(source, target)
        image = codecs.read_picture(source)
        choice = encode_image(image)
        data, spec = choice.data, choice.spec
        quality = choice.psnr
        if quality is None:
            quality = psnr(image, codecs.codec(spec).decode(data))
        write_result(target, data)
        bpp = bits_per_pixel(len(data), *image.shape[:2])
        if as_json:
            found = {"codec": spec, "bytes": len(data), "bpp": bpp, "psnr": quality}
            print_json(found | {"encodes": choice.encodes})
        elif not quiet:
            many = f", found in {count(choice.encodes, 'encode')}" if choice.encodes > 1 else ""
            print(f"{target}: {spec}, {len(data)} bytes, {bpp:.4f} bpp, {quality:.2f} dB{many}")


@app.command()
def decode(
    source: InFile,
    target: OutFile,
    codec: Annotated[
        str | None,
        typer.Option(
            "--codec",
            "-c",
            help="With weights or adaptations of your own: msh:adaptations=DIR.",
            show_default="known by the file",
        ),
    ] = None,
    quiet: QuietOption = False,
) -> None:
    """Decode a file of any codec's format, known by its content, to a PNG.

    Example: ratewise codec decode street.jpg street.png
    """
    with friendly_errors():
        from ratewise import codecs
        from ratewise.errors import CodecError, InputError
        from ratewise.images import encode_png

        _check_files(source, target)
        if target.suffix.lower() != ".png":
            raise InputError(f"{target}: a decoded image is written as PNG; end its name in .png")
        chosen = codecs.codec(codec) if codec else None
        data = source.read_bytes()
        try:
            coder = chosen or codecs.identify(data)
            image = coder.decode(data)
        except CodecError as error:
            raise InputError(f"{source}: {error}") from error
        write_result(target, encode_png(image))
        if not quiet:
            print(f"{target}: {coder.name}, {image.shape[1]}x{image.shape[0]}")


@app.command()
def bench(
    images: Annotated[
        list[Path], typer.Argument(metavar="IMAGES...", help="Image files, and folders of them.")
    ],
    codec: CodecsOption,
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder for results.")],
    anchor: Annotated[
        str | None,
        typer.Option(
            metavar="CODEC",
            help="The codec that the others are compared with, such as jpeg or bpg:chroma=444; "
            "by default the first that is given at two operating points or more.",
        ),
    ] = None,
    workers: WorkersOption = 1,
    engine: EngineOption = "local",
    address: AddressOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Measure codecs on images: bytes, PSNR, SSIM, MS-SSIM and CPU times, and compare them.

    Prints the means and, for each codec against the anchor, BD-rate: how many per cent more or
    fewer bits it needs at equal quality. Leaves report.html, rd.png, images.csv, summary.csv and
    bdrate.csv in the folder of --out.

    Example: ratewise codec bench photos/ --codec jpeg:quality=5,10,30 --codec bpg:qp=32,40,48
    --anchor jpeg --out bench
    """
    with friendly_errors():
        from ratewise import codecs
        from ratewise.codecs.bdrate import choose_anchor
        from ratewise.codecs.bench import bench as run_bench
        from ratewise.codecs.bench_folders import check_out, find_images
        from ratewise.errors import InputError, RatewiseError
        from ratewise.execution import Resources

        specs = list(dict.fromkeys(one for sweep in codec for one in codecs.expand(sweep)))
        anchor = choose_anchor(specs, anchor)
        found = find_images(images)
        check_out(out, images)
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"--out {out}: cannot be made ({error.strerror})") from None
        resources = Resources(workers, engine, address)
        result = run_bench(found, specs, resources, anchor=anchor, quiet=quiet)
        result.save(out)

        from ratewise.report.bench_crops import equal_rate_crops
        from ratewise.report.bench_report import write_bench_report
        from ratewise.report.rd_plot import plot_rate_distortion

        plot_rate_distortion(result.summary, out / "rd.png")
        crops = equal_rate_crops(result.images, specs, resources, quiet=quiet)
        write_bench_report(out / "report.html", result, crops)
        if as_json:
            print_json(
                {
                    "summary": result.summary.to_dict(orient="records"),
                    "bdrate": result.bdrate.to_dict(orient="records"),
                    "failures": [vars(failure) for failure in result.failures],
                }
            )
        else:
            _print_summary(result)
            _print_bdrate(result)
        if not (as_json or quiet):
            names = ("report.html", "rd.png", "images.csv", "summary.csv", "bdrate.csv")
            print(f"saved: {', '.join(str(out / name) for name in names)}")
        if result.failures:
            first = result.failures[0]
            failed, done = (int(result.summary[name].sum()) for name in ("failures", "images"))
            raise RatewiseError(
                f"{failed} of {failed + done} measurements failed, "
                f"see {out / 'failures.csv'}; the first: {first.message}"
            )


def _encoder(
    spec: str, bpp: float | None, size: str | None, decibels: float | None
) -> Callable[[Image], Choice]:
    """What ``codec encode`` does with an image, by its options; InputError if they are wrong."""
    from ratewise import codecs
    from ratewise.codecs.rate import check_target
    from ratewise.codecs.spec import parse_sweep
    from ratewise.errors import InputError

    given = {"--target-bpp": bpp, "--target-bytes": size, "--target-psnr": decibels}
    named = [option for option, value in given.items() if value is not None]
    if not named:
        coder = codecs.codec(spec)
        return lambda image: codecs.Choice(coder.spec, coder.encode(image), 1)
    if len(named) > 1:
        raise InputError(f"{' and '.join(named)} are both given: an image has one target")
    limit = None if size is None else parse_size(size, "--target-bytes")
    check_target(spec, limit or bpp or decibels or 0.0, named[0])
    name, options = parse_sweep(spec)
    point = codecs.kind(name).range()
    if point and len(options.get(point.name, [])) == 1:
        raise InputError(
            f"{named[0]} chooses {point.name}, but --codec {spec} gives it: leave it out, or list "
            "several to choose from"
        )
    if limit is not None:
        return lambda image: codecs.encode_to_bytes(spec, image, limit)
    if bpp is not None:
        return lambda image: codecs.encode_to_bpp(spec, image, bpp)
    return lambda image: codecs.encode_to_psnr(spec, image, decibels or 0.0)


def _check_files(source: Path, target: Path) -> None:
    from ratewise.errors import InputError

    if not source.is_file():
        raise InputError(f"{source}: {'not a file' if source.exists() else 'no such file'}")
    if target.is_dir():
        raise InputError(f"{target}: this is a folder; give the name of a file")
    if not target.parent.is_dir():
        raise InputError(f"{target}: there is no folder {target.parent}")
    if target.exists() and target.samefile(source):
        raise InputError(f"{target}: the file to write is the file to read")


def _print_summary(result: BenchResult) -> None:
    columns = {
        "codec": "{}",
        "images": "{}",
        "bytes": "{:.0f}",
        "bpp": "{:.4f}",
        "psnr": "{:.2f}",
        "ssim": "{:.4f}",
        "ms_ssim": "{:.4f}",
        "ms_ssim_db": "{:.2f}",
        "encode_ms": "{:.2f}",
        "decode_ms": "{:.2f}",
    }
    titles = ["codec", "images", "bytes", "bpp", "PSNR", "SSIM", "MS-SSIM", "MS-SSIM dB"]
    rows = [
        ["-" if value != value else shown.format(value) for value, shown in cells]
        for cells in (
            [(row[name], shown) for name, shown in columns.items()]
            for row in result.summary.to_dict(orient="records")
        )
    ]
    print_table("", [*titles, "enc ms", "dec ms"], rows)


def _print_bdrate(result: BenchResult) -> None:
    """The table of differences to the anchor; nothing where there is none."""
    from ratewise.codecs.bdrate import METRICS

    rows = [
        [
            str(row["codec"]),
            METRICS[row["metric"]],
            *(
                "-" if value != value else f"{value:+.{digits}f}"
                for value, digits in ((row["bd_rate_percent"], 1), (row["bd_quality_db"], 2))
            ),
            str(row["note"]),
        ]
        for row in result.bdrate.to_dict(orient="records")
    ]
    if rows:
        columns = ["codec", "metric", "BD-rate %", "BD-quality dB", "note"]
        print_table(f"Against {result.anchor}", columns, rows)
    elif result.anchor is None:
        print("No comparison: it takes a codec with two operating points or more as the anchor.")
