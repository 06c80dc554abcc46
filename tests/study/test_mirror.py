"""A cache at an address: results travel, claims hold between machines."""

from __future__ import annotations

import json
import pickle
import time
from pathlib import Path

import pandas as pd
import pytest

from ratewise.execution import Resources
from ratewise.files import location
from ratewise.study import mirror
from ratewise.study.cache import Cache
from ratewise.study.engine import open_run, plan_study, run_study
from ratewise.study.mirror import MirroredCache, open_cache
from ratewise.study.plan import Stage
from ratewise.study.results import read_results
from ratewise.study.settings import load_study

STAGE = Stage("train", "a", {"n": 1})


@pytest.fixture
def caches(bucket: str, tmp_path: Path) -> tuple[MirroredCache, MirroredCache]:
    """The caches of two machines at one address."""
    there = location(f"{bucket}/{tmp_path.name}")
    one, two = (open_cache(there, tmp_path / name) for name in "ab")
    assert isinstance(one, MirroredCache)
    assert isinstance(two, MirroredCache)
    return one, two


def _run(cache: Cache) -> None:
    folder = cache.folder(STAGE)
    (folder / "deep").mkdir(parents=True, exist_ok=True)
    (folder / "deep/weights").write_bytes(b"w" * 10)
    (folder / "checkpoint.pt").write_bytes(b"large")
    cache.complete(STAGE, [folder / "deep/weights"], 1.5)


def test_what_one_machine_made_another_has(caches: tuple[MirroredCache, MirroredCache]) -> None:
    one, two = caches
    assert two.state(STAGE) == "to do"
    _run(one)
    assert two.is_complete(STAGE)
    assert (two.folder(STAGE) / "deep/weights").read_bytes() == b"w" * 10
    assert not (two.folder(STAGE) / "checkpoint.pt").exists()
    assert two.manifest(STAGE)["seconds"] == 1.5
    assert two.manifest(STAGE) == one.manifest(STAGE)


def test_one_machine_at_a_time_has_the_claim(caches: tuple[MirroredCache, MirroredCache]) -> None:
    one, two = caches
    claim = one.claim(STAGE)
    assert claim is not None
    assert two.claim(STAGE) is None
    claim.release()
    second = two.claim(STAGE)
    assert second is not None
    assert one.claim(STAGE) is None
    second.release()


def test_the_claim_of_a_machine_that_vanished_becomes_stale(
    caches: tuple[MirroredCache, MirroredCache], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = caches
    monkeypatch.setattr(mirror, "_SETTLE_SECONDS", 0.05)
    held = one.remote / one.folder(STAGE).name / "claim.json"
    held.write_bytes(json.dumps({"token": "x", "time": time.time() - 299}).encode())
    assert two.claim(STAGE) is None
    held.write_bytes(json.dumps({"token": "x", "time": time.time() - 301}).encode())
    claim = two.claim(STAGE)
    assert claim is not None
    assert one.claim(STAGE) is None
    claim.release()


def test_a_claim_is_renewed_while_it_is_held(
    caches: tuple[MirroredCache, MirroredCache], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _ = caches
    monkeypatch.setattr(mirror, "_BEAT_SECONDS", 0.05)
    claim = one.claim(STAGE)
    assert claim is not None
    held = one.remote / one.folder(STAGE).name / "claim.json"
    first = json.loads(held.read_bytes())["time"]
    deadline = time.monotonic() + 20
    while json.loads(held.read_bytes())["time"] == first:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    claim.release()
    assert not held.exists()


def test_a_cache_travels_to_workers(caches: tuple[MirroredCache, MirroredCache]) -> None:
    copy = pickle.loads(pickle.dumps(caches[0]))
    assert (copy.path, str(copy.remote)) == (caches[0].path, str(caches[0].remote))


def test_a_study_goes_on_from_an_address_on_another_machine(
    bucket: str, miniature: Path, finished_run: Path, tmp_path: Path
) -> None:
    import s3fs

    s3fs.S3FileSystem().put(f"{finished_run / 'cache'}/", "bucket/study/", recursive=True)
    cache = location(f"{bucket}/study")
    planned = plan_study(load_study(miniature), tmp_path / "out", cache=cache)
    assert run_study(planned, resources=Resources(1), quiet=True).ran == []
    pd.testing.assert_frame_equal(read_results(tmp_path / "out"), read_results(finished_run))
    assert isinstance(open_run(tmp_path / "out")[2], MirroredCache)


def test_a_machine_that_lost_its_claim_leaves_it_to_the_other(
    caches: tuple[MirroredCache, MirroredCache], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = caches
    monkeypatch.setattr(mirror, "_BEAT_SECONDS", 0.05)
    claim = one.claim(STAGE)
    assert claim is not None
    held = one.remote / one.folder(STAGE).name / "claim.json"
    taken = json.dumps({"token": "another", "time": time.time()}).encode()
    held.write_bytes(taken)
    time.sleep(0.5)  # ten beats
    assert held.read_bytes() == taken
    claim.release()
    assert held.read_bytes() == taken
    assert two.claim(STAGE) is None


def test_claims_do_not_travel(caches: tuple[MirroredCache, MirroredCache]) -> None:
    one, two = caches
    claim = one.claim(STAGE)
    assert claim is not None
    _run(one)
    assert sorted(p.name for p in two.folder(STAGE).iterdir()) == ["deep", "stage.json"]
    claim.release()
