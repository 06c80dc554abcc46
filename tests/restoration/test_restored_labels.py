"""A restored store has the labels of whole images of the compressed one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image as PillowImage
from restoration_examples import texture

from ratewise.data.compress import compress_store
from ratewise.data.contents import verify_store
from ratewise.data.datasets import dataset_settings, open_dataset
from ratewise.data.sources import DatasetSource
from ratewise.data.store import open_store
from ratewise.restoration.generators import build_generator
from ratewise.restoration.restorer import save_restorer
from ratewise.restoration.run import Originals
from ratewise.restoration.settings import FineNetSettings
from ratewise.restoration.stores import restore_store

SMALL = FineNetSettings(width=4, blocks=1, downsamplings=1)
CODEC = "jpeg:quality=10"


@pytest.fixture
def source(tmp_path: Path) -> DatasetSource:
    for seed, key in enumerate(("train/tench/a.png", "train/dog/b.png")):
        path = tmp_path / "data" / key
        path.parent.mkdir(parents=True)
        PillowImage.fromarray(texture(seed, 32, 32)).save(path)
    dataset = open_dataset(dataset_settings({"name": "image_folder", "root": "data"}), tmp_path)
    return DatasetSource(dataset, "train")


def test_a_restored_store_has_the_labels_of_the_compressed_one(
    source: DatasetSource, tmp_path: Path
) -> None:
    compress_store(source, tmp_path / "c", CODEC)
    torch.manual_seed(0)
    save_restorer(tmp_path / "r.safetensors", build_generator(SMALL), SMALL, [CODEC])
    restore_store(
        open_store(tmp_path / "c"),
        tmp_path / "r",
        [tmp_path / "r.safetensors"],
        device="cpu",
        precision="fp32",
    )
    restored = open_store(tmp_path / "r")
    assert restored.labels == ("dog", "tench")
    assert [restored.label(index) for index in range(len(restored))] == [0, 1]


def test_images_that_a_restorer_is_trained_on_have_no_labels(
    source: DatasetSource, tmp_path: Path
) -> None:
    compress_store(Originals((source,), (1,)), tmp_path / "o", "png")
    originals = open_store(tmp_path / "o")
    assert originals.labels is None
    assert {record.label for record in originals.records} == {None}
    assert verify_store(originals) == []
