"""``ratewise codec``: list, encode, decode and bench."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ratewise.cli.support import (
    JsonOption,
    QuietOption,
    WorkersOption,
    friendly_errors,
    print_json,
    print_table,
    write_result,
)

if TYPE_CHECKING:
    from ratewise.codecs.bench import BenchResult

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


@app.command("list")
def list_codecs(as_json: JsonOption = False) -> None:
    """List the codecs, their operating points and options.

    Example: ratewise codec list
    """
    with friendly_errors():
        from ratewise.codecs import names

        codecs = [_describe(name) for name in names()]
        if as_json:
            print_json(codecs)
            return
        for codec in codecs:
            _print_description(codec)


@app.command()
def encode(
    source: InFile,
    target: OutFile,
    codec: CodecOption,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Encode an image; prints its bytes, bits per pixel and PSNR.

    Example: ratewise codec encode street.png street.jpg --codec jpeg:quality=10
    """
    with friendly_errors():
        from ratewise import codecs
        from ratewise.images import read_image
        from ratewise.metrics.distortion import psnr
        from ratewise.metrics.rate import bits_per_pixel

        coder = codecs.codec(codec)
        _check_files(source, target)
        image = read_image(source)
        data = coder.encode(image)
        quality = psnr(image, coder.decode(data))
        write_result(target, data)
        bpp = bits_per_pixel(len(data), *image.shape[:2])
        if as_json:
            print_json({"codec": coder.spec, "bytes": len(data), "bpp": bpp, "psnr": quality})
        elif not quiet:
            print(f"{target}: {coder.spec}, {len(data)} bytes, {bpp:.4f} bpp, {quality:.2f} dB")


@app.command()
def decode(source: InFile, target: OutFile, quiet: QuietOption = False) -> None:
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
        data = source.read_bytes()
        try:
            coder = codecs.identify(data)
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
    workers: WorkersOption = 1,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Measure codecs on images: bytes, PSNR, SSIM, MS-SSIM and times.

    Prints the means; leaves images.csv, summary.csv and rd.png in the folder of --out.

    Example: ratewise codec bench photos/ --codec jpeg:quality=5,10,30 --codec png --out bench
    """
    with friendly_errors():
        from ratewise import codecs
        from ratewise.codecs.bench import bench as run_bench
        from ratewise.codecs.bench import find_images
        from ratewise.errors import InputError, RatewiseError
        from ratewise.execution import Resources

        specs = [one for sweep in codec for one in codecs.expand(sweep)]
        found = find_images(images)
        if out.exists() and not out.is_dir():
            raise InputError(f"--out {out}: there is a file of this name; give a folder")
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"--out {out}: cannot be made ({error.strerror})") from None
        result = run_bench(found, specs, Resources(workers=workers), quiet=quiet)
        result.save(out)

        from ratewise.report.rd_plot import plot_rate_distortion

        plot_rate_distortion(result.summary, out / "rd.png")
        if as_json:
            print_json(
                {
                    "summary": result.summary.to_dict(orient="records"),
                    "failures": [vars(failure) for failure in result.failures],
                }
            )
        else:
            _print_summary(result)
        if not (as_json or quiet):
            print(f"saved: {out / 'images.csv'}, {out / 'summary.csv'}, {out / 'rd.png'}")
        if result.failures:
            first = result.failures[0]
            failed, done = (int(result.summary[name].sum()) for name in ("failures", "images"))
            raise RatewiseError(
                f"{failed} of {failed + done} measurements failed, "
                f"see {out / 'failures.csv'}; the first: {first.message}"
            )


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


def _describe(name: str) -> dict[str, Any]:
    from ratewise import codecs
    from ratewise.errors import InputError

    try:
        kind = codecs.kind(name)
    except InputError as error:  # a plugin that cannot be loaded
        return {"codec": name, "available": False, "reason": str(error)}
    point = kind.range()
    reason = kind.unavailable()
    return {
        "codec": name,
        "available": reason is None,
        "reason": reason,
        "operating_point": vars(point) if point else None,
        "options": [vars(option) for option in kind.options()],
        "versions": dict(kind.libraries()),
    }


def _print_description(codec: dict[str, Any]) -> None:
    versions = ", ".join(f"{key} {value}" for key, value in codec.get("versions", {}).items())
    print(codec["codec"] + (f"  ({versions})" if versions else ""))
    if not codec["available"]:
        print(f"  not available: {codec['reason']}")
    point = codec.get("operating_point")
    for option in codec.get("options", []):
        line = f"  {option['name']}={option['default']}  {option['allowed']}"
        if point and option["name"] == point["name"]:
            better = "larger" if point["higher_is_better"] else "smaller"
            line += f"; the operating point, {better} is better and costs more bytes"
        print(line)


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
