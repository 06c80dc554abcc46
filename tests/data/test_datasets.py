"""Data sets as published, and the settings that choose them."""

from __future__ import annotations

import pickle
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

from ratewise.data.classes import Classes, default_colours
from ratewise.data.compress import compress_store
from ratewise.data.dataset import Dataset, check_splits, inspect_split
from ratewise.data.datasets import dataset_settings, open_dataset
from ratewise.data.sources import DatasetSource
from ratewise.errors import InputError


def _open(base: Path, **value: Any) -> Dataset:
    return open_dataset(dataset_settings(value), base)


def _save(path: Path, pixels: np.ndarray[Any, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    PillowImage.fromarray(pixels).save(path)


IMAGE = np.zeros((4, 6, 3), np.uint8)


def _folder(root: Path, mask: np.ndarray[Any, Any] | None = None) -> Path:
    _save(root / "images/a/1.png", IMAGE)
    _save(root / "masks/a/1.png", np.zeros((4, 6), np.uint8) if mask is None else mask)
    (root / "classes.yaml").write_text("names: [sky, road]\nignore: [200, 255]\n")
    return root


def test_camvid_has_the_splits_of_segnet(shared_data: Path) -> None:
    camvid = _open(shared_data, name="camvid", root="camvid")
    assert camvid.splits == ("train", "val")
    train, val = camvid.items("train"), camvid.items("val")
    assert (len(train), len(val)) == (367, 101)
    assert Counter(i.group for i in train) == {"0001TP": 62, "0006R0": 101, "0016E5": 204}
    image, mask = camvid.load(train[0])
    assert image.shape == (360, 480, 3)
    assert mask is not None
    assert set(np.unique(mask)) <= {*range(11), 255}
    raw = np.array(PillowImage.open(camvid.files(train[0])[1]))
    np.testing.assert_array_equal(mask == 255, raw == 11)
    assert camvid.classes is not None
    assert camvid.classes.ids("small objects") == (2, 6, 9, 10)


def test_camvid_is_found_under_the_data_folder(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RATEWISE_DATA", str(shared_data))
    assert _open(tmp_path, name="camvid").root == shared_data / "camvid"


def test_cityscapes_label_ids_become_train_ids(tmp_path: Path) -> None:
    labels = np.arange(34, dtype=np.uint8).reshape(2, 17)
    for split, kind in (("train", "gtFine"), ("train_extra", "gtCoarse"), ("test", None)):
        name = f"{split}/ulm/ulm_000001_000019"
        _save(tmp_path / f"leftImg8bit/{name}_leftImg8bit.png", np.zeros((2, 17, 3), np.uint8))
        if kind:
            _save(tmp_path / f"{kind}/{name}_{kind}_labelIds.png", labels)
            _save(tmp_path / f"{kind}/{name}_{kind}_color.png", labels)
    cityscapes = _open(tmp_path, name="cityscapes", root=".")
    assert cityscapes.splits == ("train", "test", "train_extra", "unlabelled")
    (item,) = cityscapes.items("train")
    assert item.group == "ulm"
    assert item.mask == "gtFine/train/ulm/ulm_000001_000019_gtFine_labelIds.png"
    mask = cityscapes.load(item)[1]
    assert mask is not None
    ids = mask.ravel()
    train_ids = [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33]
    assert [int(np.flatnonzero(ids == i)[0]) for i in range(19)] == train_ids
    assert (ids == 255).sum() == 34 - 19
    assert cityscapes.load(cityscapes.items("train_extra")[0])[1] is not None
    assert cityscapes.items("test")[0].mask is None
    classes = cityscapes.classes
    assert classes is not None
    categories = [members for name, members in classes.groups.items() if name != "small objects"]
    assert sorted(sum(categories, ())) == sorted(classes.names)
    assert len(categories) == 7


def test_unlabelled_images_of_cityscapes_are_spread_over_the_cities(tmp_path: Path) -> None:
    for city, count in (("augsburg", 9), ("bayreuth", 2), ("troisdorf", 6)):
        for frame in range(count):
            # Frame 73 of troisdorf is published black; here it is its fourth.
            number = 73 if (city, frame) == ("troisdorf", 3) else 70 + frame
            number += 10 * (city == "troisdorf" and frame > 3)
            name = f"train_extra/{city}/{city}_000000_{number:06d}"
            _save(tmp_path / f"leftImg8bit/{name}_leftImg8bit.png", IMAGE)
            _save(tmp_path / f"gtCoarse/{name}_gtCoarse_labelIds.png", IMAGE[..., 0])

    def chosen(count: int) -> list[str]:
        cityscapes = _open(tmp_path, name="cityscapes", root=".", unlabelled=count)
        items = cityscapes.items("unlabelled")
        assert {item.mask for item in items} == {None}
        assert [item.key for item in items] == sorted(item.key for item in items)
        return [item.key for item in items]

    def cities(keys: list[str]) -> dict[str, int]:
        return Counter(key.split("/")[2] for key in keys)

    assert cities(chosen(3)) == {"augsburg": 1, "bayreuth": 1, "troisdorf": 1}
    assert cities(chosen(8)) == {"augsburg": 3, "bayreuth": 2, "troisdorf": 3}
    assert cities(chosen(2000)) == {"augsburg": 9, "bayreuth": 2, "troisdorf": 5}
    assert not any(key.endswith("troisdorf_000000_000073_leftImg8bit.png") for key in chosen(2000))
    for count in range(1, 16):  # more keep those of fewer
        assert set(chosen(count)) < set(chosen(count + 1))
    frames = [int(key.split("_")[-2]) - 70 for key in chosen(8) if "augsburg" in key]
    assert frames == [0, 4, 8]  # of 0 to 8
    assert _open(tmp_path, name="cityscapes", root=".").items("train_extra")[0].mask is not None


def test_a_plain_folder_of_images_is_one_split_without_masks(tmp_path: Path) -> None:
    for name in ("drive1/2.png", "drive2/1.png", "3.png"):
        _save(tmp_path / name, IMAGE)
    folder = _open(tmp_path, name="folder", root=".")
    assert folder.splits == ("all",)
    items = folder.items("all")
    assert [(i.key, i.mask, i.group) for i in items] == [
        ("3.png", None, ""),
        ("drive1/2.png", None, "drive1"),
        ("drive2/1.png", None, "drive2"),
    ]
    assert folder.classes is None
    found = inspect_split(folder, "all")
    assert (found.images, found.masks, found.problems) == (3, 0, [])
    source = DatasetSource(folder, "all")
    store = compress_store(source, tmp_path.parent / f"{tmp_path.name}-store", "png")
    assert (store.images, store.failed) == (3, 0)


def test_masks_without_a_folder_of_images_are_an_error(tmp_path: Path) -> None:
    _save(tmp_path / "masks/1.png", IMAGE[..., 0])
    (tmp_path / "classes.yaml").write_text("names: [sky]")
    with pytest.raises(InputError, match="images: no such folder"):
        _open(tmp_path, name="folder", root=".")


def test_a_folder_with_a_class_list(tmp_path: Path) -> None:
    mask = np.array([[0, 1, 200, 255, 0, 0]] * 4, np.uint8)
    folder = _open(_folder(tmp_path, mask), name="folder", root=".")
    assert folder.splits == ("all",)
    (item,) = folder.items("all")
    assert (item.key, item.mask, item.group) == ("images/a/1.png", "masks/a/1.png", "a")
    ids = folder.load(item)[1]
    assert ids is not None
    assert ids[0].tolist() == [0, 1, 255, 255, 0, 0]


def test_the_splits_of_a_folder_are_subfolders_or_lists(tmp_path: Path) -> None:
    for name in ("train/1.png", "val/2.png"):
        _save(tmp_path / "images" / name, IMAGE)
    folder = _open(tmp_path, name="folder", root=".")
    assert folder.splits == ("train", "val")
    assert [i.key for i in folder.items("val")] == ["images/val/2.png"]
    assert folder.items("val")[0].mask is None
    (tmp_path / "splits").mkdir()
    (tmp_path / "splits/mine.txt").write_text("val/2.png\ntrain/1.png\n")
    folder = _open(tmp_path, name="folder", root=".")
    assert folder.splits == ("mine",)
    assert [i.key for i in folder.items("mine")] == ["images/train/1.png", "images/val/2.png"]
    (tmp_path / "splits/mine.txt").write_text("../x.png\n")
    with pytest.raises(InputError, match=r"mine\.txt: '\.\./x\.png' is no file"):
        folder.items("mine")


def test_a_mask_that_is_missing_is_named(tmp_path: Path) -> None:
    _folder(tmp_path)
    (tmp_path / "masks/a/1.png").unlink()
    with pytest.raises(InputError, match=r"images/a/1.png: no mask masks/a/1.png"):
        _open(tmp_path, name="folder", root=".").items("all")


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.zeros((4, 5), np.uint8), "masks/a/1.png: the mask is 5x4 but its image .* is 6x4"),
        (np.full((4, 6), 2, np.uint8), r"masks/a/1.png: class id 2 is out of range \(allowed: 0"),
        (np.zeros((4, 6, 3), np.uint8), "a mask must be an 8-bit grey or palette image"),
    ],
)
def test_a_wrong_mask_is_named(tmp_path: Path, mask: np.ndarray[Any, Any], message: str) -> None:
    folder = _open(_folder(tmp_path, mask), name="folder", root=".")
    with pytest.raises(InputError, match=message):
        check_splits(folder, ["all"])
    with pytest.raises(InputError, match=message):
        folder.load(folder.items("all")[0])
    assert len(inspect_split(folder, "all").problems) == 1


