"""Running a plan: each stage once, in order, everything it leaves in the cache."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Protocol

from ratewise.data.dataset import Dataset
from ratewise.errors import RatewiseError
from ratewise.execution import Resources
from ratewise.study.cache import Cache
from ratewise.study.plan import Plan, Stage
from ratewise.study.settings import StudySettings


@dataclass(frozen=True)
class StageContext:
    """What a stage may use besides its inputs. Nothing here may change what it writes."""

    settings: StudySettings
    dataset: Dataset
    base: Path
    resources: Resources
    quiet: bool = False
    others: Mapping[str, Dataset] = field(default_factory=dict)
    """Other data sets, by the fingerprints of the splits that are used of them."""


class StageRunner(Protocol):
    """Runs one kind of stage: reads the input folders, writes into its own, returns its files."""

    def __call__(
        self, stage: Stage, inputs: Mapping[str, Path], folder: Path, context: StageContext
    ) -> list[Path]: ...


@dataclass
class ScheduleReport:
    """What a run did: stages run and found in the cache, and failures by fingerprint."""

    ran: list[str] = field(default_factory=list)
    cached: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


def run_plan(
    plan: Plan,
    cache: Cache,
    context: StageContext,
    *,
    announce: Callable[[str], None] = lambda line: None,
    finished: Callable[[Stage], None] = lambda stage: None,
) -> ScheduleReport:
    """Run every stage of ``plan`` that is not in ``cache``.

    A stage that fails, and those that rest on it, are left out; the others finish.
    ``announce`` is given one line per stage, ``finished`` each stage that was run.
    """
    report = ScheduleReport()
    to_run = [stage for stage in plan.stages.values() if not cache.is_complete(stage)]
    for stage in plan.stages.values():
        if stage not in to_run:
            report.cached.append(stage.fingerprint)
    for number, stage in enumerate(to_run, 1):
        if any(source in report.failed for source in stage.inputs.values()):
            report.failed[stage.fingerprint] = "what it rests on failed"
            continue
        started = time.monotonic()
        try:
            run_stage(stage, plan, cache, context)
        except RatewiseError as error:
            report.failed[stage.fingerprint] = str(error)
        except Exception as error:
            (cache.folder(stage) / "error.txt").write_text(traceback.format_exc())
            report.failed[stage.fingerprint] = f"{type(error).__name__}: {error}"
        else:
            report.ran.append(stage.fingerprint)
            finished(stage)
        failure = report.failed.get(stage.fingerprint)
        outcome = f"FAILED: {failure}" if failure else f"{time.monotonic() - started:.1f} s"
        announce(f"[{number}/{len(to_run)}] {stage.title}: {outcome}")
    return report


def run_stage(stage: Stage, plan: Plan, cache: Cache, context: StageContext) -> None:
    """Run one stage whose inputs are complete, and record it in the cache."""
    folder = cache.folder(stage)
    folder.mkdir(parents=True, exist_ok=True)
    inputs = {role: cache.folder(plan.stages[name]) for role, name in stage.inputs.items()}
    runner: StageRunner = import_module(f"ratewise.study.stages.{stage.kind}").run
    started = time.monotonic()
    files = runner(stage, inputs, folder, context)
    cache.complete(stage, files, time.monotonic() - started)
