"""Make the study's originals of a split: prepared once, stored losslessly."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ratewise.data.compress import compress_store
from ratewise.data.sources import DatasetSource
from ratewise.study.channels import LOSSLESS
from ratewise.study.plan import Stage
from ratewise.study.results import STORE
from ratewise.study.scheduler import StageContext
from ratewise.study.stages.stores import checked_files


def run(
    stage: Stage, inputs: Mapping[str, Path], folder: Path, context: StageContext
) -> list[Path]:
    """The stage runner."""
    source = DatasetSource(
        context.dataset, stage.params["split"], context.settings.prepare, checked=True
    )
    summary = compress_store(
        source,
        folder / STORE,
        LOSSLESS,
        resources=context.resources,
        quiet=context.quiet,
        title=stage.title,
    )
    return checked_files(folder / STORE, summary)
