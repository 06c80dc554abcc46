"""From files of any codec to predictions, in order, whatever some of them are."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Iterator
from itertools import islice, repeat
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage
from task_examples import CLASSES, LABELS, classifier_file, picture, segmentation_file

from ratewise import codecs
from ratewise.data.compress import compress_store
from ratewise.data.prepare import PrepareSettings
from ratewise.data.sources import FolderSource
from ratewise.errors import ImageError, InputError
from ratewise.images import Image, write_png
from ratewise.tasks.classification_predictor import ClassificationPredictor, LoadedClassifier
from ratewise.tasks.decoding import Decoding, decode, read_bounded
from ratewise.tasks.inference import Prediction, facts, predict_files
from ratewise.tasks.inputs import Input, check_apart, find_inputs, mask_path
from ratewise.tasks.models import TrainedModel, load_any
from ratewise.tasks.predictor import LoadedModel, SegmentationPredictor

SPECS = {"a.jpg": "jpeg:quality=30", "b.bpg": "bpg:qp=35", "c.rwn": "msh:quality=2", "d.png": "png"}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, TrainedModel]:
    folder = tmp_path_factory.mktemp("models")
    return {
        "segmentation": load_any(segmentation_file(folder)),
        "classification": load_any(classifier_file(folder)),
    }


@pytest.fixture(scope="module")
def streams(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One file of each of SPECS, all of one size."""
    folder = tmp_path_factory.mktemp("streams")
    for number, (name, spec) in enumerate(SPECS.items()):
        (folder / name).write_bytes(codecs.codec(spec).encode(picture(number)))
    return folder


def _decoded(streams: Path) -> list[Image]:
    """What the codecs themselves decode."""
    return [
        codecs.codec(spec).decode((streams / name).read_bytes()) for name, spec in SPECS.items()
    ]


def _predict(model: TrainedModel, *sources: Path, **options: object) -> list[Prediction]:
    return list(predict_files(model, find_inputs(sources), device="cpu", **options))  # type: ignore[arg-type]


def test_masks_are_the_predictors_on_the_decoded_images(
    models: dict[str, TrainedModel], streams: Path
) -> None:
    model = models["segmentation"]
    assert isinstance(model, LoadedModel)
    expected = SegmentationPredictor(model.model, device="cpu").predict(_decoded(streams))
    found = _predict(model, streams)
    assert [one.input.path.name for one in found] == list(SPECS)
    assert [one.codec for one in found] == ["jpeg", "bpg", "msh", "png"]
    for one, mask in zip(found, expected, strict=True):
        assert one.error is None
        assert (one.width, one.height) == (96, 64)
        assert one.bytes == one.input.path.stat().st_size
        assert one.mask is not None
        assert (one.mask == mask).all()
    shares = facts(found[0], CLASSES.names)["classes"]
    assert sum(shares.values()) == pytest.approx(1)
    for name, share in shares.items():
        counted = (expected[0] == CLASSES.names.index(name)).mean()
        assert share == pytest.approx(counted, rel=1e-5)


def test_classes_are_the_predictors_on_the_decoded_images(
    models: dict[str, TrainedModel], streams: Path
) -> None:
    model = models["classification"]
    assert isinstance(model, LoadedClassifier)
    logits = ClassificationPredictor(model.model, device="cpu").class_scores(_decoded(streams))
    for one, row in zip(_predict(model, streams, batch_size=4), logits, strict=True):
        wanted = torch.from_numpy(row).double().softmax(0).numpy()
        found = facts(one, LABELS)
        order = np.argsort(-wanted)
        assert found["class"] == LABELS[order[0]]
        assert found["probability"] == pytest.approx(wanted[order[0]], rel=1e-5)
        assert [top["class"] for top in found["top5"]] == [LABELS[i] for i in order[:5]]
        probabilities = [top["probability"] for top in found["top5"]]
        assert probabilities == pytest.approx(wanted[order[:5]], rel=1e-5)


