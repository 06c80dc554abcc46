"""Pictures of any format: what Pillow reads as it reads it, all else through the codecs."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from ratewise.codecs import codec, read_picture
from ratewise.codecs.bpg import hevc
from ratewise.codecs.pictures import picture_size
from ratewise.errors import ImageError
from ratewise.images import encode_png, read_image

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 40, 3), dtype=np.uint8)
BPG = codec("bpg:qp=20,preset=ultrafast").encode(PIXELS)


@pytest.mark.parametrize("spec", ["png", "jpeg", "jpeg2000", "webp", "avif"])
def test_what_pillow_reads_is_read_as_before(spec: str) -> None:
    data = codec(spec).encode(PIXELS)
    assert np.array_equal(read_picture(data, name="x"), read_image(data))
    assert picture_size(data) == (24, 40)


def test_a_codecs_own_format_is_decoded_by_it(tmp_path: Path) -> None:
    path = tmp_path / "a.bpg"
    path.write_bytes(BPG)
    right = codec("bpg").decode(BPG)
    assert np.array_equal(read_picture(BPG, name="a.bpg"), right)
    assert np.array_equal(read_picture(path), right)
    assert picture_size(path) == picture_size(BPG, name="a.bpg") == (24, 40)


def test_errors_name_the_file(tmp_path: Path) -> None:
    transparent = encode_png(np.zeros((2, 2, 4), np.uint8))
    for data, message in (
        (b"no picture", r"^x\.bpg: not an image that can be read \(no codec recognises"),
        (BPG[:-20], r"^x\.bpg: BPG data: the picture is cut short$"),
        (transparent, r"^x\.bpg: images with transparent pixels are not supported$"),
    ):
        with pytest.raises(ImageError, match=message):
            read_picture(data, name="x.bpg")
    with pytest.raises(ImageError, match=r"^image data: BPG data: "):
        read_picture(BPG[:-20])
    with pytest.raises(ImageError, match=r"gone\.bpg: no such file$"):
        read_picture(tmp_path / "gone.bpg")
    with pytest.raises(ImageError, match=r"gone\.bpg: no such file$"):
        picture_size(tmp_path / "gone.bpg")


def test_a_format_whose_library_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av.codec", None)
    hevc.unavailable.cache_clear()
    try:
        with pytest.raises(ImageError, match=r"^a\.bpg: not an image .*codec 'bpg'.*pip install"):
            read_picture(BPG, name="a.bpg")
    finally:
        hevc.unavailable.cache_clear()
