"""Encode a study's originals with a codec to real bitstreams."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ratewise.data.compress import compress_store
from ratewise.data.sources import StoreSource
from ratewise.data.store import open_store
from ratewise.study.outputs import STORE
from ratewise.study.plan import Stage
from ratewise.study.scheduler import StageContext
from ratewise.study.stages.stores import checked_files


def run(
    stage: Stage, inputs: Mapping[str, Path], folder: Path, context: StageContext
) -> list[Path]:
    """The stage runner."""
    summary = compress_store(
        StoreSource(open_store(inputs["originals"] / STORE)),
        folder / STORE,
        stage.params["codec"],
        resources=context.resources,
        quiet=context.quiet,
        title=stage.title,
    )
    return checked_files(folder / STORE, summary)