def test_bad_files_are_records_among_the_others(
    models: dict[str, TrainedModel], streams: Path, tmp_path: Path
) -> None:
    good = streams / "a.jpg"
    broken = {
        "cut.jpg": (good.read_bytes()[:-300], "the image is damaged"),
        "cut.bpg": ((streams / "b.bpg").read_bytes()[:40], ""),
        "cut.rwn": ((streams / "c.rwn").read_bytes()[:-3], ""),
        "empty.png": (b"", "the file is empty"),
        "text.png": (b"no picture", "not an image that can be read"),
    }
    files = [good]
    for name, (data, _) in broken.items():
        (tmp_path / name).write_bytes(data)
        files += [tmp_path / name, good]
    found = _predict(models["segmentation"], *files)
    assert [one.input.path for one in found] == files
    first = found[0].mask
    for one, (name, (_, reason)) in zip(found[1::2], broken.items(), strict=True):
        assert one.error is not None
        assert one.error.startswith(f"{tmp_path / name}: ")
        assert reason in one.error
        assert one.error.count("\n") == 0
        assert facts(one, CLASSES.names) == {"file": str(tmp_path / name), "error": one.error}
    for one in found[::2]:
        assert (one.mask == first).all()


def test_pictures_that_no_codec_writes_are_read_too(
    models: dict[str, TrainedModel], tmp_path: Path
) -> None:
    PillowImage.fromarray(picture(0)).save(tmp_path / "a.bmp")
    write_png(tmp_path / "a.png", picture(0))
    bmp, png = _predict(models["segmentation"], tmp_path)
    assert (bmp.codec, png.codec) == ("bmp", "png")
    assert bmp.mask is not None
    assert (bmp.mask == png.mask).all()