def test_inspection_counts_sizes_and_pixels(tmp_path: Path) -> None:
    mask = np.array([[0, 1, 1, 255, 0, 0]] * 4, np.uint8)
    found = inspect_split(_open(_folder(tmp_path, mask), name="folder", root="."), "all")
    assert (found.images, found.masks, found.problems) == (1, 1, [])
    assert found.sizes == {(6, 4): 1}
    assert found.class_pixels is not None
    assert found.class_pixels.tolist() == [12, 8, 4]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("names: [a, b", "classes.yaml: cannot be read as YAML"),
        ("colors: []", "classes.yaml: .*names"),
        ("names: [a]\ngrups: {}", "unknown key 'grups'; did you mean groups"),
        ("names: [a, a]", "class 'a' is named twice"),
        ("names: [a]\nignore: [0]", "ignore = 0"),
        ("names: [a]\ncolours: [[0, 0, 300]]", "classes.yaml: colours"),
        ("names: [a]\ngroups: {g: [b]}", "group 'g': no class 'b'"),
    ],
)
def test_a_wrong_class_list_is_named(tmp_path: Path, text: str, message: str) -> None:
    _folder(tmp_path)
    (tmp_path / "classes.yaml").write_text(text)
    with pytest.raises(InputError, match=message):
        _open(tmp_path, name="folder", root=".")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"name": "kamvid"}, "unknown data set 'kamvid'; did you mean camvid"),
        ({}, "'name' is missing"),
        ({"name": "streets", "widht": 3}, "unknown key 'widht' of data set streets; did you mean"),
        ({"name": "streets", "width": 3}, r"width = 3: .*greater than or equal to 32"),
        ({"name": "folder"}, "root.* is missing"),
    ],
)
def test_wrong_settings_are_named(value: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        dataset_settings(value)


def test_a_missing_folder_and_an_unknown_split_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere: no such folder"):
        _open(tmp_path, name="camvid", root="nowhere")
    (tmp_path / "train").mkdir()
    with pytest.raises(InputError, match="trainannot: no such folder"):
        _open(tmp_path, name="camvid", root=".")
    _folder(tmp_path / "f")
    folder = _open(tmp_path, name="folder", root="f")
    with pytest.raises(InputError, match=r"no split 'x' \(allowed: all\)"):
        folder.items("x")


def test_streets_needs_no_files_and_is_the_same_in_every_worker(tmp_path: Path) -> None:
    streets = _open(tmp_path, name="streets", train=3, val=2, width=64, height=48)
    assert [len(streets.items(s)) for s in streets.splits] == [3, 2]
    item = streets.items("val")[1]
    image, mask = streets.load(item)
    assert image.shape == (48, 64, 3)
    assert mask is not None
    assert mask.shape == (48, 64)
    copy = pickle.loads(pickle.dumps(streets))
    np.testing.assert_array_equal(copy.load(item)[0], image)
    assert not np.array_equal(streets.load(streets.items("train")[1])[0], image)
    assert streets.files(item) == []


def test_a_growing_split_keeps_its_images(tmp_path: Path) -> None:
    small = _open(tmp_path, name="streets", train=3, val=2)
    large = _open(tmp_path, name="streets", train=30, val=2)
    assert large.items("train")[:3] == small.items("train")
    assert small.fingerprint() == large.fingerprint()


def test_classes_survive_json_and_have_distinct_colours() -> None:
    classes = Classes(("a", "b"), default_colours(2), {"g": ("b",)})
    assert Classes.from_dict(classes.to_dict()) == classes
    assert len(set(default_colours(254))) == 254
