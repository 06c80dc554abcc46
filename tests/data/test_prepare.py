"""Resize, crop and tile, image and mask together."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image as PillowImage
from torchvision.transforms.functional import center_crop, resize

from ratewise.data.prepare import PrepareSettings, prepare, prepare_fingerprint
from ratewise.errors import ImageError, InputError
from ratewise.validation import validate

RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 256, (37, 61, 3), np.uint8)
MASK = RNG.integers(0, 9, (37, 61), np.uint8)


def test_nothing_is_the_default() -> None:
    ((suffix, image, mask),) = prepare(IMAGE, MASK, PrepareSettings())
    assert suffix == ""
    assert image is IMAGE
    assert mask is MASK


@pytest.mark.parametrize("shape", [(37, 61), (61, 37), (50, 50)])
def test_short_side_and_crop_are_those_of_torchvision(shape: tuple[int, int]) -> None:
    image = RNG.integers(0, 256, (*shape, 3), np.uint8)
    ((_, ours, _),) = prepare(image, None, PrepareSettings(short_side=25, crop=(21, 24)))
    theirs = center_crop(
        resize(PillowImage.fromarray(image), 25, PillowImage.Resampling.BICUBIC), [24, 21]
    )
    np.testing.assert_array_equal(ours, np.array(theirs))


def test_a_resized_mask_holds_only_ids_that_were_there() -> None:
    mask = np.where(MASK > 4, 200, 3).astype(np.uint8)
    ((_, image, small),) = prepare(IMAGE, mask, PrepareSettings(resize=(30, 20)))
    assert image.shape == (20, 30, 3)
    assert small is not None
    assert small.shape == (20, 30)
    assert set(np.unique(small)) == {3, 200}


def test_tiles_cover_the_image_and_score_each_pixel_once() -> None:
    tiles = prepare(IMAGE, MASK, PrepareSettings(tile=(24, 16)))
    assert [suffix for suffix, _, _ in tiles] == [f"_r{r}_c{c}" for r in range(3) for c in range(3)]
    assert {image.shape for _, image, _ in tiles} == {(16, 24, 3)}
    counted = sum(int((mask != 255).sum()) for _, _, mask in tiles if mask is not None)
    assert counted == MASK.size
    histogram = sum(np.bincount(mask.ravel(), minlength=256) for _, _, mask in tiles)  # type: ignore[union-attr]
    assert histogram[:9].tolist() == np.bincount(MASK.ravel(), minlength=9).tolist()
    np.testing.assert_array_equal(tiles[-1][1], IMAGE[-16:, -24:])


@pytest.mark.parametrize("grid", [(3, 3), (4, 5), (7, 3), (38, 22)])
def test_a_grid_spreads_tiles_from_edge_to_edge(grid: tuple[int, int]) -> None:
    tiles = prepare(IMAGE, MASK, PrepareSettings(tile=(24, 16), grid=grid))
    columns, rows = grid
    names = [f"_r{r}_c{c}" for r in range(rows) for c in range(columns)]
    assert [suffix for suffix, _, _ in tiles] == names
    np.testing.assert_array_equal(tiles[0][1], IMAGE[:16, :24])
    np.testing.assert_array_equal(tiles[-1][1], IMAGE[-16:, -24:])
    # 61 - 24 = 37 and 37 - 16 = 21 pixels to spread over the steps.
    left, top = 37 // (columns - 1), 21 // (rows - 1)
    np.testing.assert_array_equal(tiles[1][1], IMAGE[:16, left : left + 24])
    np.testing.assert_array_equal(tiles[columns][1], IMAGE[top : top + 16, :24])
    histogram = sum(np.bincount(mask.ravel(), minlength=256) for _, _, mask in tiles)  # type: ignore[union-attr]
    assert histogram[:9].tolist() == np.bincount(MASK.ravel(), minlength=9).tolist()


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ((2, 3), "2 tiles of 24 pixels do not cover 61 pixels"),
        ((39, 3), "39 tiles of 24 pixels cannot all differ in 61 pixels"),
    ],
)
def test_a_grid_that_does_not_fit_is_refused(grid: tuple[int, int], message: str) -> None:
    with pytest.raises(ImageError, match=message):
        prepare(IMAGE, MASK, PrepareSettings(tile=(24, 16), grid=grid))
    known = {"resize": [61, 37], "tile": [24, 16], "grid": list(grid)}
    with pytest.raises(InputError, match=message):
        validate(PrepareSettings, known, "study.yaml")


def test_a_grid_needs_the_size_of_its_tiles() -> None:
    with pytest.raises(InputError, match="'grid' needs 'tile'"):
        validate(PrepareSettings, {"grid": [2, 2]}, "study.yaml")


def test_settings_without_a_grid_keep_their_fingerprint() -> None:
    settings = PrepareSettings(resize=(30, 20), tile=(12, 8))
    assert prepare_fingerprint(settings) == {"version": 1, "resize": [30, 20], "tile": [12, 8]}


@pytest.mark.parametrize("key", ["crop", "tile"])
def test_an_image_smaller_than_asked_for_is_refused(key: str) -> None:
    with pytest.raises(ImageError, match=f"61x37 is smaller than the {key} 62x10"):
        prepare(IMAGE, MASK, PrepareSettings(**{key: (62, 10)}))


def test_two_ways_to_resize_exclude_each_other() -> None:
    with pytest.raises(InputError, match="exclude each other"):
        validate(PrepareSettings, {"resize": [8, 8], "short_side": 8}, "study.yaml")
    with pytest.raises(InputError, match="resize"):
        validate(PrepareSettings, {"resize": [0, 8]}, "study.yaml")


def test_the_label_is_short() -> None:
    assert PrepareSettings(short_side=256, crop=(224, 224)).label == "short side 256, crop 224x224"
    assert PrepareSettings().label == "none"
