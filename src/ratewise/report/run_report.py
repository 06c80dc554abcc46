"""The report of a run: reads what a study left in its folder and writes ``report.html`` there."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ratewise.data.classes import Classes
from ratewise.data.manifest import Record
from ratewise.data.store import Store, open_store
from ratewise.errors import InputError
from ratewise.files import read_json, write_atomically, write_json
from ratewise.images import read_mask, write_png
from ratewise.metrics.rate import bits_per_pixel
from ratewise.report.model import StageCost, Strip, StripColumn, StudySummary
from ratewise.report.page import write_report
from ratewise.report.pictures import choose_zoom, strip_png
from ratewise.report.tables import family
from ratewise.study.analysis.findings import read_findings, write_findings
from ratewise.study.analysis.restored import restored_quality
from ratewise.study.bitstreams import KIND as MASKS_IN_FILES
from ratewise.study.cache import Cache
from ratewise.study.channels import LOSSLESS, Configuration
from ratewise.study.engine import open_run
from ratewise.study.plan import Plan, Run, library_version
from ratewise.study.results import (
    STORE,
    prediction_path,
    rates_table,
    results_table,
    shown_indices,
)
from ratewise.study.settings import StudySettings
from ratewise.study.spelling import configuration_of

if TYPE_CHECKING:
    import pandas as pd

QUALITY_FILE = "restoration.csv"
"""What a study with restoration leaves beside its report: a row per restored store."""

_COMMAND = "command.json"
_LIBRARIES = ("ratewise", "torch", "segmentation-models-pytorch", "timm", "pillow", "numpy")


def report_run(folder: Path, *, command: str | None = None) -> Path:
    """Write ``report.html`` for the run in ``folder``; returns its path.

    ``command`` is how the run was started; it is remembered for later reports. Raises
    :class:`InputError` if nothing was run there.
    """
    settings, plan, cache = open_run(folder)
    if command:
        write_json(folder / _COMMAND, command)
    results = results_table(settings, plan, cache)
    if results.empty:
        raise InputError(f"{folder}: no configuration has results yet, so there is no report")
    path = folder / "report.html"
    findings = read_findings(settings, plan, cache)
    write_findings(findings, folder)
    write_report(
        path,
        _summary(settings, plan, cache, folder),
        results,
        rates_table(settings, plan, cache),
        _strips(settings, plan, cache),
        _restored(settings, plan, cache, folder),
        findings,
    )
    return path


def _restored(settings: StudySettings, plan: Plan, cache: Cache, folder: Path) -> pd.DataFrame:
    """What restoration did to the images, left in the folder too where there is any."""
    quality = restored_quality(settings, plan, cache)
    if len(quality):
        write_atomically(folder / QUALITY_FILE, quality.to_csv(index=False, float_format="%.6g"))
    return quality


def write_pictures(folder: Path, out: Path) -> list[Path]:
    """Write the picture strips of the run in ``folder`` as PNG files into ``out``."""
    settings, plan, cache = open_run(folder)
    classes = _classes(plan, cache)
    paths = []
    for strip in _strips(settings, plan, cache):
        assert classes is not None  # a strip has a mask
        paths.append(out / f"{strip.title.replace('/', '-').rpartition('.')[0]}.png")
        write_png(paths[-1], strip_png(strip, classes))
    return paths


def _summary(settings: StudySettings, plan: Plan, cache: Cache, folder: Path) -> StudySummary:
    remembered = folder / _COMMAND
    entries = [entry for recipe in settings.recipes for entry in settings.used_for(recipe)]
    configurations = [configuration_of(entry).name for entry in entries]
    swept = {configuration_of(entry).name for entry in entries if isinstance(entry, str)}
    training = settings.task.training
    length = f"{training.epochs} epochs" if training.epochs else f"{training.steps} steps"
    return StudySummary(
        name=settings.name,
        description=settings.description.strip(),
        command=read_json(remembered) if remembered.is_file() else "",
        data=f"{settings.data.name} ({settings.train_split} and {settings.test_split}), "
        f"prepare: {settings.prepare.label}",
        task=settings.task.kind,
        model=f"{settings.task.title}, {length} of batches of {training.batch_size}",
        seeds=[*settings.seeds, *(settings.repeats.seeds if settings.repeats else [])],
        classes=_classes(plan, cache),
        codecs=settings.codecs,
        environment=_environment(),
        stages=_stages(plan, cache),
        configurations=list(dict.fromkeys(configurations)),
        paired=[name for name in dict.fromkeys(configurations) if name not in swept],
        restorers={
            name: restorer.adversarial for name, restorer in settings.restoration.restorers.items()
        }
        if settings.restoration
        else {},
    )


def _environment() -> Mapping[str, str]:
    versions = {name: library_version(name) for name in _LIBRARIES}
    return {"python": platform.python_version(), "machine": platform.machine(), **versions}


def _stages(plan: Plan, cache: Cache) -> list[StageCost]:
    found = []
    for stage in plan.stages.values():
        if cache.is_complete(stage):
            made = cache.manifest(stage)
            cost = StageCost(stage.kind, stage.title, float(made["seconds"]), made.get("bytes"))
            found.append(cost)
    return found


def _classes(plan: Plan, cache: Cache) -> Classes | None:
    for stage in plan.stages.values():
        if stage.kind == "prepare" and cache.is_complete(stage):
            return open_store(cache.folder(stage) / STORE).classes
    return None


def _strips(settings: StudySettings, plan: Plan, cache: Cache) -> list[Strip]:
    """Strips of the first seed: OO, and the harshest point of each codec's family."""
    shown = [
        run for run in _shown_runs(plan, cache, settings.seeds[0]) if _finished(run, plan, cache)
    ]
    originals = _originals(settings, plan, cache)
    if not shown or originals is None or originals.classes is None:
        return []
    stores = {
        run.test_store: open_store(cache.folder(plan.stages[run.test_store]) / STORE)
        for run in shown
    }
    wanted = sorted(_most_telling(originals)[: settings.report.strips])
    return [_strip(index, originals, shown, stores, plan, cache) for index in wanted]


