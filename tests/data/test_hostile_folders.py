"""Folders with links to nowhere, names that are no text, and paths that lead out of a store."""

from __future__ import annotations

import csv
import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from ratewise.codecs.bench_folders import find_images as find_for_bench
from ratewise.data.compress import compress_store
from ratewise.data.folder import FolderDataset
from ratewise.data.listing import find_images
from ratewise.data.manifest import MANIFEST, iterate_manifest, write_manifest
from ratewise.data.sources import FolderSource
from ratewise.data.store import open_store
from ratewise.errors import InputError
from ratewise.images import write_png


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    write_png(tmp_path / "photos/0.png", np.full((8, 8, 3), 90, np.uint8))
    return tmp_path / "photos"


def test_links_that_lead_nowhere_are_failures_and_the_rest_is_done(
    photos: Path, tmp_path: Path
) -> None:
    (photos / "circle.png").symlink_to("circle.png")
    (photos / "gone.png").symlink_to("nowhere.png")
    (photos / "text.txt").symlink_to("nowhere.txt")
    summary = compress_store(FolderSource(photos), tmp_path / "s", "png")
    assert (summary.done, summary.failed) == (1, 2)
    rows = list(csv.DictReader((tmp_path / "s/failures.csv").open()))
    assert [row["path"] for row in rows] == ["circle.png", "gone.png"]
    assert rows[1]["message"] == "gone.png: cannot be read (No such file or directory)"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names must be Unicode")
@pytest.mark.parametrize("name", [b"bad\xff.png", b"sub\xff/a.png"])
def test_a_name_that_is_no_text_is_refused_before_any_work(photos: Path, name: bytes) -> None:
    path = os.path.join(os.fsencode(photos), name)  # noqa: PTH118
    os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120
    PillowImage.new("RGB", (4, 4)).save(os.fsdecode(path))
    with pytest.raises(InputError, match=r"udcff.*not valid Unicode"):
        find_images(photos)


@pytest.mark.parametrize("images", ["../photos", "a/../../photos", "/photos"])
def test_a_folder_of_images_outside_of_the_root_is_refused(photos: Path, images: str) -> None:
    (photos.parent / "root/a").mkdir(parents=True)
    with pytest.raises(InputError, match="must be a folder in the root"):
        FolderDataset(photos.parent / "root", images)


def test_a_manifest_whose_keys_lead_out_of_the_store_is_refused(
    photos: Path, tmp_path: Path
) -> None:
    compress_store(FolderSource(photos), tmp_path / "s", "png")
    manifest = tmp_path / "s" / MANIFEST
    (record,) = iterate_manifest(manifest)
    write_manifest(manifest, [replace(record, key="../0.png")])
    with pytest.raises(InputError, match="outside of the store"):
        list(iterate_manifest(manifest))


def test_lists_of_splits_that_say_nothing_are_refused(photos: Path) -> None:
    (photos / "splits").mkdir()
    data = FolderDataset(photos, ".")
    with pytest.raises(InputError, match=r"holds no NAME\.txt"):
        _ = data.splits
    (photos / "splits/train.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match=r"train\.txt: cannot be read as text"):
        data.items("train")


def test_an_image_named_in_two_ways_is_measured_once(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(photos.parent)
    assert find_for_bench([Path("photos"), photos / "0.png"]) == [Path("photos/0.png")]


def test_a_failure_is_forgotten_when_its_image_is_as_it_was(photos: Path, tmp_path: Path) -> None:
    source, good = FolderSource(photos), (photos / "0.png").read_bytes()
    compress_store(source, tmp_path / "s", "png")
    (photos / "0.png").write_bytes(b"")
    assert compress_store(source, tmp_path / "s", "png").failed == 1
    (photos / "0.png").write_bytes(good)
    summary = compress_store(source, tmp_path / "s", "png")
    assert (summary.done, summary.skipped, summary.failed) == (0, 1, 0)
    assert not (tmp_path / "s/failures.csv").exists()
    assert open_store(tmp_path / "s").state.failed == 0


def test_a_folder_that_cannot_be_listed_is_not_left_out_of_a_bench(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (photos / "locked").mkdir()
    scan = os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith("locked"):  # root may read whatever it likes, so it is told
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(InputError, match=r"locked: cannot be read \(Permission denied\)"):
        find_for_bench([photos])
