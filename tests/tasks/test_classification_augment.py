"""Random resized crop and flip: every channel stays aligned, and every size is served."""

from __future__ import annotations

import numpy as np
import pytest

from ratewise.errors import InputError
from ratewise.tasks.classification_augment import augment_images
from ratewise.tasks.classification_settings import ClassificationAugmentation


def _ramp(height: int, width: int) -> np.ndarray:
    """Red tells the column, green the row."""
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0] = np.arange(width)
    image[..., 1] = np.arange(height)[:, None]
    return image


def _part(cut: np.ndarray) -> tuple[float, float, bool]:
    """Width and height of the part of a ramp that was cut out, and whether it is mirrored."""
    columns, rows = cut[0, :, 0].astype(float), cut[:, 0, 1].astype(float)
    across = (columns[-5] - columns[4]) / (len(columns) - 9)
    down = (rows[-5] - rows[4]) / (len(rows) - 9)
    return abs(across) * len(columns), down * len(rows), across < 0


def test_channels_are_cut_alike() -> None:
    image = np.random.default_rng(0).integers(0, 256, (60, 80, 3)).astype(np.uint8)
    for seed in range(10):
        first, second = augment_images(
            (image, 255 - image), ClassificationAugmentation(), np.random.default_rng(seed)
        )
        assert first.shape == second.shape == image.shape
        assert np.abs(first.astype(int) + second - 255).max() <= 2  # rounded in two passes


def test_parts_have_the_areas_and_ratios_that_are_asked_for() -> None:
    image = _ramp(200, 240)
    settings = ClassificationAugmentation(crop_scale=(0.2, 0.5), ratio=(0.5, 2), size=(120, 100))
    parts = [
        _part(augment_images((image,), settings, np.random.default_rng(seed))[0])
        for seed in range(200)
    ]
    areas = np.array([w * h / (200 * 240) for w, h, _ in parts])
    ratios = np.array([w / h for w, h, _ in parts])
    assert areas.min() == pytest.approx(0.2, abs=0.02)
    assert areas.max() == pytest.approx(0.5, abs=0.03)
    assert areas.mean() == pytest.approx(0.35, abs=0.02)
    assert ratios.min() == pytest.approx(0.5, abs=0.05)
    assert ratios.max() == pytest.approx(2, abs=0.15)
    assert np.log(ratios).mean() == pytest.approx(0, abs=0.1)
    assert 70 < sum(mirrored for _, _, mirrored in parts) < 130


def test_parts_lie_everywhere() -> None:
    image = _ramp(200, 200)
    settings = ClassificationAugmentation(crop_scale=(0.25, 0.25), ratio=(1, 1), flip=False)
    corners = np.array(
        [
            augment_images((image,), settings, np.random.default_rng(seed))[0][0, 0, :2]
            for seed in range(200)
        ]
    )
    assert (corners.min(axis=0) <= 3).all()
    assert (corners.max(axis=0) >= 97).all()
    assert corners.mean(axis=0) == pytest.approx([50, 50], abs=6)


def test_the_whole_image_without_a_flip_is_the_image() -> None:
    image = np.random.default_rng(0).integers(0, 256, (31, 31, 3)).astype(np.uint8)
    settings = ClassificationAugmentation(crop_scale=(1, 1), ratio=(1, 1), flip=False)
    (same,) = augment_images((image,), settings, np.random.default_rng(0))
    assert (same == image).all()


def test_where_no_part_fits_the_largest_in_the_middle_is_taken() -> None:
    settings = ClassificationAugmentation(
        crop_scale=(1, 1), ratio=(1, 1), flip=False, size=(50, 50)
    )
    (cut,) = augment_images((_ramp(50, 250),), settings, np.random.default_rng(0))
    assert (cut == _ramp(50, 250)[:, 100:150]).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (33, 2), (181, 239)])
@pytest.mark.parametrize("wanted", [None, (1, 1), (24, 17)])
def test_any_size_gives_the_size_that_is_wanted(
    size: tuple[int, int], wanted: tuple[int, int] | None
) -> None:
    settings = ClassificationAugmentation(size=wanted)
    for seed in range(10):
        (cut,) = augment_images((_ramp(*size),), settings, np.random.default_rng(seed))
        assert cut.shape == ((wanted[1], wanted[0], 3) if wanted else (*size, 3))
        assert cut.dtype == np.uint8


def test_the_generator_is_drawn_from_equally_often_for_any_settings() -> None:
    after = set()
    for settings in (
        ClassificationAugmentation(),
        ClassificationAugmentation(crop_scale=(1, 1), ratio=(9, 9), flip=False, size=(3, 3)),
    ):
        for size in ((40, 40), (3, 90)):
            rng = np.random.default_rng(0)
            augment_images((_ramp(*size),), settings, rng)
            after.add(rng.random())
    assert len(after) == 1


def test_channels_of_different_sizes_are_refused() -> None:
    for images in ((_ramp(10, 12), _ramp(10, 11)), ()):
        with pytest.raises(InputError, match="channels of a sample"):
            augment_images(images, ClassificationAugmentation(), np.random.default_rng())
