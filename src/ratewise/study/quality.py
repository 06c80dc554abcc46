"""How near restored images, and what they were made from, are to their originals."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from ratewise.data.store import Store
from ratewise.errors import StageError
from ratewise.execution import Resources, map_items, progress
from ratewise.files import write_atomically
from ratewise.metrics.distortion import decibels, ms_ssim, psnr


@dataclass(frozen=True)
class Quality:
    """One restored image.

    ``restorer`` counts the restorers of its stage from 0; ``seen`` says that this one was trained
    on the image. PSNR in dB over RGB, MS-SSIM as ``-10 log10(1 - x)`` dB (NaN for an image too
    small for it), both against the original, ``before`` and ``after`` restoration.
    """

    key: str
    restorer: int
    seen: bool
    psnr_before: float
    psnr_after: float
    ms_ssim_db_before: float
    ms_ssim_db_after: float


@dataclass(frozen=True)
class _Job:
    originals: Store
    compressed: Store
    restored: Store


def measure(
    originals: Store,
    compressed: Store,
    restored: Store,
    assignment: Sequence[int],
    seen_by: Sequence[Collection[str]],
    *,
    resources: Resources,
    quiet: bool,
    title: str,
) -> list[Quality]:
    """The quality of every image of ``restored``.

    ``assignment[i]`` is the restorer of image i, ``seen_by[r]`` the SHA-256 of the originals that
    restorer r was trained on. Raises :class:`StageError` for an image that cannot be compared.
    """
    found = []
    records, job = originals.records, _Job(originals, compressed, restored)
    with progress(title, len(records), quiet=quiet) as bar:
        for outcome in map_items(_measure, range(len(records)), resources, context=job):
            record, restorer = records[outcome.item], assignment[outcome.item]
            if outcome.value is None:
                failure = outcome.failure.message if outcome.failure else "no result"
                raise StageError(f"{record.key}: cannot be compared with its original: {failure}")
            seen = record.sha256 in seen_by[restorer]
            found.append(Quality(record.key, restorer, seen, *outcome.value))
            bar.advance()
    return found


def write_quality(path: Path, rows: Sequence[Quality]) -> None:
    """Write one line per image."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(field.name for field in fields(Quality))
    for row in rows:
        key, restorer, seen, *values = astuple(row)
        writer.writerow([key, restorer, int(seen), *(f"{value:.4f}" for value in values)])
    write_atomically(path, text.getvalue())


def read_quality(path: Path) -> list[Quality]:
    """What :func:`write_quality` wrote; StageError if it cannot be read."""
    try:
        with path.open(newline="") as file:
            rows = list(csv.reader(file))[1:]
        return [
            Quality(key, int(restorer), seen == "1", *map(float, values))
            for key, restorer, seen, *values in rows
        ]
    except (OSError, ValueError, TypeError) as error:
        raise StageError(f"{path}: cannot be read ({error})") from None


def _measure(job: _Job, index: int) -> tuple[float, float, float, float]:
    original = job.originals.image(index)
    before, after = job.compressed.image(index), job.restored.image(index)
    return (
        psnr(original, before),
        psnr(original, after),
        decibels(ms_ssim(original, before)),
        decibels(ms_ssim(original, after)),
    )
