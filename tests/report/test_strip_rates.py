"""The rate beside a test image in a picture strip is that of the file that was sent."""

from __future__ import annotations

import pytest

from ratewise.data.manifest import Record
from ratewise.report.run_report import _bpp
from ratewise.study.plan import Plan, Run, Stage


@pytest.mark.parametrize(
    ("kind", "codec", "expected"),
    [("compress", "bpg:qp=41", 8.0), ("restore", "bpg:qp=41", 2.0), ("prepare", "png", None)],
)
def test_a_restored_image_has_the_rate_of_what_it_was_made_from(
    kind: str, codec: str, expected: float | None
) -> None:
    record = Record(
        key="a", path="a.png", mask=None, group="", width=10, height=10, bytes=100, bpp=8.0,
        psnr=30.0, sha256="", mask_sha256=None, codec="png", versions="{}", source="a",
        source_format="bpg", source_bytes=25,
    )  # fmt: skip
    stage = Stage(kind, "", {})
    run = Run("OR", "png", codec, "standard", 0, "t", "s", "m", "e")
    assert _bpp(run, Plan({"s": stage}, (run,)), record) == expected
