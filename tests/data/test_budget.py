"""Stores fitted to a budget: kept, used, resumed, the same for any number of workers."""

from __future__ import annotations

import csv
import hashlib
import json
import math
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage
from typer.testing import CliRunner

from ratewise import codecs
from ratewise.cli.main import app
from ratewise.codecs.budget_objective import BudgetObjective
from ratewise.codecs.points import Points
from ratewise.data import coding, measurements
from ratewise.data.budget import compress_to_budget
from ratewise.data.coding import Job, Task
from ratewise.data.compress import compress_store
from ratewise.data.contents import store_info, verify_store
from ratewise.data.decompress import decompress_store
from ratewise.data.folder import ClassList, FolderDataset
from ratewise.data.journal import Journal
from ratewise.data.manifest import Record
from ratewise.data.passes import Passes
from ratewise.data.prepare import PrepareSettings
from ratewise.data.sources import DatasetSource, FolderSource, Loaded, StoreSource
from ratewise.data.store import open_store
from ratewise.errors import InputError
from ratewise.execution import Resources
from ratewise.files import read_json, write_json
from ratewise.images import Image
from ratewise.metrics.distortion import mse, psnr


def _picture(path: Path, seed: int, size: tuple[int, int] = (96, 64)) -> None:
    """Between a smooth image and noise, so that images differ in what a byte buys."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: size[1], : size[0]]
    smooth = 128 + 90 * np.sin(x / 20 + seed) * np.cos(y / 15)
    noise = rng.normal(0, 1, (size[1], size[0], 3)) * (1 + 40 * rng.random() ** 2)
    PillowImage.fromarray(np.clip(smooth[..., None] + noise, 0, 255).astype(np.uint8)).save(path)


def _photos(folder: Path, count: int) -> FolderSource:
    for i in range(count):
        _picture(folder / f"{i:02d}.png", i)
    return FolderSource(folder)


@pytest.fixture
def photos(tmp_path: Path) -> FolderSource:
    return _photos(tmp_path / "photos", 12)


def _tree(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _fixed_bytes(source: FolderSource, folder: Path, spec: str) -> int:
    return compress_store(source, folder, spec).bytes


@pytest.mark.parametrize("images", [1, 3, 40])
@pytest.mark.parametrize(("codec", "fixed"), [("jpeg", "jpeg:quality=35"), ("webp", "webp")])
def test_a_budget_is_kept_and_used(tmp_path: Path, images: int, codec: str, fixed: str) -> None:
    source = _photos(tmp_path / "photos", images)
    budget = int(1.03 * _fixed_bytes(source, tmp_path / "fixed", fixed))
    summary = compress_to_budget(source, tmp_path / "s", codec, budget)
    files = sum(p.stat().st_size for p in (tmp_path / "s").glob(f"*{codecs.codec(fixed).suffix}"))
    assert files == summary.store.bytes <= budget
    if images > 1:
        assert files >= 0.98 * budget
        assert summary.encodes <= (20 if images > 8 else 35) * images
    else:  # the best that fits
        image = open_store(tmp_path / "fixed").records[0].key
        pixels = np.array(PillowImage.open(source.root / image))
        specs = (f"{codec}:quality={quality}" for quality in range(1, 101))
        sizes = [len(codecs.codec(spec).encode(pixels)) for spec in specs]
        assert files >= 0.99 * max(size for size in sizes if size <= budget)


def test_the_store_says_how_its_rates_were_chosen(photos: FolderSource, tmp_path: Path) -> None:
    budget = 20_000
    summary = compress_to_budget(photos, tmp_path / "s", "jpeg:subsampling=444", budget)
    store = open_store(tmp_path / "s")
    assert store.codec == "jpeg:subsampling=444"
    state = read_json(tmp_path / "s/store.json")
    assert state["rate_control"] == {
        "budget": budget,
        "objective": "psnr",
        "points": "jpeg:subsampling=444",
        "used": summary.store.bytes,
        "binding": True,
    }
    for index, record in enumerate(store.records):
        codec = codecs.codec(record.codec)
        original = np.array(PillowImage.open(photos.root / record.key))
        assert store.data(index) == codec.encode(original)
        assert codecs.family(record.codec) == store.codec
    info = store_info(store)
    assert sum(info["operating_points"].values()) == 12
    qualities = [int(s.split("=")[1].split(",")[0]) for s in info["operating_points"]]
    assert qualities == sorted(qualities)
    assert len(qualities) > 1
    assert not list((tmp_path / "s").glob("*.jsonl"))


def test_every_reader_of_stores_reads_it(photos: FolderSource, tmp_path: Path) -> None:
    compress_to_budget(photos, tmp_path / "s", "jpeg", 20_000)
    store = open_store(tmp_path / "s")
    assert verify_store(store, decode=True) == []
    assert decompress_store(store, tmp_path / "d").done == 12
    compress_store(StoreSource(store), tmp_path / "png", "png")
    lossless = open_store(tmp_path / "png")
    for index in range(12):
        np.testing.assert_array_equal(lossless.image(index), store.image(index))
    compress_to_budget(photos, tmp_path / "other", "jpeg", 21_000)
    other = StoreSource(open_store(tmp_path / "other"))
    assert other.fingerprint() != StoreSource(store).fingerprint()


def test_verify_finds_records_of_another_family_and_a_budget_exceeded(
    photos: FolderSource, tmp_path: Path
) -> None:
    compress_to_budget(photos, tmp_path / "s", "jpeg", 20_000)
    state = read_json(tmp_path / "s/store.json")
    write_json(tmp_path / "s/store.json", state | {"codec": "jpeg:subsampling=444"})
    assert "recorded as jpeg:quality=" in verify_store(open_store(tmp_path / "s"))[0]
    state["rate_control"]["budget"] = 100
    write_json(tmp_path / "s/store.json", state)
    assert "exceed the budget of 100" in verify_store(open_store(tmp_path / "s"))[0]


def test_a_store_made_before_there_were_budgets_opens(photos: FolderSource, tmp_path: Path) -> None:
    compress_store(photos, tmp_path / "s", "jpeg")
    state = read_json(tmp_path / "s/store.json")
    assert state.pop("rate_control") is None
    write_json(tmp_path / "s/store.json", state)
    assert verify_store(open_store(tmp_path / "s")) == []
    assert compress_store(photos, tmp_path / "s", "jpeg").done == 0


@pytest.mark.parametrize(("objective", "value"), [("psnr", np.log), ("mse", np.asarray)])
def test_each_objective_beats_the_other_and_one_fixed_point(
    tmp_path: Path, objective: str, value: np.ufunc
) -> None:
    source = _photos(tmp_path / "photos", 16)
    budget = _fixed_bytes(source, tmp_path / "fixed", "jpeg:quality=40")
    means = {}
    for name in ("psnr", "mse"):
        compress_to_budget(source, tmp_path / name, "jpeg", budget, objective=name)
    for name in ("psnr", "mse", "fixed"):
        errors = [10 ** (-r.psnr / 10) for r in open_store(tmp_path / name).records]
        means[name] = value(errors).mean()
    assert means[objective] == min(means.values())


@dataclass(frozen=True)
class _Upper:
    """A distortion with a setting of its own, that workers get."""

    rows: int

    def __call__(self, original: Image, decoded: Image) -> float:
        return mse(original[: self.rows].copy(), decoded[: self.rows].copy())


def test_a_distortion_of_ones_own_is_what_is_made_least(
    photos: FolderSource, tmp_path: Path
) -> None:
    for rows in (8, 64):
        objective = BudgetObjective(f"upper-{rows}", _Upper(rows), positive=True)
        assert pickle.loads(pickle.dumps(objective)) == objective
        compress_to_budget(photos, tmp_path / f"{rows}", "jpeg", 20_000, objective=objective)
    upper = {}
    for rows in (8, 64):
        store = open_store(tmp_path / f"{rows}")
        originals = (np.array(PillowImage.open(photos.root / r.key)) for r in store.records)
        upper[rows] = sum(_Upper(8)(o, store.image(i)) for i, o in enumerate(originals))
    assert upper[8] < upper[64]


def test_workers_get_a_distortion_that_has_no_name_here(
    photos: FolderSource, tmp_path: Path
) -> None:
    own, two = BudgetObjective("own", mse, positive=True), Resources(2)
    compress_to_budget(photos, tmp_path / "a", "jpeg", 20_000, objective=own, resources=two)
    compress_to_budget(photos, tmp_path / "b", "jpeg", 20_000, objective="mse")
    assert open_store(tmp_path / "a").records == open_store(tmp_path / "b").records


def test_too_small_a_budget_is_refused_and_leaves_nothing(
    photos: FolderSource, tmp_path: Path
) -> None:
    least = _fixed_bytes(photos, tmp_path / "worst", "jpeg:quality=10")
    points = "jpeg:quality=10,20,60"
    with pytest.raises(
        InputError, match=rf"too small; with every image at jpeg:quality=10 .* take {least} bytes"
    ):
        compress_to_budget(photos, tmp_path / "s", points, least - 1)
    assert not (tmp_path / "s").exists()
    (tmp_path / "s").mkdir()
    with pytest.raises(InputError, match="too small"):
        compress_to_budget(photos, tmp_path / "s", points, least - 1)
    assert list((tmp_path / "s").iterdir()) == []
    assert compress_to_budget(photos, tmp_path / "s", points, least).store.bytes == least


def test_a_budget_that_all_of_the_best_fit_in_is_not_binding(
    photos: FolderSource, tmp_path: Path
) -> None:
    most = _fixed_bytes(photos, tmp_path / "best", "jpeg:quality=60")
    summary = compress_to_budget(photos, tmp_path / "s", "jpeg:quality=10,20,60", most)
    assert not summary.rate_control.binding
    assert summary.store.bytes == most
    assert summary.rate_control.points == "jpeg:quality=10,20,60"
    assert {r.codec for r in open_store(tmp_path / "s").records} == {"jpeg:quality=60"}
    tighter = compress_to_budget(photos, tmp_path / "t", "jpeg:quality=10,20,60", most - 1)
    assert tighter.rate_control.binding


def test_workers_make_the_same_store(photos: FolderSource, tmp_path: Path) -> None:
    compress_to_budget(photos, tmp_path / "one", "jpeg", 20_000)
    compress_to_budget(photos, tmp_path / "two", "jpeg", 20_000, resources=Resources(2))
    assert _tree(tmp_path / "one") == _tree(tmp_path / "two")


@pytest.mark.parametrize("stop_after", [1, 3, 5, 11, 16, 17, 20, 27, 29])
def test_a_run_stopped_anywhere_ends_the_same(
    photos: FolderSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop_after: int
) -> None:
    """4 scouted, 12 surveyed, then choices: the line after the stop is torn."""
    compress_to_budget(photos, tmp_path / "whole", "jpeg", 20_000)
    write, lines = measurements.Measurements._write, 0

    def stop(self: measurements.Measurements, value: dict[str, object]) -> None:
        nonlocal lines
        if lines > stop_after:
            self._file.write(b'{"round":2,"source":"0')
            raise KeyboardInterrupt
        lines += 1
        write(self, value)

    monkeypatch.setattr(measurements.Measurements, "_write", stop)
    with pytest.raises(KeyboardInterrupt):
        compress_to_budget(photos, tmp_path / "s", "jpeg", 20_000)
    monkeypatch.undo()
    with pytest.raises(InputError, match="not finished"):
        open_store(tmp_path / "s")
    encoded: list[tuple[int, str]] = []
    append = measurements.Measurements.append

    def count(
        self: measurements.Measurements, round_: int, source: str, tiles: measurements.Tiles
    ) -> None:
        encoded.append((round_, source))
        append(self, round_, source, tiles)

    monkeypatch.setattr(measurements.Measurements, "append", count)
    compress_to_budget(photos, tmp_path / "s", "jpeg", 20_000)
    assert _tree(tmp_path / "s") == _tree(tmp_path / "whole")
    assert len(set(encoded)) == len(encoded)
    left = max(0, 4 + 12 - stop_after)  # of pass 1
    assert sum(round_ < 2 for round_, _ in encoded) == left


_SCRIPT = """
import sys, time
from pathlib import Path
from ratewise.data import budget, measuring
from ratewise.data.sources import FolderSource
from ratewise.execution import Resources
load = FolderSource.load
def slow(self, entry):
    time.sleep(0.03)
    return load(self, entry)
