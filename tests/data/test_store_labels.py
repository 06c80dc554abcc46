"""Labels of whole images on their way through stores, and stores made before there were any."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image as PillowImage

from ratewise.data.budget import compress_to_budget
from ratewise.data.compress import compress_store
from ratewise.data.contents import store_info, verify_store
from ratewise.data.dataset import Dataset
from ratewise.data.datasets import dataset_settings, open_dataset
from ratewise.data.decompress import decompress_store
from ratewise.data.manifest import MANIFEST, iterate_manifest, write_manifest
from ratewise.data.prepare import PrepareSettings
from ratewise.data.sources import DatasetSource, FolderSource, Source, StoreSource
from ratewise.data.store import Store, open_store
from ratewise.errors import InputError
from ratewise.files import read_json, write_json

LABELS = ("ant", "dog", "tench")
OF = {"train/ant/0.png": 0, "train/dog/1.png": 1, "train/dog/2.png": 1, "train/tench/3.png": 2}


def _picture(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    small = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
    PillowImage.fromarray(small).resize((16, 16)).save(path)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    root = tmp_path / "data"
    for seed, key in enumerate(OF):
        _picture(root / key, seed)
    for label in LABELS:
        _picture(root / f"val/{label}/v.png", 9)
    return open_dataset(dataset_settings({"name": "image_folder", "root": "data"}), tmp_path)


@pytest.fixture
def source(dataset: Dataset) -> DatasetSource:
    return DatasetSource(dataset, "train")


def _compressed(source: Source, folder: Path, spec: str = "jpeg:quality=20") -> Store:
    compress_store(source, folder, spec)
    return open_store(folder)


def _ids(store: Store) -> dict[str, int]:
    return {record.key: store.label(index) for index, record in enumerate(store.records)}


def test_labels_go_through_a_store_and_a_store_of_it(source: DatasetSource, tmp_path: Path) -> None:
    store = _compressed(source, tmp_path / "s")
    again = _compressed(StoreSource(store), tmp_path / "again", "png")
    for made in (store, again):
        assert made.labels == LABELS
        assert _ids(made) == OF
        assert verify_store(made, decode=True) == []


def test_labels_go_through_a_budget(source: DatasetSource, tmp_path: Path) -> None:
    compress_to_budget(source, tmp_path / "b", "jpeg", 3000)
    store = open_store(tmp_path / "b")
    assert store.labels == LABELS
    assert _ids(store) == OF
    (tmp_path / "b" / store.records[1].path).unlink()
    compress_to_budget(source, tmp_path / "b", "jpeg", 3000)
    assert _ids(open_store(tmp_path / "b")) == OF


def test_every_tile_has_the_label_of_its_image(dataset: Dataset, tmp_path: Path) -> None:
    tiled = DatasetSource(dataset, "train", PrepareSettings(tile=(8, 16)))
    store = _compressed(tiled, tmp_path / "s")
    assert [store.label(index) for index in range(len(store))] == [0, 0, 1, 1, 1, 1, 2, 2]


def test_a_run_that_goes_on_keeps_the_labels(
    dataset: Dataset, source: DatasetSource, tmp_path: Path
) -> None:
    whole = _compressed(source, tmp_path / "whole")
    _unfinish(tmp_path / "whole", tmp_path / "half", done=2)
    assert compress_store(source, tmp_path / "half", "jpeg:quality=20").skipped == 2
    assert open_store(tmp_path / "half").records == whole.records
    (tmp_path / "half" / whole.records[0].path).unlink()  # a finished store is repaired
    assert compress_store(source, tmp_path / "half", "jpeg:quality=20").done == 1
    assert open_store(tmp_path / "half").records == whole.records


def test_decompressing_leaves_a_table_of_labels(source: DatasetSource, tmp_path: Path) -> None:
    decompress_store(_compressed(source, tmp_path / "s"), tmp_path / "d")
    lines = (tmp_path / "d/labels.csv").read_text().splitlines()
    assert lines == ["path,label", *(f"{key},{LABELS[label]}" for key, label in OF.items())]
    assert all((tmp_path / "d" / key).is_file() for key in OF)


def test_info_counts_labels_and_classes(source: DatasetSource, tmp_path: Path) -> None:
    facts = store_info(_compressed(source, tmp_path / "s"))
    assert (facts["labelled"], facts["labels"]) == (4, list(LABELS))
    bare = store_info(_compressed(FolderSource(tmp_path / "data"), tmp_path / "bare"))
    assert (bare["labelled"], bare["labels"]) == (0, None)


def test_an_image_without_a_label_and_one_of_an_unknown_class_are_named(
    source: DatasetSource, tmp_path: Path
) -> None:
    store = _compressed(source, tmp_path / "s")
    first, second, *others = store.records
    changed = [replace(first, label=None), replace(second, label="cat"), *others]
    write_manifest(store.path / MANIFEST, changed)
    store = open_store(store.path)
    with pytest.raises(InputError, match=r"train/ant/0\.jpg has no label"):
        store.label(0)
    with pytest.raises(InputError, match=r"train/dog/1\.jpg is labelled 'cat', which store\.json"):
        store.label(1)
    assert verify_store(store) == [
        "train/dog/1.jpg: labelled 'cat', which store.json does not name"
    ]


@pytest.mark.parametrize("labels", [["ant", "ant"], "ant", [1]])
def test_labels_of_a_store_that_are_none_are_refused(
    source: DatasetSource, tmp_path: Path, labels: object
) -> None:
    store = _compressed(source, tmp_path / "s")
    state = read_json(store.path / "store.json")
    write_json(store.path / "store.json", state | {"labels": labels})
    with pytest.raises(
        InputError, match=r"store\.json: is not the description of a store \(labels"
    ):
        open_store(store.path)


def test_a_store_is_not_added_to_once_there_are_other_classes(
    dataset: Dataset, source: DatasetSource, tmp_path: Path
) -> None:
    _compressed(source, tmp_path / "s")
    for split in ("train", "val"):
        _picture(tmp_path / "data" / split / "bee/x.png", 5)
    opened = open_dataset(dataset_settings({"name": "image_folder", "root": "data"}), tmp_path)
    with pytest.raises(InputError, match="holds a store of another source"):
        compress_store(DatasetSource(opened, "train"), tmp_path / "s", "jpeg:quality=20")


# ----- what was made before there were labels --------------------------------------------------


def _unfinish(finished: Path, folder: Path, *, done: int) -> None:
    """What a run leaves that was killed after ``done`` images of the store ``finished``."""
    records = list(iterate_manifest(finished / MANIFEST))[:done]
    folder.mkdir()
    rows = []
    for record in records:
        file = folder / record.path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes((finished / record.path).read_bytes())
        row = {name: getattr(record, name) for name in record.__slots__}
        rows.append({"source": record.source, "size": record.source_bytes, "rows": [row]})
    (folder / "journal.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    state = read_json(finished / "store.json")
    totals = dict.fromkeys(("images", "bytes", "pixels", "source_bytes"), 0)
    write_json(folder / "store.json", state | totals | {"complete": False})


def _without_labels(folder: Path) -> None:
    """Take from the files of a store what earlier versions did not write."""
    state = read_json(folder / "store.json")
    assert state.pop("labels") is None
    write_json(folder / "store.json", state)
    if (folder / MANIFEST).is_file():
        table = pq.read_table(folder / MANIFEST)
        assert table.column_names[-1] == "label"
        pq.write_table(table.drop_columns("label"), folder / MANIFEST)
    journal = folder / "journal.jsonl"
    if journal.is_file():
        lines = [json.loads(line) for line in journal.read_text().splitlines()]
        assert [row.pop("label") for line in lines for row in line["rows"]] == [None] * len(lines)
        journal.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_a_finished_store_of_an_earlier_version_opens_and_is_left_alone(
    dataset: Dataset, tmp_path: Path
) -> None:
    source = FolderSource(tmp_path / "data")
    records = _compressed(source, tmp_path / "s").records
    _without_labels(tmp_path / "s")
    store = open_store(tmp_path / "s")
    assert store.labels is None
    assert store.records == records
    assert {record.label for record in records} == {None}
    assert verify_store(store) == []
    with pytest.raises(InputError, match="has no label"):
        store.label(0)
    state = (tmp_path / "s/store.json").read_bytes()
    assert compress_store(source, tmp_path / "s", "jpeg:quality=20").done == 0
    assert (tmp_path / "s/store.json").read_bytes() == state
    assert _compressed(StoreSource(store), tmp_path / "again", "png").labels is None


def test_an_unfinished_store_of_an_earlier_version_goes_on(
    dataset: Dataset, tmp_path: Path
) -> None:
    source = FolderSource(tmp_path / "data")
    whole = _compressed(source, tmp_path / "s")
    _unfinish(tmp_path / "s", tmp_path / "half", done=3)
    _without_labels(tmp_path / "half")
    summary = compress_store(source, tmp_path / "half", "jpeg:quality=20")
    assert (summary.skipped, summary.done) == (3, 4)
    assert open_store(tmp_path / "half").records == whole.records


def test_a_manifest_that_lacks_another_column_is_damaged(dataset: Dataset, tmp_path: Path) -> None:
    store = _compressed(FolderSource(tmp_path / "data"), tmp_path / "s")
    table = pq.read_table(store.path / MANIFEST)
    pq.write_table(table.drop_columns("group"), store.path / MANIFEST)
    with pytest.raises(InputError, match="the manifest is damaged"):
        list(iterate_manifest(store.path / MANIFEST))


_SCENES = {"name": "streets", "seed": 0, "width": 48, "height": 32, "generator": 1}
_OLD_STATE = {
    "complete": True,
    "codec": "png",
    "codec_fingerprint": "c",
    "versions": {},
    "source": {"kind": "folder", "prepare": {"version": 1}},
    "classes": None,
    "images": 0,
    "failed": 0,
    "bytes": 0,
    "pixels": 0,
    "source_bytes": 0,
    "format": 1,
    "rate_control": None,
}


def _streets(folder: Path) -> Source:
    options: dict[str, Any] = {"name": "streets", "train": 3, "val": 0, "width": 48, "height": 32}
    return DatasetSource(open_dataset(dataset_settings(options), folder), "train")


def _old_store(folder: Path) -> Source:
    write_json(folder / "old/store.json", _OLD_STATE)
    return StoreSource(open_store(folder / "old"))


@pytest.mark.parametrize(
    ("make", "fingerprint"),
    [
        (
            _streets,
            {"kind": "data set", "data": _SCENES, "split": "train", "prepare": {"version": 1}},
        ),
        (FolderSource, {"kind": "folder", "prepare": {"version": 1}}),
        (
            _old_store,
            {
                "kind": "store",
                "codec": "png",
                "codec_fingerprint": "c",
                "of": {"kind": "folder", "prepare": {"version": 1}},
                "prepare": {"version": 1},
            },
        ),
    ],
)
def test_what_has_no_labels_has_the_fingerprint_that_it_had(
    tmp_path: Path, make: Callable[[Path], Source], fingerprint: dict[str, Any]
) -> None:
    source = make(tmp_path)
    assert source.labels is None
    assert source.fingerprint() == fingerprint