def _strip(
    index: int,
    originals: Store,
    runs: list[Run],
    stores: Mapping[str, Store],
    plan: Plan,
    cache: Cache,
) -> Strip:
    mask = originals.mask(index)
    columns = []
    for run in runs:
        store = stores[run.test_store]
        folder = cache.folder(plan.stages[run.evaluate])
        specs = dict.fromkeys(
            spec for spec in (run.train_codec, run.test_codec) if spec != LOSSLESS
        )
        title = " ".join([run.configuration, " to ".join(specs)]).strip()
        read = plan.stages[run.evaluate].kind == MASKS_IN_FILES
        columns.append(
            StripColumn(
                f"{title}, masks in the files" if read else title,
                store.image(index),
                read_mask(prediction_path(folder, index)),
                _bpp(run, plan, store.records[index]),
            )
        )
    assert originals.classes is not None
    zoom = choose_zoom(mask, originals.classes)
    return Strip(originals.records[index].key, originals.image(index), mask, columns, zoom)


def _bpp(run: Run, plan: Plan, record: Record) -> float | None:
    """Of the compressed file that a test image was decoded from; None for an original."""
    if run.test_codec == LOSSLESS:
        return None
    restored = plan.stages[run.test_store].kind == "restore"
    size = record.source_bytes if restored else record.bytes
    return bits_per_pixel(size, record.height, record.width)


def _most_telling(originals: Store) -> list[int]:
    """The test images with kept predictions, those that show most of small objects first."""
    classes = originals.classes
    assert classes is not None
    small = [i for name in classes.groups if "small" in name for i in classes.ids(name)]

    def shown_small(index: int) -> int:
        mask = originals.mask(index)
        return sum(int((mask == i).sum()) for i in small)

    return sorted(shown_indices(len(originals)), key=shown_small, reverse=True)


def _originals(settings: StudySettings, plan: Plan, cache: Cache) -> Store | None:
    for stage in plan.stages.values():
        if stage.kind == "prepare" and stage.params["split"] == settings.test_split:
            return open_store(cache.folder(stage) / STORE) if cache.is_complete(stage) else None
    return None


def _shown_runs(plan: Plan, cache: Cache, seed: int) -> list[Run]:
    """One seed's runs on all images: those without a codec, and those at the lowest rates. Of
    those with the same predictions, which count other bytes, the first one."""
    harshest: dict[str, tuple[float, str]] = {}
    for stage in plan.stages.values():
        if stage.kind == "compress" and cache.is_complete(stage):
            codec = stage.params["codec"]
            point = (open_store(cache.folder(stage) / STORE).bpp, codec)
            harshest[family(codec)] = min(harshest.get(family(codec), point), point)
    kept = {LOSSLESS, *(codec for _, codec in harshest.values())}
    shown = [
        run
        for run in plan.runs
        if run.seed == seed
        and not Configuration.parse(run.configuration).images_name
        and {run.train_codec, run.test_codec} <= kept
    ]
    return list({(run.configuration, run.evaluate): run for run in reversed(shown)}.values())[::-1]


def _finished(run: Run, plan: Plan, cache: Cache) -> bool:
    return all(cache.is_complete(plan.stages[name]) for name in (run.evaluate, run.test_store))
