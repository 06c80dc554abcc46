"""INRIA Aerial Image Labeling, on a made-up miniature of the published layout."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage
from typer.testing import CliRunner

from ratewise.cli.main import app
from ratewise.data.compress import compress_store
from ratewise.data.dataset import Dataset, check_splits
from ratewise.data.datasets import dataset_settings, open_dataset
from ratewise.data.prepare import PrepareSettings
from ratewise.data.sources import DatasetSource
from ratewise.data.store import open_store
from ratewise.errors import InputError

LABELLED = ("austin", "chicago", "kitsap", "tyrol-w", "vienna")
UNLABELLED = ("bellingham", "bloomington", "innsbruck", "sfo", "tyrol-e")
RNG = np.random.default_rng(0)
MASK = np.where(RNG.integers(0, 2, (6, 6)) == 1, 255, 0).astype(np.uint8)


def _open(base: Path, **value: Any) -> Dataset:
    return open_dataset(dataset_settings({"name": "inria", "root": "."} | value), base)


def _tiff(path: Path, pixels: np.ndarray[Any, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    PillowImage.fromarray(pixels).save(path, compression="tiff_lzw")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for folder, cities in (("train", LABELLED), ("test", UNLABELLED)):
        for city in cities:
            for number in (1, 2, 10):
                image = RNG.integers(0, 256, (6, 6, 3), np.uint8)
                _tiff(tmp_path / f"{folder}/images/{city}{number}.tif", image)
                if folder == "train":
                    _tiff(tmp_path / f"train/gt/{city}{number}.tif", MASK)
    return tmp_path


@pytest.mark.parametrize("city", LABELLED)
def test_one_labelled_city_is_val_and_the_cities_without_labels_are_unlabelled(
    root: Path, city: str
) -> None:
    inria = _open(root, test_city=city)
    assert inria.splits == ("train", "val", "unlabelled")
    groups = {split: Counter(item.group for item in inria.items(split)) for split in inria.splits}
    assert groups["train"] == {name: 3 for name in LABELLED if name != city}
    assert groups["val"] == {city: 3}
    assert groups["unlabelled"] == dict.fromkeys(UNLABELLED, 3)
    assert {item.mask for item in inria.items("unlabelled")} == {None}
    keys = [item.key for item in inria.items("train")]
    assert keys == sorted(keys)


def test_a_mask_is_the_class_ids_of_its_own_image(root: Path) -> None:
    inria = _open(root)
    item = next(item for item in inria.items("train") if item.key.endswith("tyrol-w10.tif"))
    assert item.mask == "train/gt/tyrol-w10.tif"
    image, mask = inria.load(item)
    np.testing.assert_array_equal(image, PillowImage.open(root / item.key))
    np.testing.assert_array_equal(mask, MASK == 255)
    assert inria.classes is not None
    assert inria.classes.names == ("background", "building")


def test_the_archive_may_keep_its_own_folder(root: Path) -> None:
    shutil.move(root / "train", root / "AerialImageDataset/train")
    inria = _open(root)
    assert inria.root == root / "AerialImageDataset"
    assert inria.splits == ("train", "val")
    assert len(inria.items("val")) == 3


def test_tiles_of_a_split_make_a_store(root: Path, tmp_path: Path) -> None:
    source = DatasetSource(_open(root), "val", PrepareSettings(tile=(3, 3)))
    summary = compress_store(source, tmp_path.parent / f"{tmp_path.name}-store", "png")
    store = open_store(tmp_path.parent / f"{tmp_path.name}-store")
    assert (summary.failed, len(store)) == (0, 12)


def test_the_command_line_counts_it(root: Path) -> None:
    arguments = ["data", "check", str(root), "--data", "inria", "-j", "1", "-q", "--json"]
    result = CliRunner().invoke(app, [*arguments, "--set", "test_city=vienna"])
    assert result.exit_code == 0, result.output
    train, val, unlabelled = json.loads(result.stdout)["splits"]
    assert (train["images"], train["masks"]) == (12, 12)
    assert (unlabelled["images"], unlabelled["masks"]) == (15, 0)
    buildings = int((MASK == 255).sum())
    assert val["class_pixels"] == [3 * (36 - buildings), 3 * buildings]


@pytest.mark.parametrize("missing", ["train/images", "train/gt"])
def test_another_layout_is_told_what_it_should_be(root: Path, missing: str) -> None:
    shutil.rmtree(root / missing)
    with pytest.raises(InputError, match=rf"{missing}: no such folder \(inria as published has"):
        _open(root)


def test_a_wrong_city_is_named(root: Path) -> None:
    with pytest.raises(InputError, match=r"test_city = 'paris': .*'austin', 'chicago'"):
        _open(root, test_city="paris")
    _tiff(root / "train/images/paris1.tif", np.zeros((6, 6, 3), np.uint8))
    with pytest.raises(InputError, match=r"paris1\.tif: paris is no labelled city of inria"):
        _open(root).items("train")


def test_a_wrong_file_is_named(root: Path) -> None:
    _tiff(root / "train/gt/austin1.tif", np.full((6, 6), 7, np.uint8))
    with pytest.raises(InputError, match=r"austin1\.tif: class id 7 .*\(allowed: 0, 255\)"):
        check_splits(_open(root), ["train"])
    (root / "train/gt/austin1.tif").unlink()
    with pytest.raises(InputError, match=r"images/austin1\.tif: no mask train/gt/austin1\.tif"):
        _open(root).items("train")
    _tiff(root / "test/images/sfo.tif", np.zeros((6, 6, 3), np.uint8))
    with pytest.raises(InputError, match=r"sfo\.tif: the name must be a city and a number"):
        _open(root).items("unlabelled")
