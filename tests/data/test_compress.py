"""Stores: real files, resumable, honest about what failed."""

from __future__ import annotations

import csv
import errno
import hashlib
import math
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from ratewise import codecs
from ratewise.data import coding
from ratewise.data.compress import compress_store
from ratewise.data.contents import verify_store
from ratewise.data.decompress import decompress_store
from ratewise.data.folder import ClassList, FolderDataset
from ratewise.data.journal import Journal
from ratewise.data.prepare import PrepareSettings
from ratewise.data.sources import DatasetSource, FolderSource, StoreSource
from ratewise.data.store import open_store
from ratewise.errors import InputError, RatewiseError
from ratewise.execution import Resources
from ratewise.files import write_atomically
from ratewise.images import read_image

SPEC = "jpeg:quality=20"


def _picture(path: Path, seed: int = 0, size: tuple[int, int] = (24, 16)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    PillowImage.fromarray(pixels).save(path)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    for i in range(6):
        _picture(folder / f"{'ab'[i % 2]}/{i}.png", i)
    return folder


@pytest.fixture
def labelled(tmp_path: Path) -> FolderDataset:
    """Three images with masks of two classes and ignored pixels."""
    root = tmp_path / "labelled"
    for i in range(3):
        _picture(root / f"images/{i}.png", i)
        mask = np.zeros((16, 24), np.uint8)
        mask[:, 10:20], mask[:, 20:] = 1, 255
        (root / "masks").mkdir(exist_ok=True)
        PillowImage.fromarray(mask).save(root / f"masks/{i}.png")
    return FolderDataset(root, masks="masks", class_list=ClassList(names=("sky", "road")))


def _tree(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_store_holds_real_files_in_the_tree_of_the_source(photos: Path, tmp_path: Path) -> None:
    summary = compress_store(FolderSource(photos), tmp_path / "s", SPEC)
    assert (summary.done, summary.skipped, summary.failed) == (6, 0, 0)
    store = open_store(tmp_path / "s")
    assert [r.key for r in store.records] == [
        "a/0.png", "a/2.png", "a/4.png", "b/1.png", "b/3.png", "b/5.png",
    ]  # fmt: skip
    record = store.records[3]
    assert (record.path, record.group, record.source_format) == ("b/1.jpg", "b", "png")
    file = tmp_path / "s" / "b/1.jpg"
    with PillowImage.open(file) as picture:
        decoded = np.array(picture.convert("RGB"))
    np.testing.assert_array_equal(store.image(3), decoded)
    original = read_image(photos / "b/1.png").astype(float)
    expected = 10 * math.log10(255**2 / np.mean((original - decoded) ** 2))
    assert record.psnr == pytest.approx(expected)
    assert record.bytes == file.stat().st_size
    assert record.bpp == pytest.approx(8 * record.bytes / (24 * 16))
    assert record.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert record.source_bytes == (photos / "b/1.png").stat().st_size
    assert store.total_bytes == sum(r.bytes for r in store.records) == summary.bytes
    assert store.bpp == pytest.approx(np.mean([r.bpp for r in store.records]))


def test_a_finished_store_is_left_alone(photos: Path, tmp_path: Path) -> None:
    compress_store(FolderSource(photos), tmp_path / "s", SPEC)
    times = {p: p.stat().st_mtime_ns for p in (tmp_path / "s").rglob("*")}
    again = compress_store(FolderSource(photos), tmp_path / "s", SPEC)
    assert (again.done, again.skipped) == (0, 6)
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "s").rglob("*")} == times


def test_new_and_changed_images_are_added_to_a_finished_store(photos: Path, tmp_path: Path) -> None:
    compress_store(FolderSource(photos), tmp_path / "s", SPEC)
    _picture(photos / "a/1.png", 9)
    _picture(photos / "b/1.png", 9, size=(40, 40))
    again = compress_store(FolderSource(photos), tmp_path / "s", SPEC)
    assert (again.done, again.skipped, again.images) == (2, 5, 7)
    compress_store(FolderSource(photos), tmp_path / "new", SPEC)
    assert _tree(tmp_path / "s") == _tree(tmp_path / "new")


