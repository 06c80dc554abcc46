"""Documents of a bench's results: tables, figure, and the curves that others published."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import matplotlib.figure
import numpy as np
import pandas as pd
import pytest

from ratewise.codecs.bdrate import bdrate_table
from ratewise.codecs.bench import bench
from ratewise.errors import InputError
from ratewise.images import write_png
from ratewise.report.bench_results import BenchResults, bench_rows, read_bench
from ratewise.report.comparison import TITLES
from ratewise.report.publish import main, publish, read_results
from ratewise.report.published_curves import against_published, decibels_of_means, read_published

PAGE = (
    "# Kodak\n\n<!-- table:bench -->\n<!-- /table -->\n\n<!-- table:bdrate -->\n<!-- /table -->\n"
    "\n<!-- table:published -->\n<!-- /table -->\n\nafter\n"
)
DOCUMENTS = Path(__file__).parents[2] / "docs" / "results"


def summary_of(curves: dict[str, list[tuple[float, float]]]) -> pd.DataFrame:
    """A bench's summary of ``(bpp, psnr)`` by spec family; an image has 2 megapixels."""
    return pd.DataFrame(
        [
            {"codec": f"{name}:quality={10 * i}", "images": 1, "failures": 0, "bpp": bpp,
             "bytes": bpp * 250_000, "psnr": psnr, "ssim": 0.9, "ms_ssim": 1 - 10 ** (-psnr / 20),
             "ms_ssim_db": psnr / 2, "encode_ms": 30.0 * i, "decode_ms": 8.0}
            for name, points in curves.items()
            for i, (bpp, psnr) in enumerate(points, 1)
        ]
    )  # fmt: skip


def curve_of(points: list[tuple[float, float]]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"curve": "theirs", "bpp": bpp, "psnr": psnr, "ms_ssim": 1 - 10 ** (-psnr / 20),
             "source": "a paper"}
            for bpp, psnr in points
        ]
    )  # fmt: skip


LINE = [(0.25 * 2**i, 30.0 + 3 * i) for i in range(4)]