def test_batches_are_neighbours_of_one_size_and_bounded(
    models: dict[str, TrainedModel], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    predict = SegmentationPredictor.predict

    def counted(self: SegmentationPredictor, images: list[Image]) -> list[Image]:
        seen.append(len(images))
        return predict(self, images)

    monkeypatch.setattr(SegmentationPredictor, "predict", counted)
    for number, height in enumerate((32, 32, 32, 48, 32)):
        write_png(tmp_path / f"{number}.png", picture(number, height, 32))
    found = _predict(models["segmentation"], tmp_path, batch_size=2)
    assert seen == [2, 1, 1, 1]
    assert [one.mask.shape[0] for one in found if one.mask is not None] == [32, 32, 32, 48, 32]
    monkeypatch.setattr("ratewise.tasks.inference._BATCH_PIXELS", 2 * 32 * 32)
    seen.clear()
    _predict(models["segmentation"], tmp_path)
    assert seen == [2, 1, 1, 1]


def test_an_image_that_the_model_refuses_costs_only_itself(
    models: dict[str, TrainedModel], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict = SegmentationPredictor.predict

    def fussy(self: SegmentationPredictor, images: list[Image]) -> list[Image]:
        if any(image.max() == 0 for image in images):
            raise RuntimeError("too dark\nfor me")
        return predict(self, images)

    monkeypatch.setattr(SegmentationPredictor, "predict", fussy)
    for number in range(3):
        write_png(tmp_path / f"{number}.png", picture(number, 32, 32) * (number != 1))
    found = _predict(models["segmentation"], tmp_path)
    assert [one.mask is not None for one in found] == [True, False, True]
    assert found[1].error == f"{tmp_path / '1.png'}: the model cannot predict on it (too dark)"


def test_files_are_prepared_after_decoding(models: dict[str, TrainedModel], streams: Path) -> None:
    settings = PrepareSettings(short_side=48, crop=(40, 32))
    (found,) = _predict(models["segmentation"], streams / "a.jpg", decoding=Decoding(settings))
    assert (found.width, found.height) == (96, 64)
    assert found.mask is not None
    assert found.mask.shape == (32, 40)
    large = Decoding(PrepareSettings(crop=(400, 400)))
    (small,) = _predict(models["segmentation"], streams / "a.jpg", decoding=large)
    assert "a.jpg: 96x64 is smaller than the crop 400x400" in str(small.error)
    with pytest.raises(InputError, match="tile"):
        Decoding(PrepareSettings(tile=(8, 8)))


def test_a_store_is_read_by_its_manifest(
    models: dict[str, TrainedModel], streams: Path, tmp_path: Path
) -> None:
    compress_store(FolderSource(streams), tmp_path / "s", "jpeg:quality=30")
    found = _predict(models["segmentation"], tmp_path / "s")
    assert {one.codec for one in found} == {"jpeg:quality=30"}
    assert [one.input.name for one in found] == ["a.jpg", "b.jpg", "d.jpg"]
    inputs = list(find_inputs([tmp_path / "s", streams / "a.jpg"]))
    assert [one.name for one in inputs] == ["s/a.jpg", "s/b.jpg", "s/d.jpg", "a.jpg"]


def test_streams_of_own_weights_are_decoded_by_the_codec_that_is_given(
    models: dict[str, TrainedModel], streams: Path
) -> None:
    own = "msh:quality=3"
    found = _predict(models["segmentation"], streams, decoding=Decoding(codec=own))
    assert [one.error for one in found] == [None] * 4
    with pytest.raises(InputError, match="unknown codec"):
        Decoding(codec="mhs")


def test_files_are_found_as_they_are_needed(tmp_path: Path) -> None:
    for name in ("b/1.jpg", "b/.hidden.jpg", "a.rwn", "c.txt", ".h/2.png", "B/3.PNG"):
        (tmp_path / "f" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "f" / name).touch()
    (tmp_path / "f/b/up").symlink_to(tmp_path / "f")
    (tmp_path / "f/link").symlink_to(tmp_path / "f/B")
    found = find_inputs([tmp_path / "f"])
    assert isinstance(found, Iterator)
    names = ["B/3.PNG", "a.rwn", "b/1.jpg", "link/3.PNG"]
    assert [one.name for one in found] == names
    (tmp_path / "none").mkdir()
    for wrong, message in (
        ([], "no files"),
        ([tmp_path / "gone"], "gone: no such file or folder"),
        ([tmp_path / "f", tmp_path / "none"], "none: no images in this folder"),
    ):
        with pytest.raises(InputError, match=message):
            find_inputs(wrong)


def test_no_two_masks_have_one_name_and_none_leads_out(tmp_path: Path) -> None:
    for name in ("a/x.jpg", "b/x.jpg", "b/X.JPG.png/y.jpg", "b/x.png", "a/x-2.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    sources = [tmp_path / name for name in ("a/x.jpg", "a/x-2.jpg", "b/x.jpg", "b/x.png")]
    sources += [tmp_path / "b/X.JPG.png", tmp_path / "a/../b", tmp_path / "a/..", tmp_path / "a"]
    out = tmp_path / "out"
    paths = [mask_path(out, one) for one in find_inputs(sources)]
    assert len({str(path).casefold() for path in paths}) == len(paths) == 4 + 1 + 3 + 5 + 2
    for path in paths:
        assert out in path.resolve().parents
        assert not any(other in path.parents for other in paths)
    alone = [mask_path(out, one) for one in find_inputs([tmp_path / "a"])]
    assert alone == [out / "x-2.jpg.png", out / "x.jpg.png"]
    check_apart(out, sources[:5])
    with pytest.raises(InputError, match="must lie outside"):
        check_apart(tmp_path / "a/masks", [tmp_path / "a"])


def test_what_is_no_small_file_is_not_read(tmp_path: Path) -> None:
    large = tmp_path / "large.jpg"
    with large.open("wb") as file:
        file.truncate(2**40)  # a hole
    with pytest.raises(ImageError, match=r"large\.jpg: has more than"):
        read_bounded(large)
    with pytest.raises(ImageError, match="is not a file"):
        read_bounded(Path("/dev/zero"))
    (tmp_path / "ten").write_bytes(bytes(10))
    assert len(read_bounded(tmp_path / "ten", 10)) == 10
    with pytest.raises(ImageError, match="more than the 9 bytes"):
        read_bounded(tmp_path / "ten", 9)


def test_decoding_can_be_sent_to_other_processes(streams: Path) -> None:
    function, how, item = pickle.loads(
        pickle.dumps((decode, Decoding(), Input(streams / "b.bpg", "b.bpg")))
    )
    assert (function(how, item).image == _decoded(streams)[1]).all()


def test_no_more_is_read_than_is_needed(models: dict[str, TrainedModel], streams: Path) -> None:
    item = Input(streams / "d.png", "d.png")
    before = threading.active_count()
    endless = predict_files(models["segmentation"], repeat(item), device="cpu", batch_size=2)
    assert [one.error for one in islice(endless, 5)] == [None] * 5
    endless.close()
    assert threading.active_count() == before


def test_a_batch_size_must_be_one_at_least(models: dict[str, TrainedModel], streams: Path) -> None:
    with pytest.raises(InputError, match="batch_size = 0"):
        predict_files(models["segmentation"], find_inputs([streams]), batch_size=0)
