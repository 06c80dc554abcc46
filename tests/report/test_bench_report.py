"""The bench's report and its crops at equal rate."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from ratewise import codecs
from ratewise.codecs.bdrate import bdrate_table, choose_anchor
from ratewise.codecs.bench import MEANS, BenchFailure, BenchResult
from ratewise.codecs.ladder import ladder
from ratewise.errors import InputError
from ratewise.images import Image, write_png
from ratewise.metrics.distortion import psnr
from ratewise.report import bench_crops
from ratewise.report.bench_crops import detailed_box, equal_rate_crops
from ratewise.report.bench_report import write_bench_report

QUALITIES = {"jpeg": (0.0, (5, 20, 60)), "webp": (1.5, (5, 20, 60))}


def made_up(*, specs: list[str] | None = None, images: tuple[str, ...] = ("a", "b")) -> BenchResult:
    """A bench of two codecs and PNG, WebP 1.5 dB better than JPEG at the same bytes."""
    rows = []
    for codec, (gain, points) in QUALITIES.items():
        for quality in points:
            for index, image in enumerate(images):
                db = 24 + 4 * np.log2(quality) + gain + index
                sizes = {"width": 200, "height": 100, "bytes": 100 * quality, "bpp": quality / 25}
                times = {"encode_ms": 4.0, "decode_ms": 2.0}
                scores = {"psnr": db, "ssim": 0.9, "ms_ssim": 0.9, "ms_ssim_db": db - 18}
                spec = f"{codec}:quality={quality}"
                rows.append({"codec": spec, "image": image} | sizes | scores | times)
    for image in images:
        same = {"psnr": np.inf, "ssim": 1.0, "ms_ssim": 1.0, "ms_ssim_db": np.inf}
        rows.append(rows[0] | {"codec": "png", "image": image, "bpp": 12.0} | same)
    frame = pd.DataFrame(rows)
    specs = list(dict.fromkeys(frame["codec"])) if specs is None else specs
    frame = frame[frame["codec"].isin(specs)]
    summary = frame.groupby("codec", sort=False)[list(MEANS)].mean().reindex(specs)
    summary.insert(0, "images", len(images))
    summary.insert(1, "failures", 0)
    anchor = choose_anchor(specs)
    table = bdrate_table(frame, specs, anchor)
    return BenchResult(frame, summary.reset_index(names="codec"), table, anchor, ())


def written(folder: Path, result: BenchResult, crops: tuple[object, ...] = ()) -> str:
    write_bench_report(folder / "report.html", result, crops)  # type: ignore[arg-type]
    return (folder / "report.html").read_text()


def cells(html: str, section: str, first: str) -> list[str]:
    text = html[html.index(f"<h2>{section}</h2>") :]
    line = next(row for row in text.split("<tr>") if f">{first}</td>" in row)
    return re.findall(r"<td[^>]*>(.*?)</td>", line)[1:]


def test_the_tables_have_the_numbers_of_the_bench(tmp_path: Path) -> None:
    result = made_up()
    html = written(tmp_path, result)
    rate = result.bdrate["bd_rate_percent"][0]
    assert rate == pytest.approx(100 * (2 ** (-1.5 / 4) - 1))  # 4 dB for twice the rate
    assert cells(html, "Bits at equal quality", "webp") == [
        f"{rate:.1f} %", "+1.50 dB", f"{rate:.1f} %", "+1.50 dB"
    ]  # fmt: skip
    assert f"against jpeg: webp needs {-rate:.0f} % fewer." in html
    assert "<li>png: lossless: it has no operating points</li>" in html
    row = cells(html, "All operating points", "jpeg:quality=20")
    assert row[:4] == ["2", "2000", "0.8000", f"{24 + 4 * np.log2(20) + 0.5:.2f}"]
    assert row[-4:] == ["4.0", "2.0", "5.00", "10.00"]  # 0.02 megapixels in 4 and 2 ms
    assert cells(html, "All operating points", "png")[3] == "lossless"


def test_the_page_needs_nothing_but_itself_and_has_no_nan(tmp_path: Path) -> None:
    html = written(tmp_path, made_up())
    assert "http" not in html
    assert "<script" not in html
    assert all(link.startswith("#") for link in re.findall(r'(?:src|href)="([^"]*)"', html))
    assert html.count('<svg class="plot"') == 4
    ids = re.findall(r'\bid="(m[0-9a-f]{10}|p[0-9a-f]{10})"', html)
    assert ids
    assert len(ids) == len(set(ids))
    assert not re.search(r">[+-]?(nan|inf)\b", html)
    assert written(tmp_path, made_up()) == html


@pytest.mark.parametrize(
    "specs", [["jpeg:quality=5"], ["png"], ["jpeg:quality=5", "webp:quality=5"]]
)
def test_a_bench_without_a_curve_says_that_nothing_is_compared(
    tmp_path: Path, specs: list[str]
) -> None:
    html = written(tmp_path, made_up(specs=specs))
    assert "no comparison" in html
    assert 'class="finding"' not in html
    assert not re.search(r">[+-]?(nan|inf)\b", html)


def test_a_bench_that_failed_everywhere_is_reported(tmp_path: Path) -> None:
    whole = made_up()
    failures = tuple(BenchFailure("", f"<{i}>.png", "no image") for i in range(25))
    summary = whole.summary.assign(images=0, **dict.fromkeys(MEANS, np.nan))
    empty = whole.images.iloc[:0]
    table = bdrate_table(empty, list(summary["codec"]), "jpeg")
    html = written(tmp_path, BenchResult(empty, summary, table, "jpeg", failures))
    assert "<li>&lt;0&gt;.png: no image</li>" in html
    assert "and 5 more, see failures.csv" in html
    assert not re.search(r">[+-]?(nan|inf)\b", html)


@dataclass(frozen=True)
class Choice:
    spec: str
    data: bytes


def by_trying_all(spec: str, image: Image, limit: int) -> Choice:
    """What ``ratewise.codecs.rate.encode_to_bytes`` gives, slowly."""
    steps = ladder(spec)
    coded = [codecs.codec(steps.spec(rung)).encode(image) for rung in range(0, len(steps), 5)]
    fitting = [
        Choice(steps.spec(5 * i), data) for i, data in enumerate(coded) if len(data) <= limit
    ]
    if not fitting or spec == "webp":
        raise InputError(f"{spec}: the smallest file has {len(coded[0])} bytes, over {limit}")
    return fitting[-1]


@pytest.fixture
def benched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[pd.DataFrame, list[str]]:
    """The bytes of three pictures, the second the most detailed, the third not done by WebP."""
    stand_in = ModuleType("ratewise.codecs.rate")
    stand_in.encode_to_bytes = by_trying_all  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ratewise.codecs.rate", stand_in)
    random = np.random.default_rng(0)
    specs = ["jpeg:quality=5", "jpeg:quality=95", "webp:quality=5", "webp:quality=95", "png"]
    rows = []
    for name, strength in (("a.png", 10), ("b.png", 30), ("c.png", 90)):
        picture = random.integers(100, 100 + strength, (160, 200, 3)).astype(np.uint8)
        write_png(tmp_path / name, picture)
        for spec in specs:
            if name != "c.png" or not spec.startswith("webp"):
                size = len(codecs.codec(spec).encode(picture))
                bpp = 8 * size / picture[..., 0].size
                path = (tmp_path / name).as_posix()
                rows.append({"codec": spec, "image": path, "bytes": size, "bpp": bpp})
    return pd.DataFrame(rows), specs


def test_crops_are_of_the_first_and_the_most_detailed_picture_in_equal_bytes(
    benched: tuple[pd.DataFrame, list[str]], tmp_path: Path
) -> None:
    rows = equal_rate_crops(*benched)
    assert [Path(row.image).name for row in rows] == ["a.png", "b.png"]
    images = benched[0]
    for row in rows:
        own = images[images["image"] == row.image].set_index("codec")["bytes"]
        low = max(own["jpeg:quality=5"], own["webp:quality=5"])
        high = min(own["jpeg:quality=95"], own["webp:quality=95"])
        assert low < row.limit < high
        assert row.limit == pytest.approx((low * high) ** 0.5, abs=1)
        x, y, width, height = row.box
        assert (width, height) == (184, 144)
        original = codecs.decode(Path(row.image).read_bytes())
        assert np.array_equal(row.original, original[y : y + height, x : x + width])
        assert [coded.family for coded in row.coded] == ["jpeg", "webp"]  # not png
        jpeg, webp = row.coded
        coded = by_trying_all("jpeg", original, row.limit)
        decoded = codecs.decode(coded.data)
        assert (jpeg.spec, jpeg.bytes) == (coded.spec, len(coded.data))
        assert jpeg.bytes <= row.limit
        assert jpeg.psnr == psnr(original, decoded)
        assert np.array_equal(jpeg.pixels, decoded[y : y + height, x : x + width])
        assert webp.pixels is None
        assert "the smallest file has" in webp.reason
    html = written(tmp_path, made_up(), tuple(rows))
    jpeg = rows[0].coded[0]
    assert f"{jpeg.bytes:,} bytes, {jpeg.bpp:.3f} bpp, PSNR {jpeg.psnr:.2f} dB" in html
    assert f"a.png, at most {rows[0].limit:,} bytes" in html
    assert html.count("<p>Not coded: webp: the smallest file has") == 2
    assert html.count('class="pixels" width="368" height="288"') == 4  # original and jpeg, twice


def test_a_picture_that_is_gone_is_left_out(
    benched: tuple[pd.DataFrame, list[str]], tmp_path: Path
) -> None:
    (tmp_path / "a.png").unlink()
    assert [Path(row.image).name for row in equal_rate_crops(*benched)] == ["b.png"]


def test_without_a_picture_that_all_could_do_there_are_no_crops(
    benched: tuple[pd.DataFrame, list[str]],
) -> None:
    images, specs = benched
    assert equal_rate_crops(images[images["image"].str.endswith("c.png")], specs) == []
    assert equal_rate_crops(images[images["codec"] == "png"], ["png"]) == []


@pytest.mark.parametrize("shape", [(300, 411), (144, 184), (150, 190), (20, 500), (500, 3), (1, 1)])
def test_the_detailed_box_is_the_one_that_a_search_finds(
    shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(1)
    picture = np.full((*shape, 3), 90, np.uint8)
    patch = picture[shape[0] // 2 :, shape[1] // 3 :][:120, :130]
    patch[...] = random.integers(0, 255, patch.shape)
    x, y, width, height = detailed_box(picture)
    assert (width, height) == (min(184, shape[1]), min(144, shape[0]))
    assert 0 <= x <= shape[1] - width
    assert 0 <= y <= shape[0] - height

    grey = picture.sum(axis=2).astype(int)
    detail = np.zeros(shape, int)
    detail[:, 1:] += abs(np.diff(grey, axis=1))
    detail[1:] += abs(np.diff(grey, axis=0))

    def inside(x: int, y: int) -> int:
        return int(detail[y : y + height, x : x + width].sum())

    tops, lefts = (
        range(0, size - side + 1, 8) for size, side in zip(shape, (height, width), strict=True)
    )
    assert inside(x, y) >= max(inside(left, top) for top in tops for left in lefts)
    assert bench_crops.WIDTH % 8 == bench_crops.HEIGHT % 8 == 0
