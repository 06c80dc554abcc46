"""Stores of shards: the images of a plain store in tar files that webdataset reads."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

from ratewise.data.compress import compress_store
from ratewise.data.contents import store_info, verify_store
from ratewise.data.dataset import Dataset
from ratewise.data.datasets import dataset_settings, open_dataset
from ratewise.data.decompress import decompress_store
from ratewise.data.manifest import iterate_manifest
from ratewise.data.sharding import compress_shards
from ratewise.data.sources import DatasetSource, FolderSource, StoreSource
from ratewise.data.store import open_store
from ratewise.errors import InputError, RatewiseError
from ratewise.execution import Resources
from ratewise.images import write_png

JPEG = "jpeg:quality=20"


def _photos(folder: Path, count: int = 7, start: int = 0) -> Path:
    rng = np.random.default_rng(3)
    for number in range(start, start + count):
        path = folder / f"drive.{number % 2}" / f"{number:03d}.v1.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_png(path, rng.integers(0, 256, (9 + number, 16, 3), dtype=np.uint8))
    return folder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return _photos(tmp_path / "photos")


def _streets(count: int) -> Dataset:
    scenes = {"name": "streets", "train": count, "val": 1, "width": 64, "height": 48}
    return open_dataset(dataset_settings(scenes), Path())


def _files(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.name != ".lock"
    }


def test_images_and_records_are_those_of_a_plain_store(photos: Path, tmp_path: Path) -> None:
    source = FolderSource(photos)
    plain = compress_store(source, tmp_path / "plain", JPEG)
    sharded = compress_shards(source, tmp_path / "sharded", JPEG, shard_images=3)
    assert sharded == plain
    ours, theirs = open_store(tmp_path / "sharded"), open_store(tmp_path / "plain")
    nowhere = {"shard": None, "offset": None, "mask_offset": None, "mask_bytes": None}
    assert [replace(record, **nowhere) for record in ours.records] == theirs.records
    for index in range(len(theirs)):
        assert ours.data(index) == theirs.data(index)
        np.testing.assert_array_equal(ours.image(index), theirs.image(index))
    assert sorted(p.name for p in (tmp_path / "sharded/shards").glob("*.tar")) == [
        f"{number:06d}.tar" for number in range(3)
    ]
    assert verify_store(ours, decode=True) == []
    facts, plain_facts = store_info(ours), store_info(theirs)
    assert facts | {"path": ""} == plain_facts | {"path": ""}


def test_masks_and_tiles_lie_in_the_shards_too(tmp_path: Path) -> None:
    from ratewise.data.prepare import PrepareSettings

    source = DatasetSource(_streets(3), "train", PrepareSettings(tile=(32, 24)))
    compress_store(source, tmp_path / "plain", JPEG)
    compress_shards(source, tmp_path / "sharded", JPEG, shard_images=2)
    ours, theirs = open_store(tmp_path / "sharded"), open_store(tmp_path / "plain")
    assert len(ours) == len(theirs) == 12
    for index in range(12):
        np.testing.assert_array_equal(ours.mask(index), theirs.mask(index))
    assert verify_store(ours, decode=True) == []
    # and from there to other forms
    compress_store(StoreSource(ours), tmp_path / "again", "webp:quality=50")
    assert [r.key for r in open_store(tmp_path / "again").records] == [r.key for r in ours.records]
    decompress_store(ours, tmp_path / "png-ours")
    decompress_store(theirs, tmp_path / "png-theirs")
    mark = "decompressed.json"
    left, right = _files(tmp_path / "png-ours"), _files(tmp_path / "png-theirs")
    assert left.pop(mark) != right.pop(mark)
    assert left == right


def test_webdataset_reads_the_shards(tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    places = [("train", "dog"), ("train", "ant"), ("val", "ant"), ("val", "dog")]
    for number, (split, label) in enumerate(places):
        folder = tmp_path / "photos" / split / label
        folder.mkdir(parents=True, exist_ok=True)
        write_png(folder / f"{number}.png", np.full((8, 9, 3), 80 * number, np.uint8))
    settings = dataset_settings({"name": "image_folder", "root": "photos"})
    dataset = open_dataset(settings, tmp_path)
    compress_shards(DatasetSource(dataset, "train"), tmp_path / "s", "png", shard_images=2)
    shards = [str(path) for path in sorted((tmp_path / "s/shards").glob("*.tar"))]
    samples = list(webdataset.WebDataset(shards, shardshuffle=False))
    store = open_store(tmp_path / "s")
    assert len(samples) == len(store) == 2
    for index, sample in enumerate(samples):
        assert sample["__key__"] == f"{index:09d}"
        assert sample["png"] == store.data(index)
        assert int(sample["cls"]) == store.label(index)
        assert json.loads(sample["json"])["key"] == store.records[index].key


def test_a_mask_is_a_member_that_webdataset_names(tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    source = DatasetSource(_streets(2), "train")
    compress_shards(source, tmp_path / "s", JPEG)
    (first, second) = webdataset.WebDataset(
        str(tmp_path / "s/shards/000000.tar"), shardshuffle=False
    )
    with PillowImage.open(io.BytesIO(second["mask.png"])) as picture:
        np.testing.assert_array_equal(np.array(picture), open_store(tmp_path / "s").mask(1))
    assert first["jpg"] == open_store(tmp_path / "s").data(0)


def test_the_number_of_workers_does_not_change_a_byte(photos: Path, tmp_path: Path) -> None:
    for workers in (1, 2):
        compress_shards(
            FolderSource(photos),
            tmp_path / str(workers),
            JPEG,
            shard_images=2,
            resources=Resources(workers),
        )
    assert _files(tmp_path / "1") == _files(tmp_path / "2")


def test_what_is_done_is_not_done_again(photos: Path, tmp_path: Path) -> None:
    def made() -> Any:
        return compress_shards(FolderSource(photos), tmp_path / "s", JPEG, shard_images=2)

    assert (made().done, made().done) == (7, 0)
    times = {p: p.stat().st_mtime_ns for p in (tmp_path / "s/shards").glob("*.tar")}
    (tmp_path / "s/shards/000001.json").unlink()  # a run that was killed in this shard
    state = json.loads((tmp_path / "s/store.json").read_text())
    (tmp_path / "s/store.json").write_text(json.dumps(state | {"complete": False}))
    summary = made()
    assert (summary.done, summary.skipped, summary.images) == (2, 5, 7)
    changed = {p.name for p, time_ in times.items() if p.stat().st_mtime_ns != time_}
    assert changed == {"000001.tar"}


def test_new_images_make_only_their_shards_anew(photos: Path, tmp_path: Path) -> None:
    compress_shards(FolderSource(photos), tmp_path / "s", JPEG, shard_images=4)
    write_png(photos / "zzz.png", np.zeros((8, 8, 3), np.uint8))
    summary = compress_shards(FolderSource(photos), tmp_path / "s", JPEG, shard_images=4)
    assert (summary.done, summary.skipped, summary.images) == (4, 4, 8)
    assert verify_store(open_store(tmp_path / "s")) == []


def test_images_that_are_gone_are_named(photos: Path, tmp_path: Path) -> None:
    compress_shards(FolderSource(photos), tmp_path / "s", JPEG, shard_images=2)
    shutil.rmtree(photos / "drive.1")
    with pytest.raises(InputError, match=r"images that the source has no more \(3, such as drive"):
        compress_shards(FolderSource(photos), tmp_path / "s", JPEG, shard_images=2)


def test_a_damaged_image_is_a_failure_of_its_own_and_tried_again(
    photos: Path, tmp_path: Path
) -> None:
    (photos / "drive.0/002.v1.png").write_bytes(b"junk")
    summary = compress_shards(FolderSource(photos), tmp_path / "s", JPEG, shard_images=3)
    assert (summary.done, summary.failed, summary.images) == (6, 1, 6)
    assert "002.v1.png" in (tmp_path / "s/failures.csv").read_text()
    write_png(photos / "drive.0/002.v1.png", np.zeros((8, 8, 3), np.uint8))
    summary = compress_shards(FolderSource(photos), tmp_path / "s", JPEG, shard_images=3)
    assert (summary.failed, summary.images) == (0, 7)
    assert not (tmp_path / "s/failures.csv").exists()


def test_damage_is_found(photos: Path, tmp_path: Path) -> None:
    compress_shards(FolderSource(photos), tmp_path / "s", JPEG, shard_images=4)
    store = open_store(tmp_path / "s")
    tar = tmp_path / "s/shards/000001.tar"
    data = bytearray(tar.read_bytes())
    data[(store.records[5].offset or 0) + 20] ^= 255
    tar.write_bytes(bytes(data))
    (problem,) = verify_store(store)
    assert problem == f"{store.records[5].path}: the checksum is not that of the manifest"
    tar.write_bytes(bytes(data[:600]))
    assert len(verify_store(store)) == 3
    with pytest.raises(RatewiseError, match=r"000001\.tar: is too short"):
        store.image(6)
    tar.unlink()
    assert "cannot be read" in verify_store(store)[0]


def test_layouts_are_not_mixed(photos: Path, tmp_path: Path) -> None:
    compress_shards(FolderSource(photos), tmp_path / "s", JPEG, shard_images=4)
    with pytest.raises(InputError, match="shards of 4 images, not of shards of 5 images"):
        compress_shards(FolderSource(photos), tmp_path / "s", JPEG, shard_images=5)
    with pytest.raises(InputError, match="shards of 4 images, not of files"):
        compress_store(FolderSource(photos), tmp_path / "s", JPEG)
    with pytest.raises(InputError, match="0 images per shard"):
        compress_shards(FolderSource(photos), tmp_path / "t", JPEG, shard_images=0)


def test_shards_are_plain_tar_files_without_names_or_times(photos: Path, tmp_path: Path) -> None:
    compress_shards(FolderSource(photos), tmp_path / "s", JPEG, shard_images=4)
    with tarfile.open(tmp_path / "s/shards/000000.tar") as tar:
        members = tar.getmembers()
    assert [m.name for m in members[:2]] == ["000000000.jpg", "000000000.json"]
    assert {(m.mtime, m.uid, m.uname) for m in members} == {(0, 0, "")}
    record = next(iterate_manifest(tmp_path / "s/manifest.parquet"))
    assert members[0].offset_data == record.offset


_SLOW = """
import os, sys, time
from pathlib import Path
from ratewise.data import sharding, sources
from ratewise.execution import Resources

