"""Sheets of crops."""

from __future__ import annotations

import numpy as np
import pytest

from ratewise.report.crop_sheet import TitledCrop, crop_sheet

RED = np.full((8, 40, 3), (200, 0, 0), np.uint8)
BLUE = np.full((8, 40, 3), (0, 0, 200), np.uint8)


def test_crops_stand_in_rows_under_their_titles() -> None:
    crops = [TitledCrop("a", "1", RED), TitledCrop("b", "2", BLUE), TitledCrop("c", "3", RED)]
    sheet = crop_sheet(crops, columns=2, enlarged=2)

    assert sheet.shape[1] == 2 * 80 + 6
    assert (sheet[-1, :80] == (200, 0, 0)).all()
    assert (sheet[-1, 86:] == 255).all()  # the last row has one crop
    assert (sheet == (0, 0, 200)).all(2).sum() == 80 * 16


def test_a_crop_that_is_not_there_is_an_empty_place() -> None:
    sheet = crop_sheet([TitledCrop("a", "", RED), TitledCrop("b", "cannot be decoded", None)])
    assert sheet.shape[1] == 2 * 80 + 6
    assert len(np.unique(sheet[-16:, 86:].reshape(-1, 3), axis=0)) == 1


@pytest.mark.parametrize("length", [1, 40])
def test_long_titles_take_more_lines(length: int) -> None:
    height = crop_sheet([TitledCrop("weights=" * length, "", RED)]).shape[0]
    assert (height > 100) == (length == 40)
