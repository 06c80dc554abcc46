"""Running a plan: order, failures, and two runs on one cache."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import cast

import pandas as pd
import pytest

from ratewise.errors import InputError, PlaceError
from ratewise.study.cache import Cache
from ratewise.study.observers import Announcer, Collector
from ratewise.study.plan import Plan, Stage
from ratewise.study.scheduler import (
    Finished,
    StageContext,
    attempt,
    run_plan,
)


def _plan(edges: Mapping[str, str]) -> Plan:
    """Stages by letter: ``{"c": "ab"}`` rests on ``a`` and ``b``, which come before it."""
    stages: dict[str, Stage] = {}
    for name, inputs in edges.items():
        sources = {letter: stages[letter].fingerprint for letter in inputs}
        stages[name] = Stage("train", name, {"name": name}, sources)
    return Plan({stage.fingerprint: stage for stage in stages.values()}, ())


class _Executor:
    """Keeps up to ``most`` stages running and ends the last one started first."""

    def __init__(self, cache: Cache, most: int, fails: str = "") -> None:
        self.cache, self.most, self.fails = cache, most, fails
        self.running: list[Stage] = []
        self.log: list[str] = []

    @property
    def room(self) -> bool:
        return len(self.running) < self.most

    @property
    def busy(self) -> bool:
        return bool(self.running)

    def start(self, stage: Stage) -> None:
        self.log.append(stage.title)
        self.running.append(stage)

    def wait(self) -> Finished:
        stage = self.running.pop()
        if stage.title in self.fails:
            return Finished(stage, 0.1, "it burns")
        self.cache.complete(stage, [], 0.1)
        self.log.append(stage.title.upper())
        return Finished(stage, 0.1)


DIAMOND = {"a": "", "b": "", "c": "a", "d": "ab", "e": "d"}


def test_with_room_for_one_the_order_is_the_plans(tmp_path: Path) -> None:
    executor = _Executor(Cache(tmp_path), 1)
    report = run_plan(_plan(DIAMOND), executor.cache, executor)
    assert executor.log == list("aAbBcCdDeE")
    assert len(report.ran) == 5


def test_side_by_side_no_stage_starts_before_what_it_rests_on(tmp_path: Path) -> None:
    executor = _Executor(Cache(tmp_path), 9)
    run_plan(_plan(DIAMOND), executor.cache, executor)
    assert executor.log[:2] == ["a", "b"]
    for stage, sources in DIAMOND.items():
        for source in sources:
            assert executor.log.index(source.upper()) < executor.log.index(stage)


def test_what_rests_on_a_failure_fails_and_the_others_finish(tmp_path: Path) -> None:
    executor, lines, collected = _Executor(Cache(tmp_path), 2, fails="a"), [], []
    plan = _plan(DIAMOND | {"f": "b"})
    observers = (
        Announcer(lines.append),
        Collector(lambda stage: collected.append(stage.title)),
    )
    report = run_plan(plan, executor.cache, executor, observers)
    failed = {plan.stages[name].title: why for name, why in report.failed.items()}
    rests = "what it rests on failed"
    assert failed == {"a": "it burns", "c": rests, "d": rests, "e": rests}
    assert sorted(collected) == ["b", "f"]
    assert "[3/6] a: FAILED: it burns" in lines
    assert len(lines) == 6


def test_a_finished_plan_starts_nothing(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    run_plan(_plan(DIAMOND), cache, _Executor(cache, 1))
    executor = _Executor(cache, 1)
    report = run_plan(_plan(DIAMOND), cache, executor)
    assert executor.log == []
    assert len(report.cached) == 5


def test_a_stage_that_another_run_holds_is_left_to_it_and_found_done(tmp_path: Path) -> None:
    cache, plan = Cache(tmp_path), _plan(DIAMOND)
    first = next(iter(plan.stages.values()))
    claim = cache.claim(first)
    assert claim is not None
    assert cache.claim(first) is None

    class Other(_Executor):
        def wait(self) -> Finished:
            if "B" not in self.log:  # meanwhile the other run ends
                cache.complete(first, [], 0.1)
                claim.release()
            return super().wait()

    executor, lines = Other(cache, 1), []
    report = run_plan(plan, cache, executor, (Announcer(lines.append),))
    assert executor.log == list("bBcCdDeE")
    assert report.elsewhere == [first.fingerprint]
    assert "[2/5] a: done by another run" in lines


def test_a_stage_that_another_run_gave_up_is_taken_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ratewise.study import scheduler

    cache, plan = Cache(tmp_path), _plan({"a": ""})
    claim = cache.claim(next(iter(plan.stages.values())))
    assert claim is not None
    monkeypatch.setattr(scheduler.time, "sleep", lambda _: claim.release())
    executor = _Executor(cache, 1)
    run_plan(plan, cache, executor)
    assert executor.log == ["a", "A"]


_RUN = """
import sys, time
from pathlib import Path
from ratewise.study.cache import Cache
from ratewise.study.plan import Plan, Stage
from ratewise.study.scheduler import Finished, run_plan

