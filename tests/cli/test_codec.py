"""``ratewise codec``: what it prints, writes and refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage
from PIL import features
from typer.testing import CliRunner

from ratewise import codecs
from ratewise.cli.main import app
from ratewise.cli.support import parse_size
from ratewise.errors import InputError
from ratewise.images import read_image, write_png
from ratewise.metrics.distortion import ms_ssim, psnr

runner = CliRunner()


def run(*arguments: object) -> tuple[int, str, str]:
    result = runner.invoke(app, ["codec", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    y, x = np.mgrid[:40, :50]
    write_png(tmp_path / "a.png", np.stack([5 * x, 6 * y, x + y], -1).astype(np.uint8))
    return tmp_path / "a.png"


def test_list_tells_operating_points_options_and_versions() -> None:
    code, out, _ = run("list", "--json")
    codecs = {entry["codec"]: entry for entry in json.loads(out)}
    assert code == 0
    assert list(codecs)[:5] == ["png", "jpeg", "jpeg2000", "webp", "avif"]
    assert codecs["png"]["operating_point"] is None
    assert codecs["jpeg"]["operating_point"] == {
        "name": "quality", "minimum": 1, "maximum": 100, "higher_is_better": True, "integer": True
    }  # fmt: skip
    subsampling = {"name": "subsampling", "default": "420", "allowed": "420, 422 or 444"}
    assert subsampling in codecs["jpeg"]["options"]
    assert "openjpeg" in codecs["jpeg2000"]["versions"]
    code, out, _ = run("list")
    assert code == 0
    assert "quality=75  a whole number from 1 to 100; the operating point, larger is better" in out


def test_list_says_what_pillow_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    check = features.check
    monkeypatch.setattr(features, "check", lambda name: name != "webp" and check(name))
    code, out, _ = run("list")
    assert code == 0
    assert out.count("not available: this Pillow") == 1
    assert "without WebP" in out


def test_encode_then_decode(picture: Path, tmp_path: Path) -> None:
    packed, back = tmp_path / "a.bin", tmp_path / "b.png"
    code, out, _ = run("encode", picture, packed, "--codec", "jpeg:quality=20")
    size = packed.stat().st_size
    assert code == 0
    assert f"jpeg:quality=20, {size} bytes, {8 * size / 2000:.4f} bpp, " in out
    code, out, _ = run("encode", picture, packed, "--codec", "jpeg:quality=20", "--json")
    assert json.loads(out)["bytes"] == size
    code, out, _ = run("decode", packed, back)
    assert (code, "jpeg, 50x40" in out) == (0, True)
    with PillowImage.open(packed) as expected:
        assert np.array_equal(read_image(back), np.asarray(expected))


def test_encode_with_a_target_of_bytes_or_bpp_keeps_to_it(picture: Path, tmp_path: Path) -> None:
    packed = tmp_path / "a.bin"
    code, out, _ = run("encode", picture, packed, "-c", "webp", "--target-bytes", "0.5kB")
    size = packed.stat().st_size
    assert code == 0
    assert size <= 500
    assert re.search(rf"webp:quality=\d+, {size} bytes, .* dB, found in \d encodes", out)
    code, out, _ = run("encode", picture, packed, "-c", "webp", "--target-bpp", 2, "--json")
    found = json.loads(out)
    assert found["bytes"] == packed.stat().st_size <= 500
    assert found["codec"].startswith("webp:quality=")
    assert found["bpp"] == 8 * found["bytes"] / 2000
    assert 1 <= found["encodes"] <= 9


def test_encode_with_a_target_of_psnr_reaches_it(picture: Path, tmp_path: Path) -> None:
    packed = tmp_path / "a.bin"
    arguments = ["-c", "jpeg:quality=5,40,90,subsampling=444", "--target-psnr", 30, "--json"]
    code, out, _ = run("encode", picture, packed, *arguments)
    found = json.loads(out)
    assert code == 0
    decoded = read_image(packed.read_bytes())
    assert found["psnr"] == psnr(read_image(picture), decoded) >= 30
    assert found["codec"] in [f"jpeg:quality={q},subsampling=444" for q in (5, 40, 90)]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-c", "jpeg:quality=5", "--target-bpp", 1], "--target-bpp chooses quality, but --codec"),
        (["-c", "jpeg", "--target-bpp", 1, "--target-psnr", 30], "are both given"),
        (["-c", "png", "--target-bpp", 1], "'png' has no operating point"),
        (["-c", "jpeg", "--target-bpp", 0], "--target-bpp 0 is no target"),
        (["-c", "jpeg", "--target-psnr", "nan"], "--target-psnr nan is no target"),
        (["-c", "jpeg", "--target-bytes", "2kb"], "--target-bytes '2kb' is not a number of bytes"),
        (["-c", "jpeg", "--target-bytes", 20], "even jpeg:quality=1 takes"),
        (["-c", "jpeg", "--target-psnr", 90], "even jpeg:quality=100 gives"),
        (["-c", "jpeg:quality=0,5", "--target-psnr", 9], "quality=0 is not allowed"),
    ],
)
def test_targets_that_cannot_be_met_are_one_sentence_and_no_file(
    arguments: list[object], said: str, picture: Path, tmp_path: Path
) -> None:
    code, out, err = run("encode", picture, tmp_path / "b.bin", *arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1
    assert not (tmp_path / "b.bin").exists()


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("2000", 2000), ("2kB", 2000), ("2 KB", 2000), ("1.5MB", 1_500_000), ("2GB", 2 * 10**9),
        ("1KiB", 1024), ("0.5MiB", 2**19), ("2GiB", 2**31), ("1.0019kB", 1001), (" 7B ", 7),
    ],
)  # fmt: skip
def test_sizes_are_read_as_people_write_them(text: str, size: int) -> None:
    assert parse_size(text, "--budget") == size


@pytest.mark.parametrize("text", ["", "kB", "-1", "1e3", "2k", "2Mb", "inf", "1,5MB", "²kB", "0"])
def test_other_sizes_are_refused_with_the_name_of_the_option(text: str) -> None:
    with pytest.raises(InputError, match=r"--budget '.*' is (not a number of|less than 1) byte"):
        parse_size(text, "--budget")


def test_bench_prints_and_saves(picture: Path, tmp_path: Path) -> None:
    out_folder = tmp_path / "out" / "bench"
    arguments = ["bench", picture, "--codec", "jpeg:quality=5,30", "--codec", "png"]
    code, out, _ = run(*arguments, "--out", out_folder)
    assert code == 0
    assert all(word in out for word in ("jpeg:quality=5", "png", "MS-SSIM dB", "dec ms"))
    assert "Against jpeg" in out
    assert "lossless: it has no operating points" in out
    names = {"images.csv", "summary.csv", "bdrate.csv", "rd.png", "report.html"}
    assert {path.name for path in out_folder.iterdir()} == names
    assert all(str(out_folder / name) in out.replace("\n", "") for name in names)
    assert read_image(out_folder / "rd.png").std() > 5
    code, out, _ = run(*arguments, "--out", out_folder, "--json", "--quiet")
    summary = json.loads(out)["summary"]
    assert [row["codec"] for row in summary] == ["jpeg:quality=5", "jpeg:quality=30", "png"]
    assert summary[2]["psnr"] is None


def test_bench_compares_with_the_anchor_named(picture: Path, tmp_path: Path) -> None:
    codecs = ["-c", "jpeg:quality=5,15,60", "-c", "jpeg:quality=5,15,60,subsampling=444"]
    arguments = ["bench", picture, *codecs, "-o", tmp_path / "out", "--anchor"]
    code, out, _ = run(*arguments, "jpeg:subsampling=444", "--json", "--quiet")
    assert code == 0
    rows = json.loads(out)["bdrate"]
    assert [(row["codec"], row["anchor"], row["metric"]) for row in rows] == [
        ("jpeg", "jpeg:subsampling=444", "psnr"),
        ("jpeg", "jpeg:subsampling=444", "ms_ssim_db"),
    ]
    assert isinstance(rows[0]["bd_rate_percent"], float)
    assert rows[1]["bd_rate_percent"] is None  # the picture is too small for MS-SSIM
    code, out, _ = run(*arguments, "jpeg", "--quiet")
    assert "Against jpeg" in out
    assert f"{-100 * (1 - 1 / (1 + rows[0]['bd_rate_percent'] / 100)):+.1f}" in out


def test_bench_with_a_damaged_image_does_the_rest_and_exits_with_1(
    picture: Path, tmp_path: Path
) -> None:
    (tmp_path / "bad.png").write_bytes(b"no image")
    code, out, err = run(
        "bench", picture, tmp_path / "bad.png", "-c", "jpeg", "-o", tmp_path / "out", "--quiet"
    )
    assert code == 1
    assert "jpeg:quality=75" in out
    assert "1 of 2 measurements failed" in err
    assert "bad.png" in err
    assert "bad.png" in (tmp_path / "out" / "failures.csv").read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["encode", "a.png", "b.jpg", "-c", "jpg"], "did you mean jpeg?"),
        (["encode", "a.png", "b.jpg", "-c", "jpeg:quality=0"], "quality=0 is not allowed"),
        (["encode", "a.png", "b.jpg", "-c", "jpeg:quality=5,6"], "has 2 values"),
        (["encode", "gone.png", "b.jpg", "-c", "jpeg"], "gone.png: no such file"),
        (["encode", ".", "b.jpg", "-c", "jpeg"], ".: not a file"),
        (["encode", "a.png", "no/b.jpg", "-c", "jpeg"], "there is no folder no"),
        (["encode", "a.png", "a.png", "-c", "jpeg"], "the file to write is the file to read"),
        (["encode", "text.png", "b.jpg", "-c", "jpeg"], "text.png: not an image"),
        (["decode", "text.png", "b.png"], "text.png: no codec recognises"),
        (["decode", "a.png", "b.jpg"], "end its name in .png"),
        (["bench", "a.png", "-c", "jpeg:quality=5,101", "-o", "out"], "quality=101"),
        (["bench", "a.png", "-c", "jpeg:quality=5,10", "-o", "out", "--anchor", "webp"], "of jpeg"),
        (["bench", "a.png", "-c", "jpeg", "-o", "out", "--anchor", "jpeg"], "one operating point"),
        (["bench", "empty", "-c", "jpeg", "-o", "out"], "empty: no images in this folder"),
        (["bench", "gone", "-c", "jpeg", "-o", "out"], "gone: no such file or folder"),
        (["bench", "a.png", "-c", "jpeg", "-o", "text.png"], "there is a file of this name"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(
    arguments: list[str],
    said: str,
    picture: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.png").write_text("text")
    (tmp_path / "empty").mkdir()
    before = sorted(tmp_path.rglob("*"))
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("command", ["list", "encode", "decode", "bench"])
def test_help_has_an_example(command: str) -> None:
    code, out, _ = run(command, "--help")
    assert code == 0
    assert f"Example: ratewise codec {command}" in out


def test_crops_are_drawn_as_each_codec_has_them(picture: Path, tmp_path: Path) -> None:
    code, out, _ = run(
        *("crops", picture, tmp_path / "crops.png", "--codec", "jpeg:quality=5,90"),
        *("--box", "10,4,24,16", "--title", "low", "--title", "high", "--enlarged", 3),
    )
    assert code == 0
    assert re.match(r"low: \d\.\d{3} bpp, \d\d\.\d\d dB\nhigh: ", out)
    sheet = read_image(tmp_path / "crops.png")
    assert sheet.shape[1] >= 3 * 24 * 3
    first = sheet[-16 * 3 :: 3, : 24 * 3 : 3]
    np.testing.assert_array_equal(first, read_image(picture)[4:20, 10:34])


def test_crops_of_large_pictures_have_their_similarity(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    large = rng.integers(0, 4, (23, 25, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1) * 60
    write_png(tmp_path / "large.png", large)

    code, out, _ = run(
        *("crops", tmp_path / "large.png", tmp_path / "crops.png", "--codec", "jpeg:quality=90"),
    )

    jpeg = codecs.codec("jpeg:quality=90")
    similarity = ms_ssim(large, jpeg.decode(jpeg.encode(large)))
    assert code == 0
    assert out.endswith(f" dB, MS-SSIM {similarity:.4f}\n")


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("--box", "1,2,3"), "must be four whole numbers X,Y,W,H"),
        (("--box", "30,0,24,16"), "is not inside of the 50x40 image"),
        (("--title", "a"), "1 titles for 2 codecs"),
    ],
)
def test_crops_that_cannot_be_are_refused_before_any_work(
    picture: Path, tmp_path: Path, arguments: tuple[str, ...], what: str
) -> None:
    target = tmp_path / "crops.png"
    code, _, error = run("crops", picture, target, "--codec", "jpeg:quality=5,90", *arguments)
    assert code == 2
    assert what in error
    assert not target.exists()
