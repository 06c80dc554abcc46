"""Stores of the smallest files on which predictions stay: which, how many, resumed, refused."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from ratewise import codecs
from ratewise.data import measurements
from ratewise.data.agreement import compress_to_agreement
from ratewise.data.budget import compress_to_budget
from ratewise.data.contents import store_info, verify_store
from ratewise.data.journal import Journal
from ratewise.data.sources import FolderSource, StoreSource
from ratewise.data.store import open_store
from ratewise.errors import InputError
from ratewise.execution import Resources
from ratewise.files import read_json
from ratewise.images import Image

POINTS = "jpeg:quality=5,10,20,40,80,95"
SPECS = [f"jpeg:quality={quality}" for quality in (5, 10, 20, 40, 80, 95)]


@dataclass(frozen=True)
class _Pixels:
    """Predicts for each pixel in which of eight ranges its red lies."""

    name: str = "agreement"
    model: str = "ab" * 32
    positive: bool = True
    monotone: bool = False
    batch: int = 4

    def measure(self, original: Image, decoded: Sequence[Image]) -> list[float]:
        return [float((original[..., 0] // 32 != d[..., 0] // 32).mean()) for d in decoded]


@dataclass(frozen=True)
class _Whole(_Pixels):
    """Predicts one of two classes, on grounds that wobble from one operating point to the next."""

    def measure(self, original: Image, decoded: Sequence[Image]) -> list[float]:
        return [float(_class_of(original) != _class_of(d)) for d in decoded]


def _class_of(image: Image) -> int:
    return int(1.5 * image[..., 0].std()) % 2


def _photos(folder: Path, count: int) -> FolderSource:
    folder.mkdir()
    y, x = np.mgrid[:32, :48]
    for i in range(count):
        rng = np.random.default_rng(i)
        smooth = 128 + 90 * np.sin(x / 9 + i) * np.cos(y / 7)
        noise = rng.normal(0, 1 + 25 * rng.random() ** 2, (32, 48, 3))
        pixels = np.clip(smooth[..., None] + noise, 0, 255).astype(np.uint8)
        PillowImage.fromarray(pixels).save(folder / f"{i:02d}.png")
    return FolderSource(folder)


@pytest.fixture
def photos(tmp_path: Path) -> FolderSource:
    return _photos(tmp_path / "photos", 10)


def _tree(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _original(source: FolderSource, key: str) -> Image:
    return np.array(PillowImage.open(source.root / key))


def _sweep(source: FolderSource, key: str, aim: _Pixels) -> list[tuple[int, float]]:
    """Bytes and disagreement of an image at each operating point."""
    image, found = _original(source, key), []
    for spec in SPECS:
        data = codecs.codec(spec).encode(image)
        found.append((len(data), aim.measure(image, [codecs.codec(spec).decode(data)])[0]))
    return found


def test_each_image_is_the_smallest_file_whose_pixels_agree(
    photos: FolderSource, tmp_path: Path
) -> None:
    aim = _Pixels()
    summary = compress_to_agreement(
        photos, tmp_path / "s", POINTS, 0.85, disagreement=aim, of="pixels"
    )
    store = open_store(tmp_path / "s")
    shares = []
    for index, record in enumerate(store.records):
        swept = _sweep(photos, record.key, aim)
        agreeing = [size for size, share in swept if share <= 0.15]
        assert record.bytes == (min(agreeing) if agreeing else swept[-1][0])
        original = _original(photos, record.key)
        shares.append(float((store.image(index)[..., 0] // 32 == original[..., 0] // 32).mean()))
    assert len({record.codec for record in store.records}) > 2
    reached = summary.rate_control.agreement
    assert reached is not None
    assert reached.reached == pytest.approx(np.mean(shares))
    assert reached.short == sum(share < 0.85 for share in shares)
    assert verify_store(store, decode=True) == []


def test_images_that_no_operating_point_makes_agree_are_the_finest_and_counted(
    photos: FolderSource, tmp_path: Path
) -> None:
    points = "jpeg:quality=5,10"
    summary = compress_to_agreement(
        photos, tmp_path / "s", points, 1.0, disagreement=_Pixels(), of="pixels"
    )
    assert {record.codec for record in open_store(tmp_path / "s").records} == {"jpeg:quality=10"}
    assert summary.rate_control.agreement is not None
    assert summary.rate_control.agreement.short == 10


@pytest.mark.parametrize("agreement", [1.0, 0.7, 0.05])
def test_a_share_of_the_images_agrees_in_the_fewest_bytes(
    photos: FolderSource, tmp_path: Path, agreement: float
) -> None:
    aim = _Whole()
    summary = compress_to_agreement(
        photos, tmp_path / "s", POINTS, agreement, disagreement=aim, of="images"
    )
    store = open_store(tmp_path / "s")
    agreeing, least = [], []
    for record in store.records:
        swept = _sweep(photos, record.key, aim)
        agreeing.append(min((size for size, other in swept if not other), default=math.inf))
        least.append(min(size for size, _ in swept))
    assert math.inf not in agreeing
    assert agreeing != least  # some agree only at larger files
    required = math.ceil(agreement * 10)
    totals = [
        sum(agreeing[i] if i in chosen else least[i] for i in range(10))
        for chosen in itertools.combinations(range(10), required)
    ]
    assert store.total_bytes == min(totals)
    right = [
        _class_of(store.image(i)) == _class_of(_original(photos, record.key))
        for i, record in enumerate(store.records)
    ]
    assert sum(right) >= required
    assert summary.rate_control.agreement is not None
    assert summary.rate_control.agreement.reached == pytest.approx(sum(right) / 10)
    assert summary.rate_control.agreement.short == 0


@dataclass(frozen=True)
class _Hopeless(_Whole):
    """Predicts otherwise on every decoded image whose first pixel was bright."""

    def measure(self, original: Image, decoded: Sequence[Image]) -> list[float]:
        return [float(original[0, 0, 0] > 127) for _ in decoded]


def test_what_never_agrees_counts_among_the_images_that_may_disagree(
    photos: FolderSource, tmp_path: Path
) -> None:
    hopeless = [p.name for p in photos.root.iterdir() if _original(photos, p.name)[0, 0, 0] > 127]
    assert 2 < len(hopeless) < 8
    for may, short in ((len(hopeless), 0), (len(hopeless) - 1, 1)):
        out = tmp_path / f"{may}"
        summary = compress_to_agreement(
            photos, out, POINTS, 1 - may / 10, disagreement=_Hopeless(), of="images"
        )
        codecs_of = {record.key: record.codec for record in open_store(out).records}
        finest = [key for key, codec in codecs_of.items() if codec == SPECS[-1]]
        assert len(finest) == short
        assert set(finest) <= set(hopeless)
        assert all(c == SPECS[0] for key, c in codecs_of.items() if key not in finest)
        assert summary.rate_control.agreement is not None
        assert summary.rate_control.agreement.short == short


def test_agreement_that_comes_and_goes_is_found_at_its_first_point(
    photos: FolderSource, tmp_path: Path
) -> None:
    """A search by halves would look at quality 20 or 40 first, and go up."""
    compress_to_agreement(
        photos, tmp_path / "s", POINTS, 1.0, disagreement=_OnlyTen(photos.root), of="images"
    )
    assert {r.codec for r in open_store(tmp_path / "s").records} == {SPECS[1]}


@dataclass(frozen=True)
class _OnlyTen(_Whole):
    """Agrees with what quality 10 and 95 decode to."""

    root: Path = Path()

    def __init__(self, root: Path) -> None:
        object.__setattr__(self, "root", root)

    def measure(self, original: Image, decoded: Sequence[Image]) -> list[float]:
        good = [codecs.codec(s).decode(codecs.codec(s).encode(original)) for s in SPECS[1::4]]
        return [float(not any((d == g).all() for g in good)) for d in decoded]


@pytest.mark.parametrize("stop_after", [1, 5, 9])
def test_a_run_stopped_while_measuring_ends_the_same(
    photos: FolderSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop_after: int
) -> None:
    _make(photos, tmp_path / "whole")
    write, lines = measurements.Measurements._write, 0

    def stop(self: measurements.Measurements, value: dict[str, object]) -> None:
        nonlocal lines
        if lines > stop_after:
            self._file.write(b'{"round":0,"source":"0')
            raise KeyboardInterrupt
        lines += 1
        write(self, value)

    monkeypatch.setattr(measurements.Measurements, "_write", stop)
    with pytest.raises(KeyboardInterrupt):
        _make(photos, tmp_path / "s")
    monkeypatch.undo()
    measured: list[str] = []
    append = measurements.Measurements.append

    def note(
        self: measurements.Measurements, round_: int, source: str, tiles: measurements.Tiles
    ) -> None:
        measured.append(source)
        append(self, round_, source, tiles)

    monkeypatch.setattr(measurements.Measurements, "append", note)
    _make(photos, tmp_path / "s")
    assert measured == [f"{i:02d}.png" for i in range(stop_after, 10)]
    assert _tree(tmp_path / "s") == _tree(tmp_path / "whole")


def test_a_run_stopped_while_writing_ends_the_same(
    photos: FolderSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _make(photos, tmp_path / "whole")
    append, calls = Journal.append, iter(range(4))

    def stop(self: Journal, *values: object) -> None:
        if next(calls, None) is None:
            raise KeyboardInterrupt
        append(self, *values)  # type: ignore[arg-type]

    monkeypatch.setattr(Journal, "append", stop)
    with pytest.raises(KeyboardInterrupt):
        _make(photos, tmp_path / "s")
    monkeypatch.undo()
    assert _make(photos, tmp_path / "s") == 6  # those that are not there, once each
    assert _tree(tmp_path / "s") == _tree(tmp_path / "whole")


def _make(photos: FolderSource, out: Path, resources: Resources = Resources()) -> int:
    return compress_to_agreement(
        photos, out, POINTS, 0.9, disagreement=_Pixels(), of="pixels", resources=resources
    ).encodes


def test_workers_make_the_same_store(tmp_path: Path) -> None:
    photos = _photos(tmp_path / "photos", 40)  # more than are worth workers where a model is asked
    _make(photos, tmp_path / "one")
    _make(photos, tmp_path / "two", Resources(2))
    assert _tree(tmp_path / "one") == _tree(tmp_path / "two")


def test_the_store_says_what_agreed_and_refuses_another_aim(
    photos: FolderSource, tmp_path: Path
) -> None:
    _make(photos, tmp_path / "s")
    control = read_json(tmp_path / "s/store.json")["rate_control"]
    assert control["budget"] is None
    assert (control["objective"], control["model"]) == ("agreement", "ab" * 32)
    assert (control["agreement"]["asked"], control["agreement"]["of"]) == (0.9, "pixels")
    assert store_info(open_store(tmp_path / "s"))["rate_control"] == control
    assert StoreSource(open_store(tmp_path / "s")).fingerprint()["rate_control"] == control
    before = _tree(tmp_path / "s")
    assert _make(photos, tmp_path / "s") == 0
    for agreement, aim, message in [
        (0.91, _Pixels(), r"an agreement on 0.9 of pixels .* not to .* 0.91 of pixels"),
        (0.9, _Pixels(model="cd" * 32), r"\(model abababababab\) .* \(model cdcdcdcdcdcd\)"),
    ]:
        with pytest.raises(InputError, match=message):
            compress_to_agreement(
                photos, tmp_path / "s", POINTS, agreement, disagreement=aim, of="pixels"
            )
    with pytest.raises(InputError, match="not to a budget of 9000 bytes for psnr"):
        compress_to_budget(photos, tmp_path / "s", "jpeg", 9000)
    assert _tree(tmp_path / "s") == before


@pytest.mark.parametrize("agreement", [0, -0.1, 1.5, math.nan])
def test_a_share_that_is_none_is_refused(
    photos: FolderSource, tmp_path: Path, agreement: float
) -> None:
    with pytest.raises(InputError, match="must be above 0 and at most 1"):
        compress_to_agreement(
            photos, tmp_path / "s", POINTS, agreement, disagreement=_Pixels(), of="pixels"
        )
    assert not (tmp_path / "s").exists()
