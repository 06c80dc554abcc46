"""The rate columns of the expert training paper's Table I, on 160 ImageNet photographs."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from ratewise.codecs import codec
from ratewise.images import Image, read_image
from ratewise.metrics.distortion import psnr


@cache
def _crops(folder: Path) -> tuple[Image, ...]:
    return tuple(_crop(read_image(path)) for path in sorted(folder.glob("*.JPEG")))


def _crop(image: Image) -> Image:
    """The centre 224x224 after the short side is made 256, bicubic with antialiasing."""
    picture = PillowImage.fromarray(image)
    scale = 256 / min(picture.size)
    width, height = (round(side * scale) for side in picture.size)
    picture = picture.resize((width, height), PillowImage.Resampling.BICUBIC)
    left, top = (width - 224) // 2, (height - 224) // 2
    return np.asarray(picture)[top : top + 224, left : left + 224]


@pytest.mark.parametrize(
    ("spec", "size", "quality"),
    [
        ("jpeg2000:ratio=75,mode=paper", 2001, 24.93),
        ("jpeg2000:ratio=200,mode=paper", 762, 21.66),
        ("jpeg2000:ratio=400,mode=paper", 389, 18.98),
        ("jpeg2000:ratio=75", 1992, 27.65),
        ("jpeg:quality=75", 10570, 33.10),
        ("jpeg:quality=10", 2938, 25.85),
        ("jpeg:quality=5", 2120, 23.27),
    ],
)
def test_mean_bytes_and_psnr_are_those_of_the_table(
    shared_data: Path, spec: str, size: float, quality: float
) -> None:
    crops = _crops(shared_data / "imagenet-samples")
    assert len(crops) == 160
    coder = codec(spec)
    data = [coder.encode(crop) for crop in crops]
    found = [psnr(crop, coder.decode(one)) for crop, one in zip(crops, data, strict=True)]
    assert np.mean([len(one) for one in data]) == pytest.approx(size, rel=0.01)
    assert np.mean(found) == pytest.approx(quality, abs=0.2)
