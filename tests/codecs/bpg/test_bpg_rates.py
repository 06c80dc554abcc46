"""Rates and quality are the reference encoder's (bpgenc 0.9.8 with x265).

``pytest -s`` prints the means, as they stand in docs/formats/bpg.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from ratewise.codecs import codec, decode
from ratewise.images import Image
from ratewise.metrics.distortion import psnr

SIDE = 224


@pytest.fixture(scope="module")
def six_images() -> dict[str, Image]:
    """Six photographs that come with two libraries, as 224x224 pixels from the centre."""
    from skimage import data
    from sklearn.datasets import load_sample_image

    pictures = {name: load_sample_image(f"{name}.jpg") for name in ("china", "flower")}
    pictures |= {n: getattr(data, n)() for n in ("astronaut", "coffee", "chelsea", "rocket")}
    return {name: square(PillowImage.fromarray(pixels)) for name, pixels in pictures.items()}


def square(picture: PillowImage.Image) -> Image:
    """The largest square at the centre, made 224x224 with Lanczos' filter."""
    side = min(picture.size)
    left, top = ((length - side) // 2 for length in picture.size)
    middle = picture.crop((left, top, left + side, top + side))
    return np.array(middle.resize((SIDE, SIDE), PillowImage.Resampling.LANCZOS))


def crop(path: Path) -> Image:
    """224x224 pixels from the centre, after the shorter side was made 256."""
    picture = PillowImage.open(path).convert("RGB")
    scale = 256 / min(picture.size)
    width, height = (round(length * scale) for length in picture.size)
    picture = picture.resize((width, height), PillowImage.Resampling.BICUBIC)
    left, top = (width - SIDE) // 2, (height - SIDE) // 2
    return np.array(picture.crop((left, top, left + SIDE, top + SIDE)))


def means(images: Sequence[Image], qp: int) -> tuple[float, float]:
    """Mean bytes and mean PSNR in dB of ``images`` at ``qp``."""
    coder = codec(f"bpg:qp={qp}")
    found = []
    for image in images:
        data = coder.encode(image)
        found.append((len(data), psnr(image, coder.decode(data))))
    size, quality = (float(value) for value in np.mean(found, axis=0))
    print(f"\n{len(images)} images, QP {qp}: {size:.0f} bytes, {quality:.2f} dB")
    return size, quality


@pytest.mark.parametrize(
    ("qp", "size", "quality", "bytes_off", "decibels_off"),
    [
        (29, 6111, 33.98, 0.02, 0.15),
        (41, 1496, 27.87, 0.02, 0.15),
        (46, 757, 25.69, 0.02, 0.15),
        (51, 376, 23.43, 0.03, 0.2),
    ],
)
def test_rates_of_six_images(
    six_images: dict[str, Image],
    qp: int,
    size: int,
    quality: float,
    bytes_off: float,
    decibels_off: float,
) -> None:
    mean_size, mean_quality = means(list(six_images.values()), qp)
    assert abs(mean_size / size - 1) < bytes_off
    assert abs(mean_quality - quality) < decibels_off


@pytest.mark.parametrize(
    ("qp", "size", "quality"), [(41, 1681, 27.94), (46, 811, 25.63), (51, 375, 23.34)]
)
def test_rates_of_160_photographs(shared_data: Path, qp: int, size: int, quality: float) -> None:
    paths = sorted((shared_data / "imagenet-samples").iterdir())
    assert len(paths) == 160
    mean_size, mean_quality = means([crop(path) for path in paths], qp)
    assert abs(mean_size / size - 1) < 0.03
    assert abs(mean_quality - quality) < 0.2


def test_the_six_images_are_those_of_the_vectors(
    six_images: dict[str, Image], shared_data: Path
) -> None:
    for name, vector in (
        ("astronaut", "astronaut224_420_q29"),
        ("coffee", "coffee224_420_q41"),
        ("rocket", "rocket224_420_q46"),
        ("chelsea", "chelsea224_420_q51"),
    ):
        source = PillowImage.open(shared_data / f"bpg-vectors/{vector}.src.png")
        assert np.array_equal(six_images[name], np.array(source.convert("RGB")))


def test_each_vectors_source_comes_out_as_large_and_as_good(shared_data: Path) -> None:
    folder = shared_data / "bpg-vectors"
    for name, spec, quality in (
        ("astronaut224_420_q29", "bpg:qp=29", 33.700),
        ("chelsea_225x151_444_q29", "bpg:qp=29,chroma=444", 35.229),
        ("chelsea_225x151_422_q41", "bpg:qp=41,chroma=422", 27.783),
        ("camera224_gray_q29", "bpg:qp=29,chroma=gray", 38.460),
        ("coffee224_420_10bit_q41", "bpg:qp=41,bit_depth=10", 27.828),
    ):
        image = np.array(PillowImage.open(folder / f"{name}.src.png").convert("RGB"))
        data = codec(spec).encode(image)
        assert abs(len(data) / (folder / f"{name}.bpg").stat().st_size - 1) < 0.02
        assert abs(psnr(image, decode(data)) - quality) < 0.15