@pytest.fixture(scope="module")
def benched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real bench of a picture, beside a curve that needs twice the bits of its JPEG."""
    base = tmp_path_factory.mktemp("bench")
    random = np.random.default_rng(0)
    noise = random.normal(0, 12, (192, 192, 3)).cumsum(0).cumsum(1)
    picture = 127 + 100 * noise / np.abs(noise).max() + random.normal(0, 3, noise.shape)
    write_png(base / "a.png", picture.clip(0, 255).astype(np.uint8))
    points = [f"{codec}:quality={q}" for codec in ("jpeg", "webp") for q in (10, 60, 95)]
    found = bench([base / "a.png"], [*points, "png"], anchor="jpeg")
    results = base / "results"
    found.save(results)
    (results / "images.csv").unlink()
    (results / "summary.csv").rename(results / "kodak.csv")
    (results / "bdrate.csv").rename(results / "kodak-bdrate.csv")
    jpeg = found.summary[found.summary["codec"].str.startswith("jpeg")]
    theirs = jpeg.assign(curve="theirs", bpp=2 * jpeg["bpp"], source="a paper")
    columns = ["curve", "bpp", "psnr", "ms_ssim", "source"]
    theirs[columns].to_csv(results / "kodak-published.csv", index=False)
    (results / "kodak.md").write_text(PAGE)
    return results


@pytest.fixture
def folder(benched: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(benched, tmp_path / "results"))


def cells(text: str, kind: str) -> dict[str, list[str]]:
    """The cells of each row of a table, by the first."""
    inside = text.split(f"<!-- table:{kind} -->\n")[1].split("<!-- /table -->")[0]
    rows = [line.strip("| ").split(" | ") for line in inside.strip().splitlines()]
    return {row[0]: row[1:] for row in rows}


def test_a_bench_is_published_and_publishing_it_again_changes_nothing(folder: Path) -> None:
    assert publish(folder) == [folder / "kodak.md", folder / "kodak-rates.png"]
    text = (folder / "kodak.md").read_text()
    assert text.endswith("<!-- /table -->\n\nafter\n")
    assert publish(folder) == []
    assert main([str(folder), "--check"]) == 0

    summary = pd.read_csv(folder / "kodak.csv").set_index("codec")
    row = cells(text, "bench")["webp:quality=60"]
    here = summary.loc["webp:quality=60"]
    assert row[:3] == [f"{here['bpp']:.3f}", f"{here['psnr']:.2f}", f"{here['ms_ssim_db']:.2f}"]
    assert float(row[3]) == pytest.approx(here["encode_ms"] / (192 * 192 / 1e6), abs=0.5)
    assert cells(text, "bench")["png"][1:3] == ["lossless", "lossless"]

    table = pd.read_csv(folder / "kodak-bdrate.csv")
    webp = table[table["codec"] == "webp"].set_index("metric")
    row = cells(text, "bdrate")["webp"]
    assert row[0] == "jpeg"
    assert row[1] == f"{webp['bd_rate_percent']['psnr']:+.1f} %"
    assert row[2] == f"{webp['bd_rate_percent']['ms_ssim_db']:+.1f} %"
    assert row[3] == f"{webp['bd_quality_db']['psnr']:+.2f} dB"
    low, high = webp["quality_low"]["psnr"], webp["quality_high"]["psnr"]
    assert row[4] == f"{low:.2f} to {high:.2f} dB"
    assert cells(text, "bdrate")["png"][1:] == ["-"] * 5 + ["lossless: it has no operating points"]
    assert cells(text, "published")["jpeg"][:3] == ["theirs", "-50.0 %", "-50.0 %"]


def test_a_changed_number_fails_the_check(folder: Path) -> None:
    publish(folder)
    table = pd.read_csv(folder / "kodak-bdrate.csv")
    table["bd_rate_percent"] += 1
    table.to_csv(folder / "kodak-bdrate.csv", index=False)
    assert main([str(folder), "--check"]) == 1


def test_cpu_time_is_per_megapixel() -> None:
    titles, rows = bench_rows(summary_of({"jpeg": LINE[:2]}))
    assert titles[-2:] == ["encode ms/MP", "decode ms/MP"]
    assert [row[-2:] for row in rows] == [["15", "4"], ["30", "4"]]


def test_a_family_is_compared_with_the_published_curve_where_they_overlap() -> None:
    dear = [(1.5 * bpp, psnr) for bpp, psnr in LINE]
    far = [(bpp, psnr + 60) for bpp, psnr in LINE]
    summary = summary_of({"jpeg": dear, "webp": far, "avif": LINE[:1]})
    table = against_published(summary, curve_of(LINE))
    assert list(table["codec"]) == ["jpeg", "jpeg"]
    assert list(table["anchor"]) == ["theirs", "theirs"]
    assert list(table["bd_rate_percent"]) == pytest.approx([50, 50])
    assert against_published(summary.iloc[-1:], curve_of(LINE)).empty


def test_ms_ssim_is_put_in_decibels_after_the_mean_on_both_sides() -> None:
    """A bench's own mean of decibels would make equal curves look different."""
    summary = summary_of({"jpeg": LINE})
    table = against_published(summary.assign(ms_ssim_db=99.0), curve_of(LINE))
    assert list(table["bd_rate_percent"]) == pytest.approx([0, 0])
    assert decibels_of_means(summary)["ms_ssim_db"].tolist() == pytest.approx(
        [psnr / 2 for _, psnr in LINE]
    )