class Slow(sources.FolderSource):
    def load(self, entry):
        Path(sys.argv[2], f"{os.getpid()}-{time.monotonic_ns()}").touch()
        time.sleep(0.05)
        return super().load(entry)

if __name__ == "__main__":
    source = Slow(Path(sys.argv[1]))
    sharding.compress_shards(
        source, Path(sys.argv[3]), "jpeg:quality=20", shard_images=10, resources=Resources(2)
    )
"""


def test_a_worker_that_is_killed_costs_its_shard_only(tmp_path: Path) -> None:
    photos, seen, out = _photos(tmp_path / "p", 80), tmp_path / "seen", tmp_path / "out"
    seen.mkdir()
    script = tmp_path / "script.py"
    script.write_text(_SLOW)
    process = subprocess.Popen([sys.executable, script, photos, seen, out], text=True)
    deadline = time.monotonic() + 60
    while not list(out.glob("shards/00000[01].json")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    pids = {path.name.split("-")[0] for path in seen.iterdir()}
    os.kill(int(pids.pop()), signal.SIGKILL)
    assert process.wait(120) == 0
    assert verify_store(open_store(out)) == []
    # Those in flight are done again (the pool goes with its worker): two shards, not eight.
    assert len(list(seen.iterdir())) <= 80 + 3 * 10
