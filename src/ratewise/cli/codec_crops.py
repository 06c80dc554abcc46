"""``ratewise codec crops``: one part of a picture as several codecs have it."""

from __future__ import annotations

from math import isnan
from typing import Annotated

import typer

from ratewise.cli.codec import CodecsOption, InFile, OutFile
from ratewise.cli.support import friendly_errors, write_result


def crops(
    source: InFile,
    target: OutFile,
    codec: CodecsOption,
    box: Annotated[
        str | None,
        typer.Option(
            metavar="X,Y,W,H", help="The part, in pixels.", show_default="where most detail is"
        ),
    ] = None,
    titles: Annotated[
        list[str] | None,
        typer.Option("--title", help="What to call each codec instead of its spec (repeatable)."),
    ] = None,
    columns: Annotated[int, typer.Option(min=1, help="Crops in a row.")] = 4,
    enlarged: Annotated[int, typer.Option(min=1, max=16, help="Times as large.")] = 2,
) -> None:
    """Draw one part of an image, as it is and as each codec has it, into a PNG.

    Each crop has the bits per pixel, the PSNR and the MS-SSIM of the whole image (no MS-SSIM if a
    side is under 176). The same is printed.

    Example: ratewise codec crops street.png crops.png --codec jpeg:quality=10 --codec bpg:qp=40
    """
    with friendly_errors():
        from ratewise import codecs
        from ratewise.errors import InputError
        from ratewise.images import encode_png
        from ratewise.metrics.distortion import ms_ssim, psnr
        from ratewise.metrics.rate import bits_per_pixel
        from ratewise.report.bench_crops import detailed_box
        from ratewise.report.crop_sheet import TitledCrop, crop_sheet
        from ratewise.report.pictures import crop

        if target.suffix.lower() != ".png":
            raise InputError(f"{target}: crops are written as PNG; end its name in .png")
        specs = list(dict.fromkeys(one for sweep in codec for one in codecs.expand(sweep)))
        names = titles or specs
        if len(names) != len(specs):
            raise InputError(f"{len(names)} titles for {len(specs)} codecs: give one for each")
        image = codecs.read_picture(source)
        part = detailed_box(image) if box is None else _parsed(box, image.shape)
        where = f"{part[2]}x{part[3]} at {part[0]},{part[1]}"
        found = [TitledCrop("original", where, crop(image, part))]
        for name, spec in zip(names, specs, strict=True):
            one = codecs.codec(spec)
            data = one.encode(image)
            decoded = one.decode(data)
            rate, similarity = bits_per_pixel(len(data), *image.shape[:2]), ms_ssim(image, decoded)
            note = f"{rate:.3f} bpp, {psnr(image, decoded):.2f} dB"
            note += "" if isnan(similarity) else f", MS-SSIM {similarity:.4f}"
            found.append(TitledCrop(name, note, crop(decoded, part)))
            print(f"{name}: {note}")
        write_result(target, encode_png(crop_sheet(found, columns=columns, enlarged=enlarged)))


def _parsed(box: str, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """``X,Y,W,H`` inside of an image of ``shape``."""
    from ratewise.errors import InputError

    try:
        x, y, width, height = (int(part) for part in box.split(","))
    except ValueError:
        raise InputError(f"--box {box}: must be four whole numbers X,Y,W,H") from None
    if min(x, y) < 0 or min(width, height) < 1 or x + width > shape[1] or y + height > shape[0]:
        raise InputError(f"--box {box}: is not inside of the {shape[1]}x{shape[0]} image")
    return x, y, width, height