FolderSource.load = slow
if __name__ == "__main__":
    budget.compress_to_budget(
        FolderSource(Path(sys.argv[1])), Path(sys.argv[2]), "jpeg", 60_000,
        resources=Resources(2),
    )
"""


@pytest.mark.parametrize("in_pass", [1, 2])
def test_a_killed_run_goes_on_and_ends_the_same(tmp_path: Path, in_pass: int) -> None:
    source, store = _photos(tmp_path / "photos", 40), tmp_path / "s"
    script = tmp_path / "script.py"
    script.write_text(_SCRIPT)
    arguments = [sys.executable, str(script), str(source.root), str(store)]
    process = subprocess.Popen(arguments, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 20
    measured = store / "budget.jsonl"
    while time.monotonic() < deadline:
        lines = measured.read_bytes().count(b"\n") if measured.exists() else 0
        if lines >= 20 if in_pass == 1 else len(list(store.glob("*.jpg"))) >= 8:
            break
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(0.3)  # its workers notice
    there = len(list(store.glob("*.jpg")))
    assert there == 0 if in_pass == 1 else 8 <= there < 40
    summary = compress_to_budget(source, store, "jpeg", 60_000)
    assert summary.store.skipped == 0 if in_pass == 1 else summary.store.skipped > 0
    compress_to_budget(source, tmp_path / "whole", "jpeg", 60_000)
    assert _tree(store) == _tree(tmp_path / "whole")


def test_images_that_fail_are_named_and_the_others_share_the_budget(
    photos: FolderSource, tmp_path: Path
) -> None:
    for name in ("00.png", "04.png", "zz.png"):  # two of them are to be scouted
        (photos.root / name).write_text("no image")
    summary = compress_to_budget(photos, tmp_path / "s", "jpeg", 20_000)
    assert (summary.store.done, summary.store.failed, summary.store.images) == (10, 3, 10)
    assert 0.98 * 20_000 <= summary.store.bytes <= 20_000
    with (tmp_path / "s/failures.csv").open() as file:
        assert [row["path"] for row in csv.DictReader(file)] == ["00.png", "04.png", "zz.png"]
    again = compress_to_budget(photos, tmp_path / "s", "jpeg", 20_000)
    assert (again.encodes, again.store.failed, again.store.skipped) == (0, 3, 10)


def test_an_image_that_fails_in_pass_2_leaves_no_file(
    photos: FolderSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[str] = []
    keep_image = coding.keep_image

    def note(job: Job, task: Task, loaded: Loaded, index: int) -> tuple[Record, Image]:
        kept.append(task.entry.key)
        return keep_image(job, task, loaded, index)

    def fails_late(original: Image, decoded: Image) -> float:
        return math.nan if kept and kept[-1] == "03.png" else mse(original, decoded)

    monkeypatch.setattr("ratewise.data.measuring.keep_image", note)
    objective = BudgetObjective("late", fails_late, positive=True)
    summary = compress_to_budget(photos, tmp_path / "s", "jpeg", 20_000, objective=objective)
    assert (summary.store.failed, summary.store.images) == (1, 11)
    assert 0.98 * 20_000 <= summary.store.bytes <= 20_000
    assert kept.count("03.png") == 1
    assert "is nan" in (tmp_path / "s/failures.csv").read_text()
    assert verify_store(open_store(tmp_path / "s")) == []
    assert len(list((tmp_path / "s").glob("*.jpg"))) == 11


def test_a_source_without_one_readable_image_gives_an_empty_store(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for i in range(6):
        (tmp_path / f"photos/{i}.png").write_text("no image")
    summary = compress_to_budget(FolderSource(tmp_path / "photos"), tmp_path / "s", "jpeg", 1000)
    assert (summary.store.images, summary.store.failed) == (0, 6)


def test_a_store_without_images_is_not_said_to_be_at_its_best(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/0.png").write_text("no image")
    arguments = ["store", "compress", str(tmp_path / "photos"), str(tmp_path / "s"), "-q"]
    result = CliRunner().invoke(app, [*arguments, "--codec", "jpeg", "--budget", "1000"])
    assert result.exit_code == 1
    assert "not binding" not in result.output
    assert "0 of 1,000 bytes" in result.output


def test_the_mean_psnr_is_of_the_images_that_are_not_lossless(tmp_path: Path) -> None:
    source = _photos(tmp_path / "photos", 2)
    PillowImage.new("RGB", (64, 64), (128, 128, 128)).save(source.root / "flat.png")
    compress_store(source, tmp_path / "s", "jpeg")
    info = store_info(open_store(tmp_path / "s"))
    assert math.isfinite(info["mean_psnr"])
    assert info["lossless"] == 1
    result = CliRunner().invoke(app, ["store", "info", str(tmp_path / "s")])
    assert f"{info['mean_psnr']:.2f} dB (1 lossless)" in result.output
    compress_store(source, tmp_path / "png", "png")
    assert store_info(open_store(tmp_path / "png"))["mean_psnr"] is None


@pytest.mark.parametrize("images", [2, 3])
def test_a_few_images_get_nearly_the_best_of_all_combinations(tmp_path: Path, images: int) -> None:
    source = _photos(tmp_path / "photos", images)
    sizes, psnrs = [], []
    for path in sorted(source.root.iterdir()):
        pixels = np.array(PillowImage.open(path))
        data = [codecs.codec(f"jpeg:quality={q}").encode(pixels) for q in range(1, 101)]
        sizes.append([len(d) for d in data])
        decoded = [codecs.codec("jpeg").decode(d) for d in data]
        psnrs.append([psnr(pixels, image) for image in decoded])
    for quality in (8, 30, 70):
        budget = int(1.01 * sum(row[quality] for row in sizes))
        total, value = np.zeros(1), np.zeros(1)
        for size, quality_of in zip(sizes, psnrs, strict=True):
            total = np.add.outer(total, size).ravel()
            value = np.add.outer(value, quality_of).ravel()
        compress_to_budget(source, tmp_path / f"{quality}", "jpeg", budget)
        ours = sum(r.psnr for r in open_store(tmp_path / f"{quality}").records)
        assert value[total <= budget].max() - ours < 0.1 * images


def test_images_that_changed_since_a_kill_are_measured_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They have the same size in bytes, so only their encodings tell."""
    root, budget = tmp_path / "photos", 45_000
    for i in range(30):
        _picture(root / f"{i:02d}.bmp", i)
    append, calls = Journal.append, iter(range(8))

    def stop(self: Journal, source: str, size: int | None, records: Iterable[Record]) -> None:
        if next(calls, None) is None:
            raise KeyboardInterrupt
        append(self, source, size, records)

    monkeypatch.setattr(Journal, "append", stop)
    with pytest.raises(KeyboardInterrupt):
        compress_to_budget(FolderSource(root), tmp_path / "s", "jpeg", budget)
    monkeypatch.undo()
    for i in (2, 7, 12, 17, 22, 27):
        _picture(root / f"{i:02d}.bmp", 100 + i)
    forgotten: list[int] = []
    forget = Points.forget
    monkeypatch.setattr(Points, "forget", lambda s, i: (forgotten.append(i), forget(s, i))[1])
    summary = compress_to_budget(FolderSource(root), tmp_path / "s", "jpeg", budget)
    assert forgotten
    assert (summary.store.failed, summary.store.images) == (0, 30)
    assert 0.98 * budget <= summary.store.bytes <= budget
    assert verify_store(open_store(tmp_path / "s")) == []


