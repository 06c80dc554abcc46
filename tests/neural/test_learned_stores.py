"""Stores of learned codecs, whose images are coded several at a time."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from ratewise import codecs
from ratewise.data.compress import compress_store
from ratewise.data.contents import verify_store
from ratewise.data.sources import FolderSource
from ratewise.data.store import open_store
from ratewise.errors import CodecError
from ratewise.execution import Resources
from ratewise.images import Image, encode_png, read_image
from ratewise.neural.codec import MshCodec
from ratewise.neural.models import Kind
from ratewise.neural.weights import PackedModel

SIZES = [(32, 48)] * 9 + [(20, 20), (33, 17)] + [(32, 48)] * 6


@pytest.fixture
def photos(texture: Callable[..., Image], tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, (height, width) in enumerate(SIZES):
        (folder / f"{number:02}.png").write_bytes(encode_png(texture(number, height, width)))
    return folder


@pytest.fixture
def spec(packed: Callable[[Kind], PackedModel], tmp_path: Path) -> str:
    packed("msh").save(tmp_path / "w.safetensors")
    return f"msh:weights={tmp_path / 'w.safetensors'}"


@pytest.mark.parametrize("workers", [1, 2])
def test_coded_together_each_file_is_that_of_its_own_image(
    photos: Path, spec: str, tmp_path: Path, workers: int
) -> None:
    compress_store(FolderSource(photos), tmp_path / "s", spec, resources=Resources(workers))
    store = open_store(tmp_path / "s")
    assert [r.key for r in store.records] == [f"{n:02}.png" for n in range(len(SIZES))]
    codec = codecs.codec(spec)
    for index, record in enumerate(store.records):
        assert codec.batch_size > 1
        assert store.data(index) == codec.encode(read_image(photos / record.key))
    assert verify_store(store, decode=True) == []


def test_what_cannot_be_read_or_coded_fails_alone(
    photos: Path, spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (photos / "03.png").write_bytes(b"no picture")
    whole = MshCodec.encode_batch

    def refuse(self: MshCodec, images: Sequence[Image]) -> list[bytes]:
        if any(image.shape[:2] == (20, 20) for image in images):
            raise CodecError("no squares")
        return whole(self, images)

    monkeypatch.setattr(MshCodec, "encode_batch", refuse)
    summary = compress_store(FolderSource(photos), tmp_path / "s", spec)
    assert (summary.done, summary.failed) == (len(SIZES) - 2, 2)
    with (tmp_path / "s/failures.csv").open() as file:
        assert [row["path"] for row in csv.DictReader(file)] == ["03.png", "09.png"]
    monkeypatch.undo()
    store = open_store(tmp_path / "s")
    for index, record in enumerate(store.records):
        assert store.data(index) == codecs.codec(spec).encode(read_image(photos / record.key))
