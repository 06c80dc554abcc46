"""Make the study's originals of a split: prepared once, stored losslessly."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ratewise.data.compress import compress_store
from ratewise.data.prepare import PrepareSettings
from ratewise.data.sources import DatasetSource
from ratewise.study.channels import LOSSLESS
from ratewise.study.outputs import STORE
from ratewise.study.plan import Stage
from ratewise.study.scheduler import StageContext
from ratewise.study.stages.stores import checked_files


def run(
    stage: Stage, inputs: Mapping[str, Path], folder: Path, context: StageContext
) -> list[Path]:
    """The stage runner."""
    params = stage.params
    dataset = context.others.get(params["content"], context.dataset)
    source = DatasetSource(dataset, params["split"], _prepare(params["prepare"]), checked=True)
    summary = compress_store(
        source,
        folder / STORE,
        LOSSLESS,
        resources=context.resources,
        quiet=context.quiet,
        title=stage.title,
    )
    return checked_files(folder / STORE, summary)


def _prepare(described: Mapping[str, Any]) -> PrepareSettings:
    """The settings that :func:`ratewise.data.prepare.prepare_fingerprint` described."""
    return PrepareSettings.model_validate({k: v for k, v in described.items() if k != "version"})
