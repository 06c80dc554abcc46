"""ImageNet in folders of synsets, and as Kaggle gives it out: one table for a flat split val."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image as PillowImage

from ratewise.data.dataset import Dataset
from ratewise.data.datasets import dataset_settings, open_dataset
from ratewise.errors import InputError

TENCH, SPRINGER = "n01440764", "n02102040"
KAGGLE = "ILSVRC/Data/CLS-LOC"
VAL = {1: SPRINGER, 2: TENCH, 3: TENCH}


def _name(number: int) -> str:
    return f"ILSVRC2012_val_{number:08d}"


def _image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    PillowImage.new("RGB", (6, 4)).save(path, "JPEG")


def _train(root: Path) -> None:
    for synset in (SPRINGER, TENCH):
        _image(root / f"train/{synset}/{synset}_1.JPEG")


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    root = tmp_path / "folders"
    _train(root)
    for number, synset in VAL.items():
        _image(root / f"val/{synset}/{_name(number)}.JPEG")
    return root


@pytest.fixture
def kaggle(tmp_path: Path) -> Path:
    root = tmp_path / "kaggle"
    _train(root / KAGGLE)
    for number in VAL:
        _image(root / KAGGLE / f"val/{_name(number)}.JPEG")
    _image(root / KAGGLE / "test/ILSVRC2012_test_00000001.JPEG")
    lines = [f"{_name(n)},{s} 1 2 3 4 {s} 5 6 7 8 " for n, s in reversed(VAL.items())]
    _solution(root, *lines)
    return root


def _solution(root: Path, *lines: str) -> None:
    text = "\n".join(["ImageId,PredictionString", *lines])
    (root / "LOC_val_solution.csv").write_text(text + "\n")


def _open(root: Path) -> Dataset:
    return open_dataset(dataset_settings({"name": "imagenet", "root": "."}), root)


def test_both_layouts_have_the_same_labels(folders: Path, kaggle: Path) -> None:
    one, other = _open(folders), _open(kaggle)
    assert one.splits == other.splits == ("train", "val")
    assert one.labels == other.labels == (TENCH, SPRINGER)
    assert one.items("train") == other.items("train")
    for dataset in (one, other):
        labels = {Path(item.key).stem: item.label for item in dataset.items("val")}
        assert labels == {_name(number): synset for number, synset in VAL.items()}
        assert all(item.group == item.label for item in dataset.items("val"))
    keys = [item.key for item in other.items("val")]
    assert keys == [f"val/{_name(number)}.JPEG" for number in (1, 2, 3)]
    assert other.root == kaggle / KAGGLE
    assert other.load(other.items("val")[0])[0].shape == (4, 6, 3)


def test_kaggles_tree_with_folders_in_val_needs_no_table(kaggle: Path) -> None:
    val = kaggle / KAGGLE / "val"
    for number, synset in VAL.items():
        (val / synset).mkdir(exist_ok=True)
        shutil.move(val / f"{_name(number)}.JPEG", val / synset)
    (kaggle / "LOC_val_solution.csv").unlink()
    assert _open(kaggle).items("val")[0].key == f"val/{TENCH}/{_name(2)}.JPEG"


def test_the_table_is_in_the_fingerprint(kaggle: Path) -> None:
    before = _open(kaggle).fingerprint()
    _solution(kaggle, *(f"{_name(n)},{s}" for n, s in ((1, TENCH), (2, TENCH), (3, SPRINGER))))
    assert _open(kaggle).fingerprint() != before


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (f"{_name(1)},n09999999 1 2 3 4", r"line 5: .*train has no class 'n09999999'"),
        (f"{_name(9)},{TENCH} 1 2 3 4", rf"line 5: .*val has no image '{_name(9)}'"),
        (f"{_name(1)},{TENCH}", rf"line 5: image '{_name(1)}' has two classes"),
        (f"{_name(1)},", "line 5: must be an image and a synset"),
        (f"{_name(1)}", "line 5: must be an image and a synset"),
    ],
)
def test_a_wrong_line_of_the_table_is_named(kaggle: Path, line: str, message: str) -> None:
    with (kaggle / "LOC_val_solution.csv").open("a") as file:
        file.write(line)
    with pytest.raises(InputError, match=rf"LOC_val_solution\.csv: {message}"):
        _open(kaggle).items("val")
    assert len(_open(kaggle).items("train")) == 2


def test_an_image_that_the_table_leaves_out_is_named(kaggle: Path) -> None:
    _image(kaggle / KAGGLE / f"val/{_name(4)}.JPEG")
    with pytest.raises(InputError, match=rf"val/{_name(4)}\.JPEG: .*csv has no line for this"):
        _open(kaggle).items("val")


def test_a_class_without_images_in_a_flat_val_is_named(kaggle: Path) -> None:
    (kaggle / KAGGLE / f"val/{_name(1)}.JPEG").unlink()
    _solution(kaggle, *(f"{_name(n)},{TENCH} 1 2 3 4" for n in (2, 3)))
    with pytest.raises(InputError, match=rf"csv: no image has class '{SPRINGER}', which train has"):
        _open(kaggle).items("val")


def test_a_table_that_is_none_is_named(kaggle: Path) -> None:
    (kaggle / "LOC_val_solution.csv").write_text("a,b\n")
    with pytest.raises(InputError, match="line 1: must be ImageId,PredictionString"):
        _open(kaggle).items("val")
    (kaggle / "LOC_val_solution.csv").unlink()
    with pytest.raises(InputError, match=r"val: has no class folders, and .*solution\.csv, which"):
        _open(kaggle)


def test_a_wrong_folder_is_named(folders: Path) -> None:
    _image(folders / "val/stray.JPEG")
    with pytest.raises(InputError, match="val: images lie beside the class folders"):
        _open(folders)
    (folders / "val/stray.JPEG").unlink()
    _image(folders / "val/n03000684/x.JPEG")
    with pytest.raises(InputError, match=r"val/n03000684: .*train has no such class"):
        _open(folders)
    _image(folders / "train/tench/x.JPEG")
    with pytest.raises(InputError, match=r"train/tench: is no synset, such as n01440764"):
        _open(folders)
    shutil.rmtree(folders / "val")
    with pytest.raises(InputError, match=r"val: no such folder \(imagenet has train and val\)"):
        _open(folders)
    shutil.rmtree(folders / "train")
    with pytest.raises(InputError, match=r"holds no imagenet \(train/n01440764 and val/n0144"):
        _open(folders)
