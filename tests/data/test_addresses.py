"""Stores at an address, tested against an S3 server in this process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ratewise.data import sharding
from ratewise.data.compress import compress_store
from ratewise.data.contents import verify_store
from ratewise.data.decompress import decompress_store
from ratewise.data.sharding import compress_shards
from ratewise.data.sources import FolderSource, StoreSource
from ratewise.data.store import open_store
from ratewise.errors import InputError
from ratewise.execution import Resources
from ratewise.files import location, read_json, write_atomically, write_json
from ratewise.images import write_png

JPEG = "jpeg:quality=20"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    rng = np.random.default_rng(3)
    for number in range(5):
        (tmp_path / "photos").mkdir(exist_ok=True)
        write_png(
            tmp_path / f"photos/{number}.png", rng.integers(0, 256, (9, 16, 3), dtype=np.uint8)
        )
    return tmp_path / "photos"


def test_a_store_at_an_address_is_the_local_one(bucket: str, photos: Path, tmp_path: Path) -> None:
    def made(destination: Path, workers: int = 1) -> Any:
        return compress_shards(
            FolderSource(photos),
            destination,
            JPEG,
            shard_images=2,
            resources=Resources(workers),
        )

    there = location(f"{bucket}/photos-j20")
    assert made(there, workers=2) == made(tmp_path / "local")
    assert made(there).done == 0
    store, local = open_store(f"{bucket}/photos-j20"), open_store(tmp_path / "local")
    assert store.records == local.records
    np.testing.assert_array_equal(store.image(4), local.image(4))
    assert verify_store(store, decode=True, resources=Resources(2)) == []
    assert not list(there.rglob(".tmp-*"))
    (there / "shards/000001.json").unlink()  # as after a kill
    assert made(there).done == 2


def test_from_an_address_to_a_local_store_and_to_pictures(
    bucket: str, photos: Path, tmp_path: Path
) -> None:
    compress_shards(FolderSource(photos), location(f"{bucket}/b"), JPEG)
    store = open_store(f"{bucket}/b")
    compress_store(StoreSource(store), tmp_path / "local", "webp:quality=50")
    assert len(open_store(tmp_path / "local")) == 5
    decompress_store(store, tmp_path / "pictures")
    assert len(list((tmp_path / "pictures").glob("*.png"))) == 5


def test_a_plain_store_copied_to_an_address_opens(
    bucket: str, photos: Path, tmp_path: Path
) -> None:
    import s3fs

    compress_store(FolderSource(photos), tmp_path / "plain", JPEG)
    s3fs.S3FileSystem().put(str(tmp_path / "plain"), "bucket/plain", recursive=True)
    assert verify_store(open_store(f"{bucket}/plain"), decode=True) == []


def test_the_command_line_takes_addresses(bucket: str, photos: Path) -> None:
    def ratewise(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "ratewise", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True)

    options = ["--codec", JPEG, "--shard-images", 2, "--quiet", "--workers", 1]
    done = ratewise("store", "compress", photos, f"{bucket}/cli", *options)
    assert done.returncode == 0, done.stderr
    done = ratewise("store", "info", f"{bucket}/cli", "--json")
    assert json.loads(done.stdout)["images"] == 5
    done = ratewise("store", "verify", f"{bucket}/cli", "--workers", 1)
    assert "all 5 images are intact" in done.stdout
    done = ratewise("store", "info", f"{bucket}/nothing-here")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"error: {bucket}/nothing-here: no such folder" in done.stderr
    done = ratewise("store", "info", "nosuch://b/s")
    assert done.returncode == 2
    assert "nosuch" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_plain_store_at_an_address_is_the_local_one(
    bucket: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharding, "_PART_IMAGES", 2)
    there, source = location(f"{bucket}/plain-j20"), FolderSource(photos)
    local = compress_store(source, tmp_path / "local", JPEG)
    assert compress_store(source, there, JPEG, resources=Resources(2)) == local
    store = open_store(f"{bucket}/plain-j20")
    assert store.records == open_store(tmp_path / "local").records
    assert (there / "3.jpg").read_bytes() == (tmp_path / "local/3.jpg").read_bytes()
    assert verify_store(store, decode=True) == []
    assert compress_store(source, there, JPEG).done == 0
    (there / "parts/000001.json").unlink()  # as after a kill
    assert compress_store(source, there, JPEG).done == 2
    write_png(photos / "9.png", np.zeros((8, 8, 3), np.uint8))
    assert compress_store(source, there, JPEG).images == 6
    with pytest.raises(InputError, match=r"holds a store of jpeg:quality=20"):
        compress_store(source, there, "jpeg:quality=30")
    with pytest.raises(InputError, match="holds a store"):
        compress_shards(source, there, JPEG)
    (there / "3.jpg").unlink()
    assert compress_store(source, there, JPEG).done == 2  # its part
    assert verify_store(open_store(f"{bucket}/plain-j20")) == []
    (photos / "4.png").unlink()
    with pytest.raises(InputError, match="images that the source has no more"):
        compress_store(source, there, JPEG)


def test_a_copied_store_loses_no_image_that_its_source_lost(
    bucket: str, photos: Path, tmp_path: Path
) -> None:
    import s3fs

    compress_store(FolderSource(photos), tmp_path / "plain", JPEG)
    s3fs.S3FileSystem().put(str(tmp_path / "plain"), "bucket/copied", recursive=True)
    (photos / "4.png").unlink()
    with pytest.raises(InputError, match="images that the source has no more"):
        compress_store(FolderSource(photos), location(f"{bucket}/copied"), JPEG)
    assert len(open_store(f"{bucket}/copied")) == 5


def test_files_are_written_and_read_at_an_address() -> None:
    file = location("memory://files/a/b.json")
    write_json(file, {"a": [1, "é"]})
    assert read_json(file) == {"a": [1, "é"]}
    write_atomically(file, b"\x00" * 100)
    assert file.read_bytes() == b"\x00" * 100


def test_a_windows_drive_and_a_plain_name_are_paths() -> None:
    for text in ("a/b", "/a/b", "C:/photos", "a:b"):
        assert location(text) == Path(text)
    assert location("file:///a/b%20c") == Path("/a/b c")
