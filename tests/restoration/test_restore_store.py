"""Restoring a store: keys, masks, rates, resuming, which restorer for which image."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from restoration_examples import texture

from ratewise.data.compress import compress_store
from ratewise.data.contents import verify_store
from ratewise.data.datasets import dataset_settings, open_dataset
from ratewise.data.sources import DatasetSource, StoreSource
from ratewise.data.store import open_store
from ratewise.errors import InputError
from ratewise.execution import Resources
from ratewise.images import Image
from ratewise.restoration.generators import build_generator
from ratewise.restoration.restorer import load_restorer, save_restorer
from ratewise.restoration.settings import FineNetSettings
from ratewise.restoration.stores import (
    MismatchWarning,
    Precision,
    RestoredSource,
    mismatches,
    restore_store,
)

SMALL = FineNetSettings(width=4, blocks=1, downsamplings=1)
CODEC = "jpeg:quality=10"


def restorer(path: Path, seed: int = 0, codec: str = CODEC) -> Path:
    torch.manual_seed(seed)
    save_restorer(path, build_generator(SMALL), SMALL, [codec])
    return path


def restored(path: Path, image: Image) -> Image:
    return load_restorer(path, device="cpu", precision="fp32").restore(image)


def _furthest(one: Image, two: Image) -> int:
    return int(np.abs(one.astype(int) - two).max())


def restore(*arguments: object, **options: object) -> object:
    return restore_store(*arguments, device="cpu", precision="fp32", **options)  # type: ignore[arg-type]


def test_a_restored_store_has_the_keys_masks_and_rates_of_the_compressed_one(
    tmp_path: Path,
) -> None:
    options = {"name": "streets", "train": 3, "val": 0, "width": 48, "height": 32}
    dataset = open_dataset(dataset_settings(options), tmp_path)
    compress_store(DatasetSource(dataset, "train"), tmp_path / "originals", "png")
    compress_store(StoreSource(open_store(tmp_path / "originals")), tmp_path / "c", CODEC)
    store, path = open_store(tmp_path / "c"), restorer(tmp_path / "r.safetensors")
    summary = restore(store, tmp_path / "r", [path])
    made = open_store(tmp_path / "r")
    assert (summary.done, summary.failed, summary.source_bytes) == (3, 0, store.total_bytes)  # type: ignore[attr-defined]
    assert made.codec == "png"
    assert made.classes == store.classes
    assert verify_store(made, decode=True) == []
    for index, (a, b) in enumerate(zip(store.records, made.records, strict=True)):
        assert (a.key, a.group, a.mask, a.mask_sha256) == (b.key, b.group, b.mask, b.mask_sha256)
        assert b.source_bytes == a.bytes
        assert np.array_equal(made.image(index), restored(path, store.image(index)))
        assert not np.array_equal(made.image(index), store.image(index))


def test_each_image_is_restored_by_the_restorer_assigned_to_it(
    make_stores: Callable, tmp_path: Path
) -> None:
    (store,) = make_stores(3, CODEC).compressed
    paths = [restorer(tmp_path / f"{i}.safetensors", i) for i in range(2)]
    restore(store, tmp_path / "r", paths, [1, 0, 1])
    made = open_store(tmp_path / "r")
    for index, number in enumerate([1, 0, 1]):
        expected = [restored(path, store.image(index)) for path in paths]
        assert np.array_equal(made.image(index), expected[number])
        assert not np.array_equal(*expected)


def test_a_stopped_run_goes_on_and_another_restorer_is_refused(
    make_stores: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (store,) = make_stores(4, CODEC).compressed
    path = restorer(tmp_path / "r.safetensors")
    load = RestoredSource.load

    def stopping(self: RestoredSource, entry: object) -> object:
        if "0002" in str(entry):
            raise KeyboardInterrupt
        return load(self, entry)  # type: ignore[arg-type]

    monkeypatch.setattr(RestoredSource, "load", stopping)
    with pytest.raises(KeyboardInterrupt):
        restore(store, tmp_path / "r", [path])
    monkeypatch.setattr(RestoredSource, "load", load)
    summary = restore(store, tmp_path / "r", [path])
    assert (summary.done, summary.skipped) == (2, 2)  # type: ignore[attr-defined]
    again = restore(store, tmp_path / "r", [path])
    assert (again.done, again.skipped) == (0, 4)  # type: ignore[attr-defined]
    with pytest.raises(InputError, match="holds a store of another source"):
        restore(store, tmp_path / "r", [restorer(tmp_path / "other.safetensors", 1)])


def test_processes_give_the_same_store_within_one_level(
    make_stores: Callable, tmp_path: Path
) -> None:
    (store,) = make_stores(3, CODEC).compressed
    path = restorer(tmp_path / "r.safetensors")
    restore(store, tmp_path / "one", [path])
    restore(store, tmp_path / "two", [path], resources=Resources(2))
    one, two = open_store(tmp_path / "one"), open_store(tmp_path / "two")
    assert [record.key for record in one.records] == [record.key for record in two.records]
    for index in range(len(one)):  # a worker has one thread, and sums in another order
        assert _furthest(one.image(index), two.image(index)) <= 1
    source = RestoredSource(StoreSource(store), ((path, "x"),), (0, 0, 0), Precision("cpu", "fp32"))
    assert pickle.loads(pickle.dumps(source)).fingerprint() == source.fingerprint()


def test_a_restorer_for_another_operating_point_warns(
    make_stores: Callable, tmp_path: Path
) -> None:
    (store,) = make_stores(2, CODEC).compressed
    path = restorer(tmp_path / "r.safetensors", codec="jpeg:quality=20")
    expected = f"{path}: the restorer was trained for jpeg:quality=20, not for {CODEC}"
    assert mismatches(store, [path]) == [expected]
    with pytest.warns(MismatchWarning, match="trained for jpeg:quality=20"):
        restore(store, tmp_path / "r", [path])
    assert mismatches(store, [restorer(tmp_path / "fits.safetensors")]) == []


def test_what_does_not_fit_is_said_before_any_work(make_stores: Callable, tmp_path: Path) -> None:
    (store,) = make_stores(2, CODEC).compressed
    path = restorer(tmp_path / "r.safetensors")
    for restorers, assignment, message in (
        ([], None, "no restorer"),
        ([path, path], None, "need an assignment"),
        ([path], [0], "is for 1 images"),
        ([path], [0, 1], "names restorer 1, and there are 1"),
        ([tmp_path / "none"], None, "none: no such restorer"),
        ([store.path / store.records[0].path], None, "not a readable safetensors file"),
    ):
        with pytest.raises(InputError, match=message):
            restore(store, tmp_path / "r", restorers, assignment)
    assert not (tmp_path / "r").exists()


def test_grey_images_of_odd_sizes_are_restored(tmp_path: Path) -> None:
    from PIL import Image as PillowImage

    from ratewise.data.sources import FolderSource

    (tmp_path / "photos").mkdir()
    for name, size in (("a", (1, 1)), ("b", (17, 31)), ("c", (1, 300))):
        grey = PillowImage.fromarray(texture(0, *size)[..., 0])
        grey.save(tmp_path / "photos" / f"{name}.png")
    compress_store(FolderSource(tmp_path / "photos"), tmp_path / "c", CODEC)
    summary = restore(
        open_store(tmp_path / "c"), tmp_path / "r", [restorer(tmp_path / "r.safetensors")]
    )
    assert (summary.done, summary.failed) == (3, 0)  # type: ignore[attr-defined]
    made = open_store(tmp_path / "r")
    assert [made.image(i).shape for i in range(3)] == [(1, 1, 3), (17, 31, 3), (1, 300, 3)]
