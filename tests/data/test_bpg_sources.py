"""Folders of .bpg files are sources like folders of any other images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ratewise.codecs import bench, codec, decode
from ratewise.data.compress import compress_store
from ratewise.data.dataset import check_items
from ratewise.data.folder import ClassList, FolderDataset
from ratewise.data.manifest import MANIFEST, iterate_manifest
from ratewise.data.sources import DatasetSource, FolderSource
from ratewise.errors import InputError
from ratewise.execution import Resources
from ratewise.images import write_png

BPG = codec("bpg:qp=30,preset=ultrafast").encode(
    np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8)
)


def test_a_folder_of_bpg_files_makes_a_store(tmp_path: Path) -> None:
    (tmp_path / "photos/a").mkdir(parents=True)
    (tmp_path / "photos/a/one.bpg").write_bytes(BPG)
    (tmp_path / "photos/TWO.BPG").write_bytes(BPG)
    (tmp_path / "photos/cut.bpg").write_bytes(BPG[:-9])
    store = tmp_path / "store"
    compress_store(FolderSource(tmp_path / "photos"), store, "png")
    records = {record.key: record for record in iterate_manifest(store / MANIFEST)}
    assert sorted(records) == ["TWO.BPG", "a/one.bpg"]
    assert {record.source_format for record in records.values()} == {"bpg"}
    for record in records.values():
        assert np.array_equal(decode((store / record.path).read_bytes()), decode(BPG))
    assert "cut.bpg: BPG data: the picture is cut short" in (store / "failures.csv").read_text()


def test_bpg_files_have_masks_as_others_do(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    (tmp_path / "images/0.bpg").write_bytes(BPG)
    write_png(tmp_path / "masks/0.png", np.zeros((16, 24), np.uint8))
    dataset = FolderDataset(tmp_path, masks="masks", class_list=ClassList(names=("sky",)))
    check_items(dataset, dataset.items("all"), Resources(), quiet=True)
    write_png(tmp_path / "masks/0.png", np.zeros((16, 23), np.uint8))
    with pytest.raises(InputError, match=r"mask is 23x16 but its image images/0\.bpg is 24x16"):
        check_items(dataset, dataset.items("all"), Resources(), quiet=True)
    write_png(tmp_path / "masks/0.png", np.zeros((16, 24), np.uint8))
    source = DatasetSource(dataset, "all")
    (entry,) = source.entries()
    loaded = source.load(entry)
    assert loaded.format == "bpg"
    assert np.array_equal(loaded.images[0][1], decode(BPG))


def test_the_bench_takes_bpg_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "0.bpg"
    path.write_bytes(BPG)
    monkeypatch.setattr(bench, "measure_image", lambda spec, image: {"pixels": image})
    (row,), failures = bench.measure(("png",), path)
    assert not failures
    assert np.array_equal(row["pixels"], decode(BPG))
