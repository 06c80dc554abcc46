"""Images in a folder per class and split; labels are the class folders of split train."""

from __future__ import annotations

import pickle
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image as PillowImage

from ratewise.data.dataset import Dataset, check_splits, inspect_split
from ratewise.data.datasets import dataset_settings, open_dataset
from ratewise.errors import InputError


def _image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    PillowImage.new("RGB", (6, 4)).save(path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("train/tench/b.png", "train/tench/deep/a.png", "train/dog/1.jpg", "val/dog/2.png"):
        _image(tmp_path / name)
    _image(tmp_path / "val/tench/3.png")
    return tmp_path


def _open(root: Path) -> Dataset:
    return open_dataset(dataset_settings({"name": "image_folder", "root": "."}), root)


def test_a_label_is_the_class_folder_and_ids_are_in_the_order_of_their_names(root: Path) -> None:
    dataset = _open(root)
    assert dataset.splits == ("train", "val")
    assert dataset.labels == ("dog", "tench")
    assert dataset.classes is None
    items = dataset.items("train")
    assert [item.key for item in items] == [
        "train/dog/1.jpg",
        "train/tench/b.png",
        "train/tench/deep/a.png",
    ]
    assert [(item.label, item.group, item.mask) for item in items] == [
        ("dog", "dog", None),
        ("tench", "tench", None),
        ("tench", "tench", None),
    ]
    image, mask = dataset.load(items[0])
    assert image.shape == (4, 6, 3)
    assert mask is None
    assert dataset.files(items[0]) == [root / "train/dog/1.jpg"]
    assert pickle.loads(pickle.dumps(dataset)).items("val") == dataset.items("val")


def test_items_are_sorted_by_key_where_classes_are_not(root: Path) -> None:
    """``dog food/`` sorts before ``dog/``, and the class ``dog`` before ``dog food``."""
    for split in ("train", "val"):
        _image(root / split / "dog food/x.png")
    dataset = _open(root)
    assert dataset.labels == ("dog", "dog food", "tench")
    keys = [item.key for item in dataset.items("train")]
    assert keys == sorted(keys)


def test_hidden_files_and_what_is_no_image_are_passed_over(root: Path) -> None:
    (root / "train/.cache").mkdir()
    (root / ".git").mkdir()
    (root / "train/README.txt").write_text("no image")
    (root / "train/dog/.DS_Store").write_text("")
    (root / "train/dog/notes.csv").write_text("")
    _image(root / "train/.thumb.png")
    _image(root / "train/dog/.thumb.png")
    dataset = _open(root)
    assert dataset.labels == ("dog", "tench")
    assert len(dataset.items("train")) == 3


def test_images_are_counted_per_class(root: Path) -> None:
    assert inspect_split(_open(root), "train").label_images == [1, 2]
    assert inspect_split(_open(root), "val").label_images == [1, 1]


def test_other_classes_give_another_fingerprint(root: Path) -> None:
    before = _open(root).fingerprint()
    _image(root / "train/dog/4.png")
    assert _open(root).fingerprint() == before
    for split in ("train", "val"):
        _image(root / split / "ant/x.png")
    assert _open(root).fingerprint() != before


def test_other_splits_stand_behind_the_usual_ones(root: Path) -> None:
    for split in ("extra", "test"):
        for label in ("dog", "tench"):
            _image(root / split / label / "x.png")
    assert _open(root).splits == ("train", "val", "test", "extra")
    with pytest.raises(InputError, match=r"no split 'dev' \(allowed: train, val, test, extra\)"):
        _open(root).items("dev")


def test_a_class_that_one_split_lacks_is_named(root: Path) -> None:
    _image(root / "train/ant/x.png")
    with pytest.raises(InputError, match=r"val/ant: no such folder, but .*train has this class;"):
        _open(root)
    _image(root / "val/ant/x.png")
    _image(root / "val/cat/x.png")
    _image(root / "val/cow/x.png")
    with pytest.raises(
        InputError, match=r"val/cat: .*train has no such class \(and 1 more\); every split"
    ):
        _open(root)


def test_an_empty_class_is_named(root: Path) -> None:
    (root / "val/dog/2.png").unlink()
    (root / "val/dog/notes.txt").write_text("")
    dataset = _open(root)
    check_splits(dataset, ["train"])
    with pytest.raises(InputError, match=r"val/dog: this class folder holds no images"):
        check_splits(dataset, ["val"])


def test_a_split_without_class_folders_is_named_and_other_such_folders_are_no_splits(
    root: Path,
) -> None:
    _image(root / "test/1.png")
    assert _open(root).splits == ("train", "val")
    for folder in (root / "val").iterdir():
        folder.rename(root / folder.name)
    _image(root / "val/1.png")
    with pytest.raises(InputError, match=r"val: has no class folders \(images lie in val/CLASS"):
        _open(root)


def test_images_beside_class_folders_are_named(root: Path) -> None:
    _image(root / "val/stray.png")
    with pytest.raises(
        InputError, match=r"val: images lie beside the class folders \(1, such as stray\.png\)"
    ):
        _open(root)


def test_without_split_train_the_layout_is_told(tmp_path: Path) -> None:
    _image(tmp_path / "dog/1.png")
    with pytest.raises(InputError, match=r"train: no such folder \(an image_folder has train/CL"):
        _open(tmp_path)
    with pytest.raises(InputError, match="root"):
        dataset_settings({"name": "image_folder"})


def test_an_unreadable_image_is_named(root: Path) -> None:
    (root / "val/dog/2.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"val/dog/2\.png: not an image that can be read"):
        check_splits(_open(root), ["val"])
    (problem,) = inspect_split(_open(root), "val").problems
    assert "2.png" in problem


@pytest.mark.parametrize("name", ["image_folder", "imagenet"])
def test_imagenette_has_ten_synsets_of_equal_size(shared_data: Path, name: str) -> None:
    root = shared_data / "imagenette"
    if not root.is_dir():
        pytest.skip(f"{root} is not here")
    dataset = open_dataset(dataset_settings({"name": name, "root": "imagenette"}), shared_data)
    assert dataset.labels == tuple(sorted(p.name for p in (root / "train").iterdir()))
    assert len(dataset.labels) == 10
    for split, count in (("train", 150), ("val", 80)):
        items = dataset.items(split)
        assert Counter(item.label for item in items) == dict.fromkeys(dataset.labels, count)
        assert {item.key for item in items} == {
            str(p.relative_to(root)) for p in (root / split).rglob("*.JPEG")
        }
    assert dataset.load(dataset.items("val")[-1])[0].shape == (224, 224, 3)
