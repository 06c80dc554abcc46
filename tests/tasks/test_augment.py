"""Scale, crop and flip: every channel and the mask stay aligned, and every size is served."""

from __future__ import annotations

import numpy as np
import pytest

from ratewise.errors import InputError
from ratewise.tasks.augment import FILL, augment
from ratewise.tasks.segmentation_settings import AugmentationSettings


def _scene(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """An image of flat vertical bands, whose colour tells the class of the mask."""
    mask = np.broadcast_to((np.arange(width) // 12 % 5).astype(np.uint8), (height, width)).copy()
    return np.repeat((mask * 50)[..., None], 3, axis=2), mask


def test_images_and_mask_are_cut_alike() -> None:
    image, mask = _scene(90, 120)
    settings = AugmentationSettings(scale=(0.5, 2.0), crop=(64, 48))
    for seed in range(20):
        (first, second), target = augment(
            (image, 255 - image), mask, settings, np.random.default_rng(seed)
        )
        assert first.shape == second.shape == (48, 64, 3)
        assert target.shape == (48, 64)
        seen = target != 255
        assert (first[seen].astype(int) + second[seen] - 255).__abs__().max() <= 1
        # Away from the edges of the bands the colour is that of the class.
        right = np.abs(first[..., 0].astype(int) - target.astype(int) * 50) <= 3
        assert right[seen].mean() > 0.7


def test_scale_one_and_no_flip_give_the_image_back() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (31, 17, 3)).astype(np.uint8)
    mask = rng.integers(0, 5, (31, 17)).astype(np.uint8)
    settings = AugmentationSettings(scale=(1, 1), flip=False)
    (same,), target = augment((image,), mask, settings, rng)
    assert (same == image).all()
    assert (target == mask).all()


def test_half_of_the_samples_are_mirrored() -> None:
    image, mask = _scene(8, 30)
    settings = AugmentationSettings(scale=(1, 1))
    mirrored = 0
    for seed in range(100):
        (cut,), target = augment((image,), mask, settings, np.random.default_rng(seed))
        assert (cut == image).all() or (cut == image[:, ::-1]).all()
        assert (cut[..., 0] == target * 50).all()
        mirrored += bool((cut == image[:, ::-1]).all())
    assert 30 < mirrored < 70


def test_what_lies_outside_a_shrunk_image_is_grey_and_ignored() -> None:
    image, mask = _scene(40, 60)
    settings = AugmentationSettings(scale=(0.5, 0.5))
    (cut,), target = augment((image,), mask, settings, np.random.default_rng(3))
    outside = target == 255
    assert outside.sum() == 40 * 60 - 20 * 30
    assert (cut[outside] == FILL).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (33, 2), (181, 239)])
@pytest.mark.parametrize("crop", [None, (1, 1), (240, 176)])
def test_any_size_gives_the_crop(size: tuple[int, int], crop: tuple[int, int] | None) -> None:
    image, mask = _scene(*size)
    for seed in range(10):
        (cut,), target = augment(
            (image,), mask, AugmentationSettings(crop=crop), np.random.default_rng(seed)
        )
        assert cut.shape[:2] == target.shape == ((crop[1], crop[0]) if crop else size)
        assert cut.dtype == target.dtype == np.uint8


def test_the_same_generator_gives_the_same_sample() -> None:
    image, mask = _scene(50, 70)
    one, other, third = (
        augment((image,), mask, AugmentationSettings(), np.random.default_rng(seed))
        for seed in (1, 1, 2)
    )
    assert (one[0][0] == other[0][0]).all()
    assert not (one[0][0] == third[0][0]).all()


def test_an_image_of_another_size_than_its_mask_is_refused() -> None:
    image, _ = _scene(10, 12)
    with pytest.raises(InputError, match="does not fit its mask"):
        augment(
            (image,), np.zeros((10, 11), np.uint8), AugmentationSettings(), np.random.default_rng()
        )
