"""The report of ``ratewise codec bench``: one HTML file that needs nothing but itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ratewise import codecs
from ratewise.codecs.bdrate import METRICS, families
from ratewise.images import Image
from ratewise.metrics.rate import bits_per_pixel
from ratewise.report.bench_crops import CodedCrop, CropRow
from ratewise.report.comparison import comparison_notes
from ratewise.report.html import element, facts, line_key, picture, table_of, wrap
from ratewise.report.page import write_page
from ratewise.report.pictures import scale
from ratewise.report.rd_plot import QUALITY, family_styles, rate_panels
from ratewise.report.text import MISSING, number, quality, signed

if TYPE_CHECKING:
    import pandas as pd

    from ratewise.codecs.bench import BenchResult

_TIMES = (
    ("encode_ms_per_mp", "encode: CPU ms per megapixel"),
    ("decode_ms_per_mp", "decode: CPU ms per megapixel"),
)
_HEAT_FULL = 50.0  # a difference of 50 % of the bits has the full colour
_FAILURES_SHOWN = 20


def write_bench_report(path: Path, result: BenchResult, crops: Sequence[CropRow] = ()) -> None:
    """Write the report of a bench to ``path``, atomically.

    What is missing (a comparison without an anchor, crops, values that are not finite) is shown as
    "-" or left out, with the reason where there is one.
    """
    times = cpu_times(result.images)
    points = result.summary.merge(times, on="codec", how="left")
    body = [
        _header(result),
        _comparison(result),
        _curves(points),
        _crops(crops),
        _cpu(points),
        _points(points),
        _failures(result),
        _how(result),
    ]
    write_page(path, "Codec bench", body)


def cpu_times(images: pd.DataFrame) -> pd.DataFrame:
    """CPU time per codec over all its images: ``encode_ms_per_mp``, ``decode_ms_per_mp``."""
    import pandas as pd

    rows = [
        {
            "codec": codec,
            **{
                f"{what}_per_mp": 1e6 * own[what].sum() / (own["width"] * own["height"]).sum()
                for what in ("encode_ms", "decode_ms")
            },
        }
        for codec, own in images.groupby("codec", sort=False)
    ]
    return pd.DataFrame(rows, columns=["codec", *(name for name, _ in _TIMES)])


def _header(result: BenchResult) -> str:
    specs = list(result.summary["codec"])
    images = result.images["image"].nunique()
    text = (
        f"{_count(images, 'image')}, {_count(len(families(specs)), 'codec')}, "
        f"{_count(len(specs), 'operating point')}."
    )
    finding = _finding(result)
    return wrap(
        "header",
        [
            element("h1", "Codec bench"),
            element("p", text, class_="quiet"),
            wrap("div", [element("p", finding)], class_="finding") if finding else "",
        ],
    )


def _finding(result: BenchResult) -> str:
    """One sentence: who needs how many bits more or fewer than the anchor at equal PSNR."""
    rows = result.bdrate[result.bdrate["metric"] == "psnr"].dropna(subset=["bd_rate_percent"])
    if rows.empty:
        return ""
    rows = rows.sort_values("bd_rate_percent", kind="stable")
    parts = [
        f"{name} needs {abs(value):.0f} % {'fewer' if value < 0 else 'more'}"
        for name, value in zip(rows["codec"], rows["bd_rate_percent"], strict=True)
    ]
    return f"At equal PSNR, in bits per pixel against {result.anchor}: {', '.join(parts)}."


def _comparison(result: BenchResult) -> str:
    table = result.bdrate
    if table.empty:
        text = "No codec was benched at two operating points or more beside another: no comparison."
        return _section("Bits at equal quality", element("p", text))
    titles = ["PSNR: bits", "quality", "MS-SSIM: bits", "quality"]
    first = element("th", "codec", class_="text")
    head = wrap("tr", [first, *(element("th", title) for title in titles)])
    body = []
    for name, rows in table.groupby("codec", sort=False):
        cells = [element("td", name, class_="text")]
        for metric in METRICS:
            row = rows[rows["metric"] == metric].iloc[0]
            cells.append(_heat_cell(float(row["bd_rate_percent"])))
            cells.append(element("td", signed(float(row["bd_quality_db"]), 2, " dB")))
        body.append(wrap("tr", cells))
    html = wrap("table", [wrap("thead", [head]), wrap("tbody", body)])
    text = (
        f"Against {result.anchor}. “bits” is BD-rate: the mean difference in bits per pixel at "
        "equal quality, negative (blue) where fewer are needed. “quality” is the mean difference "
        "at equal bits per pixel. Both are means over what the two curves have in common; curves "
        "are means over the images that all operating points have."
    )
    notes = _notes(table)
    return _section(
        "Bits at equal quality",
        element("p", text, class_="quiet"),
        wrap("div", [html], class_="scroll"),
        wrap("ul", notes, class_="quiet") if notes else "",
    )


def _notes(table: pd.DataFrame) -> list[str]:
    """The notes as items of a list; one that holds for every metric is said once."""
    return [
        element("li", f"{name}, {metric}: {note}" if metric else f"{name}: {note}")
        for name, rows in table.groupby("codec", sort=False)
        for metric, note in comparison_notes(rows)
    ]


def _curves(points: pd.DataFrame) -> str:
    return _panels("Quality against rate", "Means over the images.", points, QUALITY)


def _cpu(points: pd.DataFrame) -> str:
    text = (
        "CPU time of the codec alone, of all threads together, per million pixels. Both axes are "
        "logarithmic; lower is faster."
    )
    return _panels("CPU time", text, points, _TIMES, logarithmic=True)


def _panels(
    title: str,
    text: str,
    points: pd.DataFrame,
    panels: Sequence[tuple[str, str]],
    *,
    logarithmic: bool = False,
) -> str:
    """A section of plots, one per ``(column, label)``, and their legend."""
    figures = [
        wrap("figure", [svg]) for _, svg in rate_panels(points, panels, logarithmic=logarithmic)
    ]
    if not figures:
        return ""
    styles = family_styles([codecs.family(str(spec)) for spec in points["codec"]])
    drawn = points[np.isfinite(points[[name for name, _ in panels]].astype(float)).any(axis=1)]
    keys = [
        wrap("span", [line_key(styles[name]), element("span", name)])
        for name in families(list(drawn["codec"]))
    ]
    return _section(
        title,
        element("p", text, class_="quiet"),
        wrap("div", keys, class_="legend"),
        wrap("div", figures, class_="plots"),
    )


def _crops(crops: Sequence[CropRow]) -> str:
    if not crops:
        return ""
    text = (
        "The part with the most detail, twice as large, without smoothing. Each codec may "
        "take the same number of bytes for the whole picture, and took its best operating point "
        "within them; how many it used stands above. PSNR is of the whole picture."
    )
    return _section(
        "The same picture in at most the same bytes",
        element("p", text, class_="quiet"),
        *(_crop_row(row) for row in crops),
    )


def _crop_row(row: CropRow) -> str:
    bpp = bits_per_pixel(row.limit, row.height, row.width)
    title = f"{Path(row.image).name}, at most {row.limit:,} bytes ({bpp:.3f} bpp)"
    x, y, width, height = row.box
    note = f"{row.width}x{row.height} pixels\nshown: {width}x{height} at x {x}, y {y}"
    cards = [_card("original", note, picture(_twice(row.original), "original", pixelated=True))]
    cards += [_coded_card(coded) for coded in row.coded]
    return element("h3", title) + wrap("div", cards, class_="strip crops")


def _coded_card(coded: CodedCrop) -> str:
    if coded.pixels is None:
        return _card(coded.family, "", element("p", f"Not coded: {coded.reason}"))
    note = f"{coded.spec}\n{coded.bytes:,} bytes, {coded.bpp:.3f} bpp, PSNR {_decibels(coded.psnr)}"
    html = picture(_twice(coded.pixels), f"coded by {coded.family}", pixelated=True)
    return _card(coded.family, note, html)


def _card(title: str, note: str, content: str) -> str:
    return wrap("div", [element("b", title), element("small", note), content])


def _twice(pixels: Image) -> Image:
    return scale(pixels, 2 * pixels.shape[1], smooth=False)


def _points(points: pd.DataFrame) -> str:
    titles = [
        "codec",
        "images",
        "bytes",
        "bpp",
        "PSNR (dB)",
        "SSIM",
        "MS-SSIM",
        "MS-SSIM (dB)",
        "encode ms",
        "decode ms",
        "encode MP/s",
        "decode MP/s",
    ]
    rows = [
        [
            str(row["codec"]),
            str(row["images"]),
            number(row["bytes"], 0),
            number(row["bpp"], 4),
            quality(row["psnr"], 2),
            number(row["ssim"], 4),
            number(row["ms_ssim"], 4),
            quality(row["ms_ssim_db"], 2),
            number(row["encode_ms"], 1),
            number(row["decode_ms"], 1),
            _speed(row["encode_ms_per_mp"]),
            _speed(row["decode_ms_per_mp"]),
        ]
        for row in points.to_dict(orient="records")
    ]
    text = (
        "Means over the images. Times are CPU milliseconds per image; MP/s is million pixels per "
        "CPU second."
    )
    return _section(
        "All operating points", element("p", text, class_="quiet"), table_of(titles, rows)
    )


def _failures(result: BenchResult) -> str:
    if not result.failures:
        return ""
    shown = [
        element("li", ": ".join(part for part in (f.image, f.codec, f.message) if part))
        for f in result.failures[:_FAILURES_SHOWN]
    ]
    more = len(result.failures) - len(shown)
    rest = [element("li", f"and {more} more, see failures.csv")] if more else []
    return _section("What failed", wrap("ul", [*shown, *rest], class_="quiet"))


def _how(result: BenchResult) -> str:
    names = dict.fromkeys(str(spec).split(":")[0] for spec in result.summary["codec"])
    versions = {
        name: ", ".join(f"{key} {value}" for key, value in codecs.kind(name).libraries().items())
        for name in names
    }
    return _section("Made with", facts(versions))


def _heat_cell(percent: float) -> str:
    if math.isnan(percent):
        return element("td", MISSING)
    strength = min(abs(percent) / _HEAT_FULL, 1.0) * 0.75
    colour = "up" if percent < 0 else "down"
    style = f"background:rgb(var(--{colour}) / {strength:.2f})"
    return element("td", signed(percent, 1, " %"), class_="main", style=style)


def _decibels(value: float) -> str:
    return "infinite" if value == math.inf else f"{value:.2f} dB"


def _speed(ms_per_mp: float) -> str:
    return MISSING if not ms_per_mp > 0 else number(1e3 / ms_per_mp, 2)


def _count(number_of: int, noun: str) -> str:
    return f"{number_of} {noun}" + ("" if number_of == 1 else "s")


def _section(title: str, *parts: str) -> str:
    return wrap("section", [element("h2", title), *parts])
