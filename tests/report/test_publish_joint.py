"""Tables of joint codecs in documents come from the files of their training."""

from __future__ import annotations

from pathlib import Path

import pytest

from ratewise.errors import InputError
from ratewise.report.publish import publish, read_results

CODEC = "variant,lambda,seed,aggregation,quantisation,enhancement"
MAPS = f"""{CODEC},miou,pixel_accuracy,iou:road,iou:sky,miou_categories
B+Q+A,256,0,True,True,True,0.6123,0.9,0.8,0.4246,0.7
plain,256,0,True,True,False,0.61,0.9,0.8,0.42,0.7
plain,256,1,True,True,False,0.63,0.9,0.8,0.44,0.7
B+Q,256,0,False,True,False,0.60,0.9,0.8,,0.71
B+Q,256,1,False,True,False,0.61,0.9,0.8,,0.71
"""
RATES = "images,bpp,bpp_semantic,bpp_image"
QUALITY = "psnr,psnr_plain,ms_ssim_db,ms_ssim_db_plain,psnr_other_map"
PICTURES = f"""{CODEC},{RATES},{QUALITY}
B+Q+A,256,0,True,True,True,test,0.3512,0.0412,0.309,29.514,29.402,14.25,14.2,29.41
plain,256,0,True,True,False,test,0.35,0.04,0.309,29.4,29.4,14.2,14.2,
"""
PAGE = """<!-- table:ablations -->
<!-- /table -->
<!-- table:joint-modules -->
<!-- /table -->
<!-- table:joint-rates -->
<!-- /table -->
"""


def test_tables_are_filled(tmp_path: Path) -> None:
    (tmp_path / "joint.csv").write_text(MAPS)
    (tmp_path / "joint-pictures.csv").write_text(PICTURES)
    (tmp_path / "joint.md").write_text(PAGE)

    publish(tmp_path)

    lines = (tmp_path / "joint.md").read_text().splitlines()
    assert "| variant | lambda | road | sky | Cla-IoU | Cat-IoU | seeds |" in lines
    assert "| B+Q+A | 256 | 80.0 | 42.5 | 61.2 | 70.0 | 1 |" in lines
    assert "| plain | 256 | 80.0 | 43.0 | 62.0 ± 1.4 | 70.0 ± 0.0 | 2 |" in lines
    assert "| B+Q | 256 | 80.0 | - | 60.5 ± 0.7 | 71.0 ± 0.0 | 2 |" in lines
    rates = "0.351 | 0.041 | 29.51 | 29.40 | +0.112 | +0.008 | 14.25 | 14.20 | +0.050 | 1 |"
    assert f"| test | B+Q+A | 256 | {rates}" in lines
    plain = "0.350 | 0.040 | 29.40 | 29.40 | 0.000 | - | 14.20 | 14.20 | 0.000 | 1 |"
    assert f"| test | plain | 256 | {plain}" in lines
    assert publish(tmp_path, check=True) == []


def test_a_module_is_what_two_variants_differ_in(tmp_path: Path) -> None:
    (tmp_path / "joint.csv").write_text(MAPS)
    (tmp_path / "joint-pictures.csv").write_text(PICTURES)

    rows = read_results(tmp_path / "joint.csv").tables["joint-modules"]().splitlines()[2:]

    # By seed +1.0 and +2.0: the mean of two with t = 12.7 times 0.707 / sqrt(2) on either side.
    both = "+1.5 [-4.9, +7.9] | -1.0 [-1.0, -1.0] | 2 |"
    assert rows == [
        f"| aggregation | plain | B+Q | 256 | {both}",
        "| enhancement | B+Q+A | plain | 256 | +0.2 | 0.0 | 1 |",
    ]


def test_pictures_that_are_missing_are_named(tmp_path: Path) -> None:
    (tmp_path / "joint.csv").write_text(MAPS)

    with pytest.raises(InputError, match=r"joint-pictures\.csv"):
        read_results(tmp_path / "joint.csv")
