"""The bench: its columns, its means, its failures."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ratewise.codecs import codec
from ratewise.codecs.bench import bench, find_images
from ratewise.errors import InputError
from ratewise.execution import Resources
from ratewise.images import read_image, write_png
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