def test_workers_make_the_same_store(photos: Path, tmp_path: Path) -> None:
    compress_store(FolderSource(photos), tmp_path / "one", SPEC)
    compress_store(FolderSource(photos), tmp_path / "two", SPEC, resources=Resources(2))
    assert _tree(tmp_path / "one") == _tree(tmp_path / "two")


_SCRIPT = """
import sys, time
from pathlib import Path
from ratewise.data import coding, compress
from ratewise.data.sources import FolderSource
from ratewise.execution import Resources
write = coding.write_atomically
def slow(path, data):
    time.sleep(0.03)
    write(path, data)
coding.write_atomically = slow
if __name__ == "__main__":
    compress.compress_store(
        FolderSource(Path(sys.argv[1])), Path(sys.argv[2]), "jpeg:quality=20",
        resources=Resources(int(sys.argv[3])),
    )
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_run_goes_on_and_ends_the_same(tmp_path: Path, workers: int) -> None:
    photos, store = tmp_path / "photos", tmp_path / "s"
    for i in range(40):
        _picture(photos / f"{i:02d}.png", i)
    script = tmp_path / "script.py"
    script.write_text(_SCRIPT)
    arguments = [sys.executable, str(script), str(photos), str(store), str(workers)]
    process = subprocess.Popen(arguments, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 20
    while len(list(store.glob("*.jpg"))) < 8 and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(0.3)  # its workers notice
    there = len(list(store.glob("*.jpg")))
    assert 8 <= there < 40
    with pytest.raises(InputError, match="not finished; run the command"):
        open_store(store)
    (store / ".tmp-torn").write_bytes(b"half")
    with (store / "journal.jsonl").open("ab") as journal:
        journal.write(b'{"source": "39.png", "siz')
    summary = compress_store(FolderSource(photos), store, SPEC)
    assert summary.skipped > 0
    assert summary.done + summary.skipped == 40
    compress_store(FolderSource(photos), tmp_path / "whole", SPEC)
    assert _tree(store) == _tree(tmp_path / "whole")


def test_what_cannot_be_read_is_recorded_and_the_rest_is_done(photos: Path, tmp_path: Path) -> None:
    PillowImage.new("CMYK", (8, 8)).save(photos / "cmyk.jpg")
    PillowImage.new("RGBA", (8, 8), (9, 9, 9, 100)).save(photos / "alpha.png")
    PillowImage.fromarray(np.zeros((8, 8), np.uint16)).save(photos / "deep.png")
    (photos / "text.png").write_text("no image")
    (photos / "torn.png").write_bytes((photos / "a/0.png").read_bytes()[:300])
    summary = compress_store(FolderSource(photos), tmp_path / "s", SPEC)
    assert (summary.done, summary.failed) == (6, 5)
    with (tmp_path / "s/failures.csv").open() as file:
        rows = {row["path"]: (row["kind"], row["message"]) for row in csv.DictReader(file)}
    assert set(rows) == {"cmyk.jpg", "alpha.png", "deep.png", "text.png", "torn.png"}
    assert all(kind == "ImageError" for kind, _ in rows.values())
    assert "CMYK" in rows["cmyk.jpg"][1]
    assert "16-bit" in rows["deep.png"][1]
    assert len(open_store(tmp_path / "s").records) == 6


def test_failures_are_tried_again(photos: Path, tmp_path: Path) -> None:
    (photos / "later.png").write_text("not yet")
    assert compress_store(FolderSource(photos), tmp_path / "s", SPEC).failed == 1
    _picture(photos / "later.png")
    summary = compress_store(FolderSource(photos), tmp_path / "s", SPEC)
    assert (summary.done, summary.skipped, summary.failed) == (1, 6, 0)
    assert not (tmp_path / "s/failures.csv").exists()


def test_masks_are_carried_losslessly(labelled: FolderDataset, tmp_path: Path) -> None:
    compress_store(DatasetSource(labelled, "all"), tmp_path / "s", SPEC)
    store = open_store(tmp_path / "s")
    assert store.records[0].mask == "masks/0.png"
    for index, item in enumerate(labelled.items("all")):
        np.testing.assert_array_equal(store.mask(index), labelled.load_mask(item))
    assert store.classes is not None
    assert store.classes.names == ("sky", "road")


def test_wrong_masks_are_refused_before_any_work(labelled: FolderDataset, tmp_path: Path) -> None:
    source = DatasetSource(labelled, "all")
    PillowImage.fromarray(np.full((16, 24), 7, np.uint8)).save(labelled.root / "masks/1.png")
    with pytest.raises(
        InputError, match=r"masks/1.png: class id 7 is out of range \(allowed: 0 to 1, 255\)"
    ):
        compress_store(source, tmp_path / "s", SPEC)
    PillowImage.fromarray(np.zeros((16, 25), np.uint8)).save(labelled.root / "masks/1.png")
    with pytest.raises(InputError, match=r"masks/1.png: the mask is 25x16 but its image .* 24x16"):
        compress_store(source, tmp_path / "s", SPEC)
    assert not (tmp_path / "s").exists()


def test_a_store_of_a_store_keeps_keys_and_masks(labelled: FolderDataset, tmp_path: Path) -> None:
    compress_store(DatasetSource(labelled, "all"), tmp_path / "o", "png")
    originals = open_store(tmp_path / "o")
    assert all(math.isinf(r.psnr) for r in originals.records)
    compress_store(StoreSource(originals), tmp_path / "c", SPEC)
    compressed = open_store(tmp_path / "c")
    assert [r.key for r in compressed.records] == [r.key for r in originals.records]
    np.testing.assert_array_equal(compressed.mask(2), originals.mask(2))
    codec = codecs.codec(SPEC)
    assert compressed.data(1) == codec.encode(read_image(labelled.root / "images/1.png"))
    assert compressed.classes == originals.classes


def test_tiles_are_images_of_their_own(labelled: FolderDataset, tmp_path: Path) -> None:
    source = DatasetSource(labelled, "all", PrepareSettings(tile=(16, 16)))
    summary = compress_store(source, tmp_path / "s", "png")
    assert (summary.done, summary.images) == (3, 6)
    store = open_store(tmp_path / "s")
    record = store.records[1]
    assert record.key == "images/0_r0_c1.png"
    assert (record.path, record.mask) == ("images/0_r0_c1.png", "masks/0_r0_c1.png")
    assert record.source == "images/0.png"
    assert summary.source_bytes == sum(
        path.stat().st_size for path in (labelled.root / "images").iterdir()
    )
    assert compress_store(source, tmp_path / "s", "png").done == 0


def test_images_that_would_share_a_name_keep_their_endings(tmp_path: Path) -> None:
    for name in ("x.png", "x.bmp", "y.png"):
        _picture(tmp_path / "photos" / name)
    compress_store(FolderSource(tmp_path / "photos"), tmp_path / "s", SPEC)
    paths = [r.path for r in open_store(tmp_path / "s").records]
    assert paths == ["x.bmp.jpg", "x.png.jpg", "y.jpg"]


def test_an_image_never_takes_the_name_of_a_mask(tmp_path: Path) -> None:
    root = tmp_path / "data"
    _picture(root / "x.jpg")
    PillowImage.new("L", (24, 16)).save(root / "x_.png")
    from ratewise.data.naming import assign_names
    from ratewise.data.sources import Entry

    entries = [Entry("x.jpg", "x.png", "", None)]
    assert assign_names(entries, ".png") == [("x.jpg", "x")]
    assert assign_names(entries, ".jp2") == [("x", "x")]


@pytest.mark.parametrize("spec", ["png", "jpeg:quality=30"])
def test_the_store_of_another_codec_is_refused(photos: Path, tmp_path: Path, spec: str) -> None:
    compress_store(FolderSource(photos), tmp_path / "s", SPEC)
    before = _tree(tmp_path / "s")
    with pytest.raises(InputError, match=f"holds a store of jpeg:quality=20, not of {spec}"):
        compress_store(FolderSource(photos), tmp_path / "s", spec)
    assert _tree(tmp_path / "s") == before


def test_a_store_of_other_preparation_is_refused(photos: Path, tmp_path: Path) -> None:
    compress_store(FolderSource(photos), tmp_path / "s", SPEC)
    source = FolderSource(photos, PrepareSettings(resize=(8, 8)))
    with pytest.raises(InputError, match="other preparation"):
        compress_store(source, tmp_path / "s", SPEC)


def test_foreign_files_are_never_mixed_with_a_store(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home/letter.txt").write_text("dear")
    with pytest.raises(InputError, match="holds other files"):
        compress_store(FolderSource(photos), tmp_path / "home", SPEC)
    with pytest.raises(InputError, match="must lie outside of its source"):
        compress_store(FolderSource(photos), photos / "store", SPEC)
    (tmp_path / "link").symlink_to(photos)
    with pytest.raises(InputError, match="must lie outside of its source"):
        compress_store(FolderSource(photos), tmp_path / "link/store", SPEC)


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/.hidden.png").write_text("")
    with pytest.raises(InputError, match="no images found"):
        compress_store(FolderSource(tmp_path / "empty"), tmp_path / "s", SPEC)
    with pytest.raises(InputError, match="no such folder"):
        compress_store(FolderSource(tmp_path / "missing"), tmp_path / "s", SPEC)
    assert not (tmp_path / "s").exists()


def test_a_link_that_leads_back_is_not_followed_for_ever(photos: Path, tmp_path: Path) -> None:
    (photos / "a/loop").symlink_to(photos)
    assert compress_store(FolderSource(photos), tmp_path / "s", SPEC).images == 6


def test_verify_finds_a_corrupt_byte_a_short_and_a_lost_file(
    labelled: FolderDataset, tmp_path: Path
) -> None:
    compress_store(DatasetSource(labelled, "all"), tmp_path / "s", SPEC)
    store = open_store(tmp_path / "s")
    assert verify_store(store, decode=True) == []
    data = bytearray(store.data(0))
    data[len(data) // 2] ^= 1
    (tmp_path / "s/images/0.jpg").write_bytes(data)
    (tmp_path / "s/images/1.jpg").write_bytes(store.data(1)[:-1])
    (tmp_path / "s/masks/2.png").unlink()
    problems = verify_store(store)
    assert [p.split(":")[0] for p in problems] == ["images/0.jpg", "images/1.jpg", "masks/2.png"]
    assert "checksum" in problems[0]
    assert "bytes, not" in problems[1]


def test_decompressing_gives_the_decoded_images_and_the_masks(
    labelled: FolderDataset, tmp_path: Path
) -> None:
    compress_store(DatasetSource(labelled, "all"), tmp_path / "s", SPEC)
    store = open_store(tmp_path / "s")
    assert decompress_store(store, tmp_path / "d").done == 3
    np.testing.assert_array_equal(read_image(tmp_path / "d/images/1.png"), store.image(1))
    mask = (tmp_path / "d/masks/1.png").read_bytes()
    assert mask == (tmp_path / "s/masks/1.png").read_bytes()
    (tmp_path / "d/images/1.png").unlink()
    again = decompress_store(store, tmp_path / "d")
    assert (again.done, again.skipped) == (1, 2)


def test_what_is_no_store_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        open_store(tmp_path / "missing")
    with pytest.raises(InputError, match="no store here"):
        open_store(tmp_path)
    (tmp_path / "store.json").write_text("{")
    with pytest.raises(InputError, match=r"store\.json: is not the description of a store"):
        open_store(tmp_path)


def test_a_folder_that_cannot_be_written_stops_the_run(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        compress_store(FolderSource(photos), tmp_path / "file/store", SPEC)


def test_a_full_disk_stops_the_run_and_keeps_what_is_done(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []

    def full_after_two(path: Path, data: bytes | str) -> None:
        written.append(path)
        if len(written) > 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        write_atomically(path, data)

    monkeypatch.setattr(coding, "write_atomically", full_after_two)
    with pytest.raises(RatewiseError, match=r"No space left on device.*again to go on"):
        compress_store(FolderSource(photos), tmp_path / "s", SPEC)
    monkeypatch.undo()
    summary = compress_store(FolderSource(photos), tmp_path / "s", SPEC)
    assert (summary.skipped, summary.done, summary.failed) == (2, 4, 0)


def test_a_store_is_written_by_one_process_at_a_time(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.jsonl"), pytest.raises(InputError, match="another process"):
        Journal(tmp_path / "journal.jsonl")
