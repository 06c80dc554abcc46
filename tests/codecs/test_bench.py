"""The bench: its columns, its means, its failures."""

from __future__ import annotations

import math
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ratewise.codecs import bench as bench_module
from ratewise.codecs import codec, expand
from ratewise.codecs.bdrate import bdrate_table, choose_anchor
from ratewise.codecs.bench import bench
from ratewise.codecs.bench_folders import check_out, find_images
from ratewise.errors import InputError
from ratewise.execution import Resources
from ratewise.images import read_image, write_png
from ratewise.metrics.bjontegaard import bd_quality, bd_rate
from ratewise.metrics.distortion import decibels, ms_ssim, psnr

COLUMNS = "codec,image,width,height,bytes,bpp,psnr,ssim,ms_ssim,encode_ms,decode_ms"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    y, x = np.mgrid[:180, :190]
    noise = np.random.default_rng(0).integers(0, 40, (180, 190, 3))
    large = (np.stack([x, y, x + y], -1) // 2 + noise).astype(np.uint8)
    write_png(tmp_path / "in" / "large.png", large)
    write_png(tmp_path / "in" / "deep" / "small.png", large[:20, :30])
    return tmp_path / "in"


def test_rows_are_what_the_codec_gives(folder: Path, tmp_path: Path) -> None:
    result = bench(find_images([folder]), ["jpeg:quality=10", "png"])
    result.save(tmp_path / "out")
    images = pd.read_csv(tmp_path / "out" / "images.csv")
    assert ",".join(images.columns) == COLUMNS
    assert list(images["codec"]) == ["jpeg:quality=10"] * 2 + ["png"] * 2
    row = images[(images["codec"] == "jpeg:quality=10") & images["image"].str.endswith("large.png")]
    original = read_image(folder / "large.png")
    data = codec("jpeg:quality=10").encode(original)
    back = codec("jpeg:quality=10").decode(data)
    assert row["bytes"].item() == len(data)
    assert row["bpp"].item() == pytest.approx(8 * len(data) / (180 * 190))
    assert row["psnr"].item() == pytest.approx(psnr(original, back))
    assert (row["encode_ms"] > 0).all()
    summary = pd.read_csv(tmp_path / "out" / "summary.csv").set_index("codec")
    assert list(summary["images"]) == [2, 2]
    assert list(summary["failures"]) == [0, 0]
    # Blank for the small image, so the mean is the large one's.
    assert images["ms_ssim"].isna().sum() == 2
    expected = decibels(ms_ssim(original, back))
    assert summary.loc["jpeg:quality=10", "ms_ssim_db"] == pytest.approx(expected)
    assert math.isinf(float(summary.loc["png", "psnr"]))
    assert not (tmp_path / "out" / "failures.csv").exists()


def test_what_fails_is_named_and_the_rest_is_done(folder: Path, tmp_path: Path) -> None:
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff no image")
    write_png(folder / "wide.png", np.zeros((1, 16384, 3), np.uint8))
    result = bench(find_images([folder]), ["webp:quality=5", "jpeg:quality=5"])
    assert [(f.codec, Path(f.image).name) for f in result.failures] == [
        ("", "broken.jpg"),
        ("webp:quality=5", "wide.png"),
    ]
    assert "16383" in result.failures[1].message
    summary = result.summary.set_index("codec")
    assert list(summary["images"]) == [2, 3]
    assert list(summary["failures"]) == [2, 1]
    result.save(tmp_path)
    assert len(pd.read_csv(tmp_path / "failures.csv")) == 2


def test_two_workers_give_the_same_numbers(tmp_path: Path) -> None:
    for index in range(3):  # too small for SSIM, so that no worker imports torch
        write_png(tmp_path / f"{index}.png", np.full((8, 9, 3), 60 * index, np.uint8))
    paths = find_images([tmp_path])
    measured = ["codec", "image", "bytes", "psnr"]
    here = bench(paths, ["jpeg:quality=10"]).images[measured]
    pool = bench(paths, ["jpeg:quality=10"], Resources(workers=2)).images[measured]
    assert len(here) == 3
    pd.testing.assert_frame_equal(here, pool)


def test_images_are_found_once_in_order_and_without_hidden_files(folder: Path) -> None:
    (folder / ".tmp-x.png").write_bytes(b"")
    (folder / "notes.txt").write_text("")
    found = [folder / "deep" / "small.png", folder / "large.png"]
    assert find_images([folder]) == found
    assert find_images([folder / "large.png", folder]) == found[::-1]
    (folder / "empty").mkdir()
    with pytest.raises(InputError, match="no images in this folder"):
        find_images([folder / "empty"])
    with pytest.raises(InputError, match=r"gone\.png: no such file or folder"):
        find_images([folder / "gone.png"])


def test_a_wrong_spec_is_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown codec"):
        bench([tmp_path / "never-read.png"], ["jpg"])


def test_times_are_of_the_cpu_and_count_all_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Threaded:
        """Burns 60 ms in two threads while nobody computes in the calling one, then sleeps."""

        def encode(self, image: object) -> bytes:
            threads = [threading.Thread(target=_burn, args=(0.03,)) for _ in range(2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            return b"1"

        def decode(self, data: bytes) -> np.ndarray:
            time.sleep(0.2)
            return np.zeros((8, 8, 3), np.uint8)

    monkeypatch.setattr(bench_module, "_ready", lambda spec: Threaded())
    measured = bench_module.measure_image("threaded", np.zeros((8, 8, 3), np.uint8))
    assert measured["encode_ms"] >= 55
    assert measured["decode_ms"] < 100


def _burn(seconds: float) -> None:
    start = time.thread_time()
    while time.thread_time() - start < seconds:
        pass


def made_up(points: dict[str, tuple[float, float]], image: str = "a.png") -> pd.DataFrame:
    """Rows of one image: bpp and PSNR by spec; MS-SSIM in dB is the PSNR less 20."""
    rows = [
        {"codec": spec, "image": image, "bpp": bpp, "psnr": db, "ms_ssim_db": db - 20}
        for spec, (bpp, db) in points.items()
    ]
    return pd.DataFrame(rows)


JPEG = {
    "jpeg:quality=10": (0.2, 28.0),
    "jpeg:quality=30": (0.5, 32.0),
    "jpeg:quality=60": (1, 36.0),
}
WEBP = {
    "webp:quality=10": (0.15, 29.0),
    "webp:quality=50": (0.4, 33.0),
    "webp:quality=90": (1.2, 39),
}


def test_the_table_has_a_row_per_other_family_and_metric() -> None:
    images = made_up(JPEG | WEBP | {"png": (9.0, math.inf), "bpg:qp=30": (0.3, 34.0)})
    specs = [*JPEG, *WEBP, "png", "bpg:qp=30"]
    table = bdrate_table(images, specs, "jpeg")
    assert list(table.columns[:4]) == ["codec", "anchor", "metric", "bd_rate_percent"]
    assert list(table["codec"]) == ["webp", "webp", "png", "png", "bpg", "bpg"]
    assert list(table["metric"]) == ["psnr", "ms_ssim_db"] * 3
    curves = [*zip(*JPEG.values(), strict=True), *zip(*WEBP.values(), strict=True)]
    webp = table.iloc[0]
    assert webp["bd_rate_percent"] == pytest.approx(bd_rate(*curves))
    assert webp["bd_quality_db"] == pytest.approx(bd_quality(*curves))
    ends = ["quality_low", "quality_high", "bpp_low", "bpp_high"]
    assert list(webp[ends]) == [29.0, 36.0, 0.2, 1.0]
    assert webp["images"] == 1
    assert webp["note"] == ""  # 7 of 11 dB are in common
    assert table["bd_rate_percent"].isna().tolist() == [False, False, True, True, True, True]
    assert "lossless" in table["note"][2]
    assert "too few points (1)" in table["note"][4]
    text = table.to_csv(index=False)
    assert "nan" not in text.lower()
    assert "bpg,jpeg,psnr,,,,,,," in text


def test_curves_are_of_the_images_that_all_operating_points_have() -> None:
    full, part = made_up(JPEG | WEBP), made_up(JPEG | WEBP, "b.png")
    part["bpp"] *= 3
    part = part[part["codec"] != "webp:quality=90"]  # it failed there
    black = made_up(JPEG | WEBP, "black.png").assign(psnr=math.inf, ms_ssim_db=math.nan)
    lossless = made_up({"png": (9.0, math.inf)}, "a.png")
    images = pd.concat([full, part, black, lossless])
    table = bdrate_table(images, [*JPEG, *WEBP, "png"], "jpeg")
    alone = bdrate_table(pd.concat([full, lossless]), [*JPEG, *WEBP, "png"], "jpeg")
    pd.testing.assert_frame_equal(table, alone)


def test_a_point_that_failed_everywhere_is_left_out_and_said() -> None:
    images = made_up(JPEG | WEBP)
    table = bdrate_table(images, [*JPEG, *WEBP, "webp:quality=99"], "jpeg")
    assert table["bd_rate_percent"].notna().all()
    assert "1 of 4 points left out (no psnr)" in table["note"][0]


def test_refused_comparisons_say_why_and_have_no_number() -> None:
    near = {"webp:quality=10": (0.3, 35.0), "webp:quality=50": (0.6, 40.0)}
    note = bdrate_table(made_up(JPEG | near), [*JPEG, *near], "jpeg")["note"][0]
    assert "only 8 % of the range of quality is in common" in note
    far = {"webp:quality=10": (0.3, 50.0), "webp:quality=50": (0.6, 55.0)}
    row = bdrate_table(made_up(JPEG | far), [*JPEG, *far], "jpeg").iloc[0]
    assert math.isnan(row["bd_rate_percent"])
    assert "no quality in common: the anchor's is 28 to 36" in row["note"]
    assert row["bd_quality_db"] > 10  # rates they do have in common
    small = made_up(JPEG | WEBP).assign(ms_ssim_db=math.nan)
    table = bdrate_table(small, [*JPEG, *WEBP], "jpeg")
    assert table["note"][1].endswith("a side under 176 pixels")
    assert bdrate_table(small.iloc[:0], [*JPEG, *WEBP], "jpeg")["images"].tolist() == [0, 0]


def test_the_anchor_is_the_first_family_with_two_points_or_the_one_named() -> None:
    specs = ["png", "avif:quality=50", *expand("bpg:qp=30,40,chroma=444"), *JPEG]
    assert choose_anchor(specs) == "bpg:chroma=444"
    assert choose_anchor(specs[:2]) is None
    for spelling in ("bpg:chroma=444", "bpg:qp=30,chroma=444,bit_depth=8", "bpg"):
        assert choose_anchor(specs, spelling) == "bpg:chroma=444"
    assert choose_anchor(specs, "jpeg") == "jpeg"
    assert choose_anchor([*specs, "bpg:qp=1", "bpg:qp=2"], "bpg") == "bpg"


@pytest.mark.parametrize(
    ("anchor", "said"),
    [
        ("webp", "it is one of png, jpeg, bpg:chroma=444, bpg:chroma=422"),
        ("bpg", "'bpg' is none of the codecs given"),
        ("jpg", "'jpg' is none of the codecs given"),
        ("bpg:chroma=422", "given at one operating point; a curve needs 2; take one of jpeg"),
        ("png", "'png' is lossless and has no curve; take one of jpeg, bpg:chroma=444"),
    ],
)
def test_a_wrong_anchor_is_refused_before_any_work(anchor: str, said: str) -> None:
    bpg = [*expand("bpg:qp=30,40,chroma=444"), "bpg:qp=30,chroma=422"]
    with pytest.raises(InputError) as refusal:
        bench([Path("never-read.png")], ["png", *JPEG, *bpg], anchor=anchor)
    assert said in str(refusal.value)


def test_the_bench_saves_its_table(folder: Path, tmp_path: Path) -> None:
    specs = [*expand("webp:quality=10,40"), *expand("jpeg:quality=10,40")]
    result = bench(find_images([folder / "deep"]), specs, anchor="jpeg")
    result.save(tmp_path)
    table = pd.read_csv(tmp_path / "bdrate.csv")
    assert list(table["codec"]) == ["webp", "webp"]
    assert list(table["anchor"]) == ["jpeg", "jpeg"]
    assert table["note"][1].endswith("a side under 176 pixels")


def test_results_go_to_a_new_folder_or_over_an_earlier_bench(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    check_out(out, [folder])
    bench(find_images([folder / "deep"]), ["png"]).save(out)
    (out / "notes.txt").write_text("mine")
    check_out(out, [folder])
    (tmp_path / "study").mkdir()
    (tmp_path / "study/report.html").write_text("mine")
    with pytest.raises(InputError, match=r"study: holds other files \(report.html\)"):
        check_out(tmp_path / "study", [folder])
    for inside in (folder, folder / "deep" / "bench"):
        with pytest.raises(InputError, match="must lie outside of the images' folder"):
            check_out(inside, [folder])
