from __future__ import annotations

import numpy as np
import pytest
from made_up_study import CLASSES

from ratewise.data.classes import Classes
from ratewise.report.pictures import choose_zoom, colourise, crop, scale, strip_png


def test_each_pixel_has_the_colour_of_its_class_and_ignored_ones_are_black():
    mask = np.array([[0, 1], [2, 255]], np.uint8)
    assert colourise(mask, CLASSES).tolist() == [
        [[128, 64, 128], [70, 130, 180]],
        [[220, 220, 0], [0, 0, 0]],
    ]


def test_the_zoom_holds_the_whole_small_object():
    mask = np.zeros((120, 160), np.uint8)
    mask[50:70, 100:106] = 2
    x, y, width, height = choose_zoom(mask, CLASSES)
    assert x <= 100
    assert x + width >= 106
    assert y <= 50
    assert y + height >= 70
    assert width == height <= 60


def test_of_several_small_objects_the_one_of_reasonable_size_is_taken():
    mask = np.zeros((120, 160), np.uint8)
    mask[5, 5] = 2  # a speck
    mask[0:100, 60:100] = 2  # a large one
    mask[50:70, 140:146] = 2  # 120 pixels, near 0.6 % of the picture
    x, y, width, height = choose_zoom(mask, CLASSES)
    assert (mask[y : y + height, x : x + width] == 2).sum() == 120
    assert x + width <= 160


def test_areas_that_join_only_lower_down_are_one_object():
    mask = np.zeros((100, 100), np.uint8)
    mask[40:50, 30:33] = mask[40:50, 40:43] = mask[50:53, 30:43] = 2
    x, y, width, height = choose_zoom(mask, CLASSES)
    assert x <= 30
    assert x + width >= 43
    assert y <= 40
    assert y + height >= 53


@pytest.mark.parametrize("shape", [(1, 1), (3, 200), (48, 64)])
@pytest.mark.parametrize("value", [0, 2, 255])
def test_the_zoom_lies_within_any_picture(shape, value):
    x, y, width, height = choose_zoom(np.full(shape, value, np.uint8), CLASSES)
    assert width >= 1
    assert height >= 1
    assert 0 <= x <= shape[1] - width
    assert 0 <= y <= shape[0] - height


def test_without_groups_the_rarest_class_is_zoomed_on():
    classes = Classes(names=("a", "b", "c"), colours=((0, 0, 0), (1, 1, 1), (2, 2, 2)))
    mask = np.zeros((100, 100), np.uint8)
    mask[:40] = 1
    mask[80:86, 20:28] = 2
    x, y, width, height = choose_zoom(mask, classes)
    assert (mask[y : y + height, x : x + width] == 2).sum() == 48


def test_a_strip_shows_the_picture_the_prediction_and_the_crops(strip):
    width = strip.original.shape[1]
    picture = strip_png(strip, CLASSES, width=width)
    assert picture.dtype == np.uint8
    assert picture.shape[1] == 3 * width + 2 * 6
    flat = {tuple(colour) for colour in picture.reshape(-1, 3).tolist()}
    assert {(90, 90, 90), (45, 45, 45), (220, 220, 0), (128, 64, 128)} <= flat


def test_crop_and_scale_keep_proportions():
    pixels = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    assert (crop(pixels, (1, 2, 3, 2)) == pixels[2:4, 1:4]).all()
    doubled = scale(pixels, 12, smooth=False)
    assert (doubled == pixels.repeat(2, 0).repeat(2, 1)).all()