def test_published_curves_are_dashed_and_in_the_range_of_rates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = []
    save = matplotlib.figure.Figure.savefig
    monkeypatch.setattr(
        matplotlib.figure.Figure,
        "savefig",
        lambda self, *a, **k: (figures.append(self), save(self, *a, **k)),
    )
    summary, curve = summary_of({"jpeg": LINE}), curve_of([(0.01, 20.0), (0.3, 31.0)])
    BenchResults(summary, pd.DataFrame(), curve).draw(tmp_path / "with.png")
    BenchResults(summary, pd.DataFrame()).draw(tmp_path / "without.png")
    panels = figures[0].axes
    for panel in panels:
        lines = {str(line.get_label()): line.get_linestyle() for line in panel.get_lines()}
        assert lines == {"jpeg": "-", "theirs (published)": "--"}
        assert panel.get_xlim()[0] < 0.01 < 2.0 < panel.get_xlim()[1]
    assert [panel.get_ylabel() for panel in panels] == ["PSNR (dB)", "MS-SSIM (dB of the mean)"]
    assert len(figures[1].axes[0].get_lines()) == 1


def test_two_metrics_with_one_note_say_it_once(tmp_path: Path) -> None:
    images = pd.DataFrame(
        [
            {"codec": codec, "image": "a", "bpp": 0.1 * q, "psnr": 20.0 + q, "ms_ssim_db": math.nan}
            for codec in ("jpeg:quality=5", "jpeg:quality=9", "webp:quality=5", "webp:quality=9")
            for q in [int(codec[-1])]
        ]
    )
    table = bdrate_table(images, list(images["codec"]), "jpeg")
    row = BenchResults(images, table).tables["bdrate"]().splitlines()[-1]
    assert row.startswith("| webp | jpeg | 0.0 % | - | 0.00 dB | 25.00 to 29.00 dB | - | MS-SSIM: ")
    lossless = bdrate_table(images, ["jpeg:quality=5", "jpeg:quality=9", "png"], "jpeg")
    assert "| lossless: it has" in BenchResults(images, lossless).tables["bdrate"]()
    assert len(row.split(" | ")) == len(TITLES)


@pytest.mark.parametrize("value", ["many", "0", "nan", "inf", "-1"])
def test_a_wrong_number_of_a_published_curve_is_refused(tmp_path: Path, value: str) -> None:
    path = tmp_path / "a-published.csv"
    path.write_text(f"curve,bpp,psnr,ms_ssim,source\nx,0.5,30,0.9,y\nx,{value},31,0.91,y\n")
    with pytest.raises(InputError, match=r"a-published\.csv, line 3: bpp = "):
        read_published(path)


def test_ms_ssim_in_decibels_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a-published.csv"
    path.write_text("curve,bpp,psnr,ms_ssim,source\nx,0.5,30,12.5,y\n")
    with pytest.raises(InputError, match=r"ms_ssim = 12\.5 is not allowed"):
        read_published(path)


def test_files_that_are_missing_or_something_else_are_refused_by_name(folder: Path) -> None:
    (folder / "kodak-published.csv").write_text("curve,bpp\nx,1\n")
    with pytest.raises(InputError, match=r"kodak-published\.csv: .* no column 'psnr'"):
        publish(folder)
    (folder / "kodak-published.csv").unlink()
    with pytest.raises(InputError, match=r"unknown table kind 'published' .*bench, bdrate\)"):
        publish(folder)
    (folder / "kodak-bdrate.csv").unlink()
    with pytest.raises(InputError, match=r"kodak-bdrate\.csv: not a CSV file of a bench's BD-r"):
        read_bench(folder / "kodak.csv", pd.read_csv(folder / "kodak.csv"))


def test_the_committed_published_curves_can_be_read() -> None:
    found = sorted(DOCUMENTS.glob("*-published.csv"))
    assert found
    for path in found:
        points = read_published(path)
        for _, own in points.groupby("curve"):
            for column in ("bpp", "psnr", "ms_ssim"):
                assert own[column].is_monotonic_increasing


def test_results_are_known_by_their_columns(folder: Path, results: pd.DataFrame) -> None:
    results.to_csv(folder / "study.csv", index=False)
    assert list(read_results(folder / "study.csv").figures) == ["accuracy"]
    assert list(read_results(folder / "kodak.csv").figures) == ["rates"]
