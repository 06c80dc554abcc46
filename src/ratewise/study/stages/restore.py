"""Restore a compressed store, and measure what that changed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ratewise.data.store import Store, open_store
from ratewise.errors import StageError
from ratewise.files import read_json
from ratewise.restoration.stores import restore_store
from ratewise.study.outputs import QUALITY, RESTORER, SEEN, STORE
from ratewise.study.plan import Stage
from ratewise.study.privileged import PrivilegedShare, frames_of
from ratewise.study.quality import measure, write_quality
from ratewise.study.scheduler import StageContext
from ratewise.study.stages.stores import checked_files


def run(
    stage: Stage, inputs: Mapping[str, Path], folder: Path, context: StageContext
) -> list[Path]:
    """The stage runner: leaves the store, and ``quality.csv``."""
    originals = open_store(inputs["originals"] / STORE)
    compressed = open_store(inputs["compressed"] / STORE)
    count = sum(role.startswith("restorer ") for role in inputs)
    restorers = [inputs[f"restorer {i}"] for i in range(count)]
    rule = stage.params["assignment"]
    assignment = [0] * len(originals)
    if rule is not None:
        assignment = PrivilegedShare.from_json(rule).assignment(frames_of(originals.records))
    summary = restore_store(
        compressed,
        folder / STORE,
        [restorer / RESTORER for restorer in restorers],
        assignment,
        resources=context.resources,
        quiet=context.quiet,
        title=stage.title,
        device=context.settings.task.training.device,
        precision=stage.params["precision"],
    )
    files = checked_files(folder / STORE, summary)
    restored = open_store(folder / STORE)
    _check_made_of(restored, compressed)
    rows = measure(
        originals,
        compressed,
        restored,
        assignment,
        [{row["sha256"] for row in read_json(restorer / SEEN)} for restorer in restorers],
        resources=context.resources,
        quiet=context.quiet,
        title=f"measure {stage.title}",
    )
    write_quality(folder / QUALITY, rows)
    return [*files, folder / QUALITY]


def _check_made_of(restored: Store, compressed: Store) -> None:
    """A restored image's rate is that of the file it was made from, image for image."""
    made = [(record.key, record.source_bytes) for record in restored.records]
    if made != [(record.key, record.bytes) for record in compressed.records]:
        raise StageError(f"{restored.path}: does not hold the images of {compressed.path}")