def test_a_run_on_a_machine_whose_encoder_gives_other_bytes_goes_on(
    photos: FolderSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every third measurement was of other bytes; a kill while measuring anew changes nothing."""
    points, budget = "jpeg:quality=5,20,35,50,65,80,95", 20_000
    with monkeypatch.context() as patch:
        patch.setattr(Passes, "choose", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            compress_to_budget(photos, tmp_path / "s", points, budget)
    file = tmp_path / "s/budget.jsonl"
    first, *lines = [json.loads(line) for line in file.read_text().splitlines()]
    for line in lines[::3]:
        line["tiles"] = [[[r, size + 40, d] for r, size, d in tile] for tile in line["tiles"]]
    file.write_text("".join(json.dumps(line) + "\n" for line in [first, *lines]))
    with monkeypatch.context() as patch:
        patch.setattr(Points, "forget", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            compress_to_budget(photos, tmp_path / "s", points, budget)
    summary = compress_to_budget(photos, tmp_path / "s", points, budget)
    assert (summary.store.failed, summary.store.images) == (0, 12)
    assert 0.98 * budget <= summary.store.bytes <= budget
    assert verify_store(open_store(tmp_path / "s")) == []


def test_images_that_changed_and_fit_no_more_are_refused_with_their_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, points = FolderSource(tmp_path / "photos"), "jpeg:quality=10,50,95"
    for i in range(12):
        PillowImage.new("RGB", (96, 64), (9 * i, 80, 90)).save(_folder(source) / f"{i:02d}.bmp")
    with monkeypatch.context() as patch:
        patch.setattr(Passes, "choose", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            compress_to_budget(source, tmp_path / "s", points, 12_000)
    rng = np.random.default_rng(0)
    for path in source.root.iterdir():
        PillowImage.fromarray(rng.integers(0, 256, (64, 96, 3), np.uint8)).save(path)
    with pytest.raises(InputError, match="too small; images have changed since the run before"):
        compress_to_budget(source, tmp_path / "s", points, 12_000)


def _folder(source: FolderSource) -> Path:
    source.root.mkdir(exist_ok=True)
    return source.root


@pytest.mark.parametrize("stop_after", [4, 12, 30])
def test_a_stopped_run_of_a_few_images_ends_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop_after: int
) -> None:
    source = _photos(tmp_path / "photos", 3)
    compress_to_budget(source, tmp_path / "whole", "jpeg", 4000)
    append, calls = Journal.append, iter(range(stop_after))

    def stop(self: Journal, key: str, size: int | None, records: Iterable[Record]) -> None:
        if next(calls, None) is None:
            raise KeyboardInterrupt
        append(self, key, size, records)

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "append", stop)
        with pytest.raises(KeyboardInterrupt):
            compress_to_budget(source, tmp_path / "s", "jpeg", 4000)
    compress_to_budget(source, tmp_path / "s", "jpeg", 4000)
    assert _tree(tmp_path / "s") == _tree(tmp_path / "whole")


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def test_an_image_that_never_encodes_to_the_same_bytes_fails(
    photos: FolderSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = codecs.codec
    odd = np.array(PillowImage.open(photos.root / "05.png"))
    calls = iter(range(10_000))

    class Restless:
        def __init__(self, spec: str) -> None:
            self._codec = made(spec)

        def encode(self, image: Image) -> bytes:
            data = self._codec.encode(image)
            return data + bytes(next(calls)) if np.array_equal(image, odd) else data

        def __getattr__(self, name: str) -> object:
            return getattr(self._codec, name)

    for module in ("coding", "measuring"):
        monkeypatch.setattr(f"ratewise.data.{module}.cached_codec", Restless)
    # Few points, so that many are measured in pass 1 and written at the end.
    points, budget = "jpeg:quality=5,50,95", 20_000
    summary = compress_to_budget(photos, tmp_path / "s", points, budget, resources=Resources(1))
    assert (summary.store.failed, summary.store.images) == (1, 11)
    assert "encoder is not deterministic" in (tmp_path / "s/failures.csv").read_text()
    assert "05.png" in (tmp_path / "s/failures.csv").read_text()
    assert 0.98 * budget <= summary.store.bytes <= budget
    assert verify_store(open_store(tmp_path / "s")) == []


def test_lost_files_of_a_finished_store_are_made_again_as_they_were(
    photos: FolderSource, tmp_path: Path
) -> None:
    summary = compress_to_budget(photos, tmp_path / "s", "jpeg", 20_000)
    before = _tree(tmp_path / "s")
    (tmp_path / "s/03.jpg").unlink()
    (tmp_path / "s/07.jpg").write_bytes(b"torn")
    again = compress_to_budget(photos, tmp_path / "s", "jpeg", 20_000)
    assert (again.encodes, again.store.done, again.store.skipped) == (2, 2, 10)
    assert again.store.bytes == summary.store.bytes
    assert _tree(tmp_path / "s") == before
    (tmp_path / "s/03.jpg").unlink()
    _picture(photos.root / "05.png", 5)
    size = (photos.root / "03.png").stat().st_size
    pixels = np.zeros((64, 96, 3), np.uint8)
    PillowImage.fromarray(pixels).save(photos.root / "03.png")
    with (photos.root / "03.png").open("ab") as file:
        file.write(bytes(size - file.tell()))
    with pytest.raises(
        InputError,
        match=r"03.jpg: is missing or torn and cannot be made again \(03.png does not encode to "
        r"03.jpg again\); put it back from a copy, or delete .* and make the store anew",
    ):
        compress_to_budget(photos, tmp_path / "s", "jpeg", 20_000)
    del before["03.jpg"]
    assert _tree(tmp_path / "s") == before


def test_lost_files_of_a_plain_store_are_done_again(tmp_path: Path) -> None:
    root = tmp_path / "labelled"
    for i in range(4):
        _picture(root / f"images/{i}.png", i)
        (root / "masks").mkdir(exist_ok=True)
        PillowImage.fromarray(np.full((64, 96), i % 2, np.uint8)).save(root / f"masks/{i}.png")
    dataset = FolderDataset(root, masks="masks", class_list=ClassList(names=("sky", "road")))
    source = DatasetSource(dataset, "all")
    for make in (
        lambda: compress_store(source, tmp_path / "plain", "jpeg"),
        lambda: compress_to_budget(source, tmp_path / "fitted", "jpeg", 12_000).store,
    ):
        make()
        folder = tmp_path / ("fitted" if (tmp_path / "fitted").exists() else "plain")
        before, records = _tree(folder), open_store(folder).records
        (folder / records[0].path).unlink()
        (folder / records[1].path).write_bytes(b"")
        (folder / str(records[2].mask)).unlink()
        again = make()
        assert (again.done, again.skipped, again.failed) == (3, 1, 0)
        assert _tree(folder) == before
        assert make().done == 0


def test_tiles_have_operating_points_of_their_own_and_keep_their_masks(tmp_path: Path) -> None:
    root = tmp_path / "labelled"
    for i in range(4):
        _picture(root / f"images/{i}.png", i)
        pixels = np.array(PillowImage.open(root / f"images/{i}.png"))
        pixels[:, 48:] = 100 + i  # nothing to code
        PillowImage.fromarray(pixels).save(root / f"images/{i}.png")
        (root / "masks").mkdir(exist_ok=True)
        PillowImage.fromarray(np.full((64, 96), i % 2, np.uint8)).save(root / f"masks/{i}.png")
    dataset = FolderDataset(root, masks="masks", class_list=ClassList(names=("sky", "road")))
    source = DatasetSource(dataset, "all", PrepareSettings(tile=(48, 64)))
    summary = compress_to_budget(source, tmp_path / "s", "jpeg", 12_000)
    assert (summary.store.done, summary.store.images) == (4, 8)
    assert 0.98 * 12_000 <= summary.store.bytes <= 12_000
    store = open_store(tmp_path / "s")
    assert verify_store(store, decode=True) == []
    assert [r.key for r in store.records[:2]] == ["images/0_r0_c0.png", "images/0_r0_c1.png"]
    pairs = zip(store.records[::2], store.records[1::2], strict=True)
    assert any(left.codec != right.codec for left, right in pairs)
    assert set(np.unique(store.mask(3))) == {1}


def test_a_finished_store_is_left_alone_and_other_aims_are_refused(
    photos: FolderSource, tmp_path: Path
) -> None:
    compress_to_budget(photos, tmp_path / "s", "jpeg", 20_000)
    before = _tree(tmp_path / "s")
    again = compress_to_budget(photos, tmp_path / "s", "jpeg", 20_000)
    assert (again.encodes, again.store.done, again.store.skipped) == (0, 0, 12)
    for arguments, message in [
        (("jpeg", 20_001, "psnr"), "a budget of 20000 bytes for psnr .* of 20001"),
        (("jpeg", 20_000, "mse"), "for psnr over jpeg, not to .* for mse"),
        (("jpeg:quality=10,20", 20_000, "psnr"), "over jpeg, not to .* jpeg:quality=10,20"),
        (("webp", 20_000, "psnr"), "a store of jpeg, not of webp"),
    ]:
        codec, budget, objective = arguments
        with pytest.raises(InputError, match=message):
            compress_to_budget(photos, tmp_path / "s", codec, budget, objective=objective)
    with pytest.raises(InputError, match="a store of jpeg, not of jpeg:quality=75"):
        compress_store(photos, tmp_path / "s", "jpeg")
    _picture(photos.root / "new.png", 99)
    with pytest.raises(InputError, match=r"new or changed ones \(1, such as new.png\)"):
        compress_to_budget(photos, tmp_path / "s", "jpeg", 20_000)
    assert _tree(tmp_path / "s") == before


def test_new_images_in_an_unfinished_store_take_part(
    photos: FolderSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append, calls = Journal.append, iter(range(4))

    def stop(self: Journal, source: str, size: int | None, records: Iterable[Record]) -> None:
        if next(calls, None) is None:
            raise KeyboardInterrupt
        append(self, source, size, records)

    monkeypatch.setattr(Journal, "append", stop)
    with pytest.raises(KeyboardInterrupt):
        compress_to_budget(photos, tmp_path / "s", "jpeg", 20_000)
    monkeypatch.undo()
    _picture(photos.root / "new.png", 99)
    compress_to_budget(photos, tmp_path / "s", "jpeg", 20_000)
    compress_to_budget(photos, tmp_path / "whole", "jpeg", 20_000)
    assert _tree(tmp_path / "s") == _tree(tmp_path / "whole")


@pytest.mark.parametrize(
    ("codec", "budget", "objective", "message"),
    [
        ("jpeg:quality=10", 9000, "psnr", "needs several operating points .* leave quality out"),
        ("png", 9000, "psnr", "has no operating point"),
        ("jpeg", 0, "psnr", "budget = 0: must be at least 1 byte"),
        ("jpeg", 9000, "pnsr", r"objective = 'pnsr': unknown; did you mean psnr\?"),
    ],
)
def test_wrong_input_is_refused_before_any_work(
    photos: FolderSource, tmp_path: Path, codec: str, budget: int, objective: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        compress_to_budget(photos, tmp_path / "s", codec, budget, objective=objective)
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(("codec", "fixed"), [("jpeg", "jpeg:quality=20"), ("bpg", "bpg:qp=41")])
def test_on_photographs_it_beats_one_fixed_operating_point(
    shared_data: Path, tmp_path: Path, codec: str, fixed: str
) -> None:
    (tmp_path / "kodak").mkdir()
    for number in (1, 5, 8, 20, 23):
        name = f"kodim{number:02d}.png"
        (tmp_path / "kodak" / name).symlink_to(shared_data / "kodak" / name)
    source = FolderSource(tmp_path / "kodak", PrepareSettings(crop=(128, 96)))
    budget = _fixed_bytes(source, tmp_path / "fixed", fixed)
    compress_to_budget(source, tmp_path / "s", codec, budget)
    one, ours = open_store(tmp_path / "fixed"), open_store(tmp_path / "s")
    assert 0.98 * budget <= ours.total_bytes <= budget
    gain = np.mean([r.psnr for r in ours.records]) - np.mean([r.psnr for r in one.records])
    assert gain > 0.3


def test_what_a_budget_leaves_in_the_journal_is_json_lines(
    photos: FolderSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ratewise.data.fitting._remove_journals", lambda destination: None)
    summary = compress_to_budget(photos, tmp_path / "s", "jpeg", 20_000)
    lines = (tmp_path / "s/budget.jsonl").read_text().splitlines()
    values = [json.loads(line) for line in lines]
    assert set(values[0]) == {"of"}
    points = [point for value in values[1:] for tile in value["tiles"] for point in tile]
    written = summary.encodes - len(points)  # those put in the store at a point known before
    assert 0 <= written <= 12
