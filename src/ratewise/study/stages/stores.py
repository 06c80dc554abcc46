"""What the stages that make stores share."""

from __future__ import annotations

from pathlib import Path

from ratewise.data.compress import StoreSummary
from ratewise.data.manifest import MANIFEST
from ratewise.data.store import FAILURES, STATE
from ratewise.errors import StageError


def checked_files(store: Path, summary: StoreSummary) -> list[Path]:
    """The files that stand for a finished store: its manifest holds the hash of every image.

    A study compares channels on the same images, so one that cannot be stored fails the stage;
    the images that could be stored are kept.
    """
    if summary.failed:
        raise StageError(
            f"{summary.failed} of {summary.images + summary.failed} images cannot be stored; "
            f"{store / FAILURES} names them: repair or remove them"
        )
    return [store / MANIFEST, store / STATE]