class Executor:
    room, stage = True, None
    @property
    def busy(self): return self.stage is not None
    def start(self, stage): self.stage, self.room = stage, False
    def wait(self):
        stage, self.stage, self.room = self.stage, None, True
        print(stage.title, flush=True)
        time.sleep(0.02)
        cache.complete(stage, [], 0.02)
        return Finished(stage, 0.02)

cache = Cache(Path(sys.argv[1]))
stages = [Stage("train", str(i), {"i": i}) for i in range(60)]
run_plan(Plan({s.fingerprint: s for s in stages}, ()), cache, Executor())
"""


def test_two_runs_at_once_do_every_stage_once_between_them(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _RUN, str(tmp_path / "cache")]
    runs = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    done = [run.communicate(timeout=60)[0].split() for run in runs]
    assert [run.returncode for run in runs] == [0, 0]
    assert sorted(map(int, done[0] + done[1])) == list(range(60))


def test_the_claim_of_a_killed_run_is_free(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from ratewise.study.cache import Cache\n"
        "from ratewise.study.plan import Stage\n"
        "claim = Cache(Path(sys.argv[1])).claim(Stage('train', 'a', {}))\n"
        "print('held', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        stage = Stage("train", "a", {})
        assert Cache(tmp_path).claim(stage) is None
        process.kill()
        process.wait(30)
        assert Cache(tmp_path).claim(stage) is not None


def test_two_studies_share_a_cache(miniature: Path, finished_run: Path, tmp_path: Path) -> None:
    from ratewise.execution import Resources
    from ratewise.study.engine import open_run, plan_study, run_study
    from ratewise.study.results import read_results
    from ratewise.study.settings import load_study

    cache = finished_run / "cache"
    planned = plan_study(load_study(miniature), tmp_path / "out", cache=cache)
    assert run_study(planned, resources=Resources(1), quiet=True).ran == []
    pd.testing.assert_frame_equal(read_results(tmp_path / "out"), read_results(finished_run))
    assert open_run(tmp_path / "out")[2].path == cache.resolve()


class _Runner:
    """A stage that fails as many times as it is told to, each time in the same way."""

    def __init__(self, failures: int, error: Exception) -> None:
        self.left, self.error, self.tries = failures, error, 0

    def run(self, stage: Stage, inputs: object, folder: Path, context: object) -> list[Path]:
        self.tries += 1
        if self.tries <= self.left:
            raise self.error
        (folder / "result").write_text("made")
        return [folder / "result"]


def _attempted(runner: _Runner, cache: Cache, monkeypatch: pytest.MonkeyPatch) -> Finished:
    monkeypatch.setitem(sys.modules, "ratewise.study.stages.train", cast("ModuleType", runner))
    plan = _plan({"a": ""})
    (stage,) = plan.stages.values()
    return attempt(stage, plan, cache, cast("StageContext", None))


def test_what_fails_for_a_moment_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner, cache = _Runner(2, OSError("the network is away")), Cache(tmp_path)
    finished = _attempted(runner, cache, monkeypatch)
    assert (finished.failure, runner.tries) == (None, 3)
    assert cache.is_complete(finished.stage)
    assert not (cache.folder(finished.stage) / "error.txt").exists()


def test_a_store_that_cannot_be_written_for_a_moment_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = _Runner(1, PlaceError("the disk is full"))
    finished = _attempted(runner, Cache(tmp_path), monkeypatch)
    assert (finished.failure, runner.tries) == (None, 2)


def test_a_mistake_of_ours_is_not_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner, cache = _Runner(9, TypeError("no such argument")), Cache(tmp_path)
    finished = _attempted(runner, cache, monkeypatch)
    assert (finished.failure, runner.tries) == ("TypeError: no such argument", 1)
    assert (cache.folder(finished.stage) / "error.txt").is_file()


def test_a_stage_fails_after_its_retries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runner, cache = _Runner(9, OSError("the network is away")), Cache(tmp_path)
    finished = _attempted(runner, cache, monkeypatch)
    assert finished.failure == "OSError: the network is away (tried 3 times)"
    assert runner.tries == 3
    assert "the network is away" in (cache.folder(finished.stage) / "error.txt").read_text()


def test_what_the_user_must_change_is_not_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = _Runner(9, InputError("one of the images is gone"))
    finished = _attempted(runner, Cache(tmp_path), monkeypatch)
    assert (finished.failure, runner.tries) == ("one of the images is gone", 1)
