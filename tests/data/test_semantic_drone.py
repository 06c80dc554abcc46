"""The Semantic Drone Dataset, on made-up miniatures of the two layouts it is found in."""

from __future__ import annotations

import shutil
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

from ratewise.data.dataset import Dataset, check_splits, inspect_split
from ratewise.data.datasets import dataset_settings, open_dataset
from ratewise.data.prepare import PrepareSettings, prepare
from ratewise.data.semantic_drone import PUBLISHED, assign
from ratewise.errors import InputError

# The numbers of the public images have gaps: those of the private test set.
NUMBERS = (0, 1, 2, 4, 7, 8, 10, 599)
IDS = np.arange(24, dtype=np.uint8).reshape(4, 6)
COLOURS = np.array([colour for _, colour in PUBLISHED], np.uint8)[IDS]
OWNERS_CLASSES = (
    "tree grass vegetation dirt gravel rocks water paved-area pool person dog car bicycle roof "
    "wall fence fence-pole window door obstacle"
)


def _open(base: Path, root: str = ".") -> Dataset:
    return open_dataset(dataset_settings({"name": "semantic_drone", "root": root}), base)


def _save(path: Path, pixels: np.ndarray[Any, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    PillowImage.fromarray(pixels).save(path)


def _published(root: Path) -> Path:
    for number in NUMBERS:
        image = np.full((4, 6, 3), number % 256, np.uint8)
        _save(root / f"training_set/images/{number:03d}.jpg", image)
        _save(root / f"training_set/gt/semantic/label_images/{number:03d}.png", COLOURS)
    return root


def _mirrored(root: Path) -> Path:
    for number in NUMBERS:
        _save(root / f"original_images/{number:03d}.jpg", np.zeros((4, 6, 3), np.uint8))
        _save(root / f"label_images_semantic/{number:03d}.png", IDS)
    return root


def test_both_layouts_have_the_same_classes_and_splits(tmp_path: Path) -> None:
    published, mirrored = _open(_published(tmp_path / "a")), _open(_mirrored(tmp_path / "b"))
    for split in ("train", "val", "unlabelled"):
        one, other = published.items(split), mirrored.items(split)
        assert [Path(i.key).name for i in one] == [Path(i.key).name for i in other]
        assert [i.group for i in one] == [i.group for i in other]
    masks = [dataset.load(dataset.items("train")[0])[1] for dataset in (published, mirrored)]
    assert masks[0] is not None
    np.testing.assert_array_equal(masks[0], masks[1])


def test_the_classes_are_the_twenty_of_the_owners_page(tmp_path: Path) -> None:
    drone = _open(_mirrored(tmp_path))
    assert drone.classes is not None
    assert sorted(drone.classes.names) == sorted(OWNERS_CLASSES.split())
    mask = drone.load_mask(drone.items("train")[0])
    assert mask is not None
    seen = dict(zip([name for name, _ in PUBLISHED], mask.ravel().tolist(), strict=True))
    ignored = {name for name, value in seen.items() if value == 255}
    assert ignored == {"unlabeled", "ar-marker", "conflicting"}
    assert seen["bald-tree"] == seen["tree"]
    for name in drone.classes.names:
        assert drone.classes.names[seen[name]] == name
        assert drone.classes.colours[seen[name]] == dict(PUBLISHED)[name]


def test_the_published_400_fall_into_the_papers_265_and_70_and_65() -> None:
    assigned = [assign(place, 400) for place in range(400)]
    assert Counter(split for _, split in assigned) == {"train": 265, "val": 70, "unlabelled": 65}
    assert {run for run, _ in assigned} == {0, 1, 2, 3, 4}
    # Whole stretches stay together: each part of each run begins once.
    assert sum(a != b for a, b in pairwise(assigned)) == 3 * 5 - 1


@pytest.mark.parametrize("count", [1, 2, 7, 8, 399, 400])
def test_every_image_is_in_one_split(count: int) -> None:
    assert {assign(place, count)[1] for place in range(count)} <= {"train", "val", "unlabelled"}


def test_unlabelled_images_have_no_masks(tmp_path: Path) -> None:
    drone = _open(_published(tmp_path))
    sizes = {split: len(drone.items(split)) for split in drone.splits}
    assert sizes == {"train": 6, "val": 1, "unlabelled": 1}
    (item,) = drone.items("unlabelled")
    assert item.mask is None
    assert drone.load(item)[1] is None
    found = inspect_split(drone, "val")
    assert found.problems == []
    assert found.class_pixels is not None
    assert found.class_pixels.sum() == 24
    assert found.class_pixels[-1] == 3


def test_images_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    _mirrored(tmp_path)
    for folder, ending in (("original_images", "jpg"), ("label_images_semantic", "png")):
        shutil.move(tmp_path / folder / f"010.{ending}", tmp_path / folder / f"10.{ending}")
    keys = [i.key for split in ("train", "val", "unlabelled") for i in _open(tmp_path).items(split)]
    assert len(keys) == len(NUMBERS)
    (item,) = _open(tmp_path).items("unlabelled")
    assert item.key == "original_images/004.jpg"


def test_the_archive_may_keep_its_own_folder(tmp_path: Path) -> None:
    _published(tmp_path / "semantic_drone_dataset")
    assert _open(tmp_path).root == tmp_path / "semantic_drone_dataset"


def test_another_layout_is_told_what_it_should_be(tmp_path: Path) -> None:
    (tmp_path / "original_images").mkdir()
    with pytest.raises(InputError, match=r"holds no semantic_drone \(as published it has training"):
        _open(tmp_path)


def test_a_colour_of_no_class_is_named(tmp_path: Path) -> None:
    _published(tmp_path)
    wrong = COLOURS.copy()
    wrong[2, 3] = (1, 2, 3)
    _save(tmp_path / "training_set/gt/semantic/label_images/000.png", wrong)
    with pytest.raises(InputError, match=r"000\.png: colour \(1, 2, 3\) is no class's"):
        check_splits(_open(tmp_path), ["train"])


def test_a_wrong_file_is_named(tmp_path: Path) -> None:
    _mirrored(tmp_path)
    _save(tmp_path / "label_images_semantic/000.png", np.full((4, 6), 24, np.uint8))
    with pytest.raises(InputError, match=r"class id 24 is out of range \(allowed: 0 to 23\)"):
        check_splits(_open(tmp_path), ["train"])
    (tmp_path / "label_images_semantic/000.png").unlink()
    with pytest.raises(InputError, match=r"000\.jpg: no mask label_images_semantic/000\.png"):
        _open(tmp_path).items("train")
    _save(tmp_path / "original_images/house.jpg", np.zeros((4, 6, 3), np.uint8))
    with pytest.raises(InputError, match=r"house\.jpg: the name must be a number"):
        _open(tmp_path).items("train")


def test_the_papers_preparation_gives_twelve_patches_that_score_each_pixel_once() -> None:
    """The paper's 6000x4000 to 3000x2000 in 12 patches of 1200x800, at a hundredth of the side."""
    settings = PrepareSettings(resize=(30, 20), tile=(12, 8), grid=(4, 3))
    image = np.zeros((40, 60, 3), np.uint8)
    tiles = prepare(image, np.ones((40, 60), np.uint8), settings)
    assert len(tiles) == 12
    assert {tile.shape for _, tile, _ in tiles} == {(8, 12, 3)}
    scored = np.zeros((20, 30), int)
    for index, (_, _, mask) in enumerate(tiles):
        assert mask is not None
        top, left = 6 * (index // 4), 6 * (index % 4)
        scored[top : top + 8, left : left + 12] += mask != 255
    assert (scored == 1).all()
