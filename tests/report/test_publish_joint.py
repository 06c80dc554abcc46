"""Tables of joint codecs in documents come from the files of their training."""

from __future__ import annotations

from pathlib import Path

import pytest

from ratewise.errors import InputError
from ratewise.report.publish import publish, read_results

MAPS = """variant,lambda,images,miou,pixel_accuracy,iou:road,iou:sky,miou_categories
B+Q+A,256,4,0.6123,0.9,0.8,0.4246,0.7
B,256,4,0.6,0.9,0.8,,0.71
"""
COLUMNS = "variant,lambda,images,bpp,bpp_semantic,bpp_image,psnr,psnr_plain"
PICTURES = f"""{COLUMNS},ms_ssim_db,ms_ssim_db_plain
B+Q+A,256,test,0.3512,0.0412,0.309,29.514,29.402,14.25,14.2
"""
PAGE = """<!-- table:ablations -->
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
    assert "| variant | lambda | road | sky | Cla-IoU | Cat-IoU |" in lines
    assert "| B+Q+A | 256 | 80.0 | 42.5 | 61.2 | 70.0 |" in lines
    assert "| B | 256 | 80.0 | - | 60.0 | 71.0 |" in lines
    assert "| test | B+Q+A | 256 | 0.351 | 0.041 | 29.51 | 29.40 | 0.11 | 14.25 | 14.20 |" in lines
    assert publish(tmp_path, check=True) == []


def test_pictures_that_are_missing_are_named(tmp_path: Path) -> None:
    (tmp_path / "joint.csv").write_text(MAPS)

    with pytest.raises(InputError, match=r"joint-pictures\.csv"):
        read_results(tmp_path / "joint.csv")
