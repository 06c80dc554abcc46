"""A study from its file to its rows: check the data, plan, run, collect."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ratewise.data.dataset import Dataset
from ratewise.errors import InputError, StageError
from ratewise.execution import Resources
from ratewise.execution.progress import shown_on
from ratewise.files import location, read_json, write_json
from ratewise.study.analysis.findings import read_findings, write_findings
from ratewise.study.bitstreams import check_classes
from ratewise.study.cache import Cache, locked
from ratewise.study.events import EVENTS, EventLog
from ratewise.study.inputs import find_inputs
from ratewise.study.live import LiveView
from ratewise.study.mirror import open_cache
from ratewise.study.observers import Announcer, Collector
from ratewise.study.plan import Plan, Stage
from ratewise.study.planner import make_plan
from ratewise.study.privileged import trained
from ratewise.study.results import read_results, results_table, write_results
from ratewise.study.scheduler import (
    Executor,
    LocalExecutor,
    Observer,
    ScheduleReport,
    StageContext,
    run_plan,
)
from ratewise.study.settings import Study, StudySettings
from ratewise.validation import validate

PLAN = "plan.json"
CACHE = "cache"


@dataclass(frozen=True)
class PlannedStudy:
    """A study whose inputs were checked, with its plan and the folder of its results."""

    study: Study
    dataset: Dataset
    plan: Plan
    folder: Path
    cache_folder: Path
    others: Mapping[str, Dataset] = field(default_factory=dict)
    """Other data sets, by the fingerprints of the splits that are used of them."""

    @property
    def cache(self) -> Cache:
        """What the stages leave behind."""
        return open_cache(self.cache_folder, self.folder / CACHE)


def plan_study(
    study: Study, folder: Path | None = None, *, cache: Path | None = None, quiet: bool = True
) -> PlannedStudy:
    """Check everything that a study rests on and plan it; runs no stage.

    Results are for ``folder`` (by default the study's own), what stages leave behind for ``cache``
    (by default a folder in ``folder``), a folder or an address, which several studies and runs can
    share.

    Raises :class:`InputError` for a missing folder, an unknown split, a split without images,
    a mask of another size than its image, a class id out of range, a privileged share that leaves a
    restorer nothing to be trained on, or a codec that predicts other classes than the data set's.
    """
    _check_devices(study.settings)
    folder = folder or study.default_folder
    cache = cache or folder / CACHE
    here = open_cache(cache, folder / CACHE).path
    inputs = find_inputs(study, here, quiet=quiet)
    plan = make_plan(study.settings, inputs.contents)
    _check_restorers(plan, study.settings, inputs.dataset)
    check_classes(plan, inputs.dataset)
    return PlannedStudy(study, inputs.dataset, plan, folder, cache, inputs.others)


def run_study(
    planned: PlannedStudy,
    *,
    resources: Resources = Resources(workers=0),
    quiet: bool = False,
    announce: Callable[[str], None] = lambda line: None,
    view: LiveView | None = None,
) -> ScheduleReport:
    """Run what is not yet in the cache and leave ``results.parquet`` and ``results.csv``.

    What happens to the stages is added to ``events.jsonl``, and shown on ``view`` where there is
    one.

    Raises :class:`StageError` that names the configurations without results if stages failed;
    what was finished is kept and its rows are written.
    """
    settings, plan, cache = planned.study.settings, planned.plan, planned.cache
    scoring = {run.evaluate for run in plan.runs}
    context = StageContext(
        settings, planned.dataset, planned.study.base, resources, quiet, planned.others
    )

    def collect(stage: Stage) -> None:
        if stage.fingerprint in scoring:
            write_results(results_table(settings, plan, cache), planned.folder)

    with locked(planned.folder):
        if _is_collected(planned) and all(map(cache.is_complete, plan.stages.values())):
            return ScheduleReport(cached=list(plan.stages))
        _check_task(planned)
        write_json(planned.folder / PLAN, _described(planned))
        observers: list[Observer] = [
            EventLog(planned.folder / EVENTS, cache),
            Announcer(announce),
            Collector(collect),
        ]
        if view is None:
            report = run_plan(plan, cache, _executor(plan, cache, context, None), observers)
        else:
            with view.shown(), shown_on(view):
                executor = _executor(plan, cache, context, view)
                report = run_plan(plan, cache, executor, [*observers, view])
        write_results(results_table(settings, plan, cache), planned.folder)
        write_findings(read_findings(settings, plan, cache), planned.folder)
    if report.failed:
        raise StageError(_failure_sentence(plan, report))
    return report


def open_run(folder: Path) -> tuple[StudySettings, Plan, Cache]:
    """The settings, plan and cache that an earlier run left in ``folder``."""
    path = folder / PLAN
    if not path.is_file():
        raise InputError(f"{folder}: no study was run here (there is no {PLAN})")
    try:
        value = read_json(path)
        plan = Plan.from_json(value["plan"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from None
    cache = open_cache(location(value.get("cache", folder / CACHE)), folder / CACHE)
    return validate(StudySettings, value["settings"], str(path)), plan, cache


def _executor(plan: Plan, cache: Cache, context: StageContext, view: LiveView | None) -> Executor:
    if context.resources.engine == "local":
        return LocalExecutor(plan, cache, context)
    from ratewise.study.cluster import ClusterExecutor

    return ClusterExecutor(plan, cache, context, view)


def _check_devices(settings: StudySettings) -> None:
    """A study's trainings are stages of one process each."""
    restorers = settings.restoration.restorers if settings.restoration else {}
    trainings = {"task.training": settings.task.training} | {
        f"restoration.restorers.{name}.training": one.training for name, one in restorers.items()
    }
    for key, training in trainings.items():
        if training.devices * training.nodes > 1:
            raise InputError(
                f"{key}: a training of a study uses one device; --engine ray trains several models "
                "side by side"
            )


def _check_task(planned: PlannedStudy) -> None:
    """Settings that only the task's libraries can judge, such as an encoder's name."""
    from ratewise.tasks import task_of

    settings, base = planned.study.settings, planned.study.base
    task_of(settings.task, planned.dataset, planned.dataset.name).check(base)
    if settings.analysis is not None and settings.analysis.features is not None:
        from ratewise.tasks.inspection import check_layer

        assert settings.task.kind == "segmentation"
        assert planned.dataset.classes is not None
        count, layer = len(planned.dataset.classes), settings.analysis.features.layer
        check_layer(settings.task, count, layer, base=base)


def _described(planned: PlannedStudy) -> dict[str, object]:
    settings, plan = _dump(planned.study.settings), planned.plan.to_json()
    value: dict[str, object] = {"settings": settings, "plan": plan}
    if planned.cache_folder != planned.folder / CACHE:
        value["cache"] = str(planned.cache_folder.resolve())
    return value


def _dump(settings: StudySettings) -> dict[str, object]:
    return settings.model_dump(mode="json")


def _is_collected(planned: PlannedStudy) -> bool:
    """Whether the folder's results are those of this very plan."""
    try:
        settings, plan, _ = open_run(planned.folder)
        read_results(planned.folder)
    except InputError:
        return False
    return plan == planned.plan and settings == planned.study.settings


def _check_restorers(plan: Plan, settings: StudySettings, dataset: Dataset) -> None:
    """Every restorer of privileged images of the training split must have some to train on."""
    frames = [(item.key, item.group) for item in dataset.items(settings.train_split)]
    for stage in plan.stages.values():
        if stage.kind != "restorer" or stage.params["images"]["rule"] == "all":
            continue
        count = len(trained(stage.params["images"], frames))
        held_out = stage.params["restorer"]["validation"]
        if settings.prepare.tile is None and count <= held_out:
            raise InputError(
                f"{stage.title}: validation = {held_out} images are held out of "
                f"{count}, which leaves none to train on: lower it, or raise the share"
            )


def _failure_sentence(plan: Plan, report: ScheduleReport) -> str:
    first = next(name for name in plan.stages if name in report.failed)
    lost = {
        f"{run.configuration} ({run.train_codec} to {run.test_codec}, seed {run.seed})"
        for run in plan.runs
        if run.evaluate in report.failed
    }
    lost |= {plan.stages[one.stage].title for one in plan.analyses if one.stage in report.failed}
    return (
        f"{plan.stages[first].title}: {report.failed[first]}; no results for: "
        f"{', '.join(sorted(lost))}"
    )
