"""Result rows: one per configuration, codec, recipe and seed, from the finished stages of a plan.

The columns are fixed (DESIGN.md); a report, a table or a plot is a query over them.

``train_bpp`` and ``test_bpp`` are measured from the files that exist: eight times their bytes by
their pixels, for originals too, which are stored as PNG. ``bytes_compressed`` counts the training
images that were collected compressed, ``bytes_privileged`` those collected as originals.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ratewise.data.store import Record, open_store
from ratewise.errors import InputError
from ratewise.files import read_json, write_atomically
from ratewise.metrics.rate import bits_per_pixel
from ratewise.study.cache import Cache
from ratewise.study.channels import LOSSLESS, Configuration
from ratewise.study.plan import Plan, Run
from ratewise.study.settings import StudySettings
from ratewise.study.shares import share_indices

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    "study",
    "data",
    "prepare",
    "task",
    "model",
    "recipe",
    "seed",
    "train_channel",
    "train_codec",
    "train_share",
    "test_channel",
    "test_codec",
    "train_images",
    "train_bpp",
    "test_bpp",
    "bytes_compressed",
    "bytes_privileged",
    "bytes_auxiliary",
    "restorer_overlap",
)
STORE = "store"
"""The folder of a prepare or compress stage that holds its store."""

MODEL = "model.safetensors"
"""The file of a train stage that holds its weights."""

METRICS = "metrics.json"
"""The file of an evaluate stage that holds its numbers."""

_SHOWN = 8


def shown_indices(count: int) -> list[int]:
    """The test images whose predictions are kept for pictures: up to eight, evenly spread."""
    shown = min(count, _SHOWN)
    return [index * count // shown for index in range(shown)]


def prediction_path(folder: Path, index: int) -> Path:
    """Where an evaluate stage keeps the prediction of a test image."""
    return folder / "predictions" / f"{index}.png"


def results_table(settings: StudySettings, plan: Plan, cache: Cache) -> pd.DataFrame:
    """The rows of every run whose stages are finished, in the plan's order."""
    import pandas as pd

    reader = _Stores(plan, cache)
    finished = [run for run in plan.runs if cache.is_complete(plan.stages[run.evaluate])]
    rows = [_row(settings, run, plan, cache, reader) for run in finished]
    table = pd.DataFrame(rows)
    return table if rows else pd.DataFrame(columns=list(COLUMNS))


def rates_table(settings: StudySettings, plan: Plan, cache: Cache) -> pd.DataFrame:
    """One row per finished store: codec, split, images, bpp, psnr (dB), bytes."""
    import pandas as pd

    reader = _Stores(plan, cache)
    rows = []
    for stage in plan.stages.values():
        if stage.kind not in ("prepare", "compress") or not cache.is_complete(stage):
            continue
        records = reader.records(stage.fingerprint)
        origin = stage if stage.kind == "prepare" else plan.stages[stage.inputs["originals"]]
        rows.append(
            {
                "codec": stage.params["codec"] if stage.kind == "compress" else LOSSLESS,
                "split": origin.params["split"],
                "images": len(records),
                "bpp": _bpp(records),
                "psnr": sum(record.psnr for record in records) / len(records),
                "bytes": sum(record.bytes for record in records),
            }
        )
    return pd.DataFrame(rows)


def write_results(table: pd.DataFrame, folder: Path) -> None:
    """Leave ``results.parquet`` and ``results.csv`` in ``folder``."""
    import io

    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    write_atomically(folder / "results.parquet", buffer.getvalue())
    write_atomically(folder / "results.csv", table.to_csv(index=False, float_format="%.6g"))


def read_results(folder: Path) -> pd.DataFrame:
    """The rows that :func:`write_results` left in ``folder``; InputError if there are none."""
    path = folder / "results.parquet"
    if not path.is_file():
        raise InputError(f"{folder}: no results here; run 'ratewise study run' first")
    import pandas as pd

    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:  # pyarrow's errors are ValueErrors
        raise InputError(
            f"{path}: is damaged ({error}); run 'ratewise study run' again to restore it"
        ) from None


class _Stores:
    """Reads each store's records once."""

    def __init__(self, plan: Plan, cache: Cache) -> None:
        self._plan, self._cache = plan, cache
        self._records: dict[str, Sequence[Record]] = {}

    def records(self, name: str) -> Sequence[Record]:
        if name not in self._records:
            store = open_store(self._cache.folder(self._plan.stages[name]) / STORE)
            self._records[name] = store.records
        return self._records[name]


def _row(
    settings: StudySettings, run: Run, plan: Plan, cache: Cache, stores: _Stores
) -> dict[str, Any]:
    configuration = Configuration.parse(run.configuration)
    share = Fraction(plan.stages[run.train].params["share"])
    train_all = stores.records(run.train_store)
    train = [train_all[index] for index in share_indices(len(train_all), share, run.seed)]
    test = stores.records(run.test_store)
    train_bytes = sum(record.bytes for record in train)
    compressed = run.train_codec != LOSSLESS
    metrics = read_json(cache.folder(plan.stages[run.evaluate]) / METRICS)
    return {
        "study": settings.name,
        "data": settings.data.name,
        "prepare": settings.prepare.label,
        "task": settings.task.kind,
        "model": f"{settings.task.architecture} {settings.task.encoder}",
        "recipe": run.recipe,
        "seed": run.seed,
        "train_channel": configuration.train,
        "train_codec": run.train_codec,
        "train_share": configuration.share_name,
        "test_channel": configuration.test,
        "test_codec": run.test_codec,
        "train_images": len(train),
        "train_bpp": _bpp(train),
        "test_bpp": _bpp(test),
        "bytes_compressed": train_bytes if compressed else 0,
        "bytes_privileged": 0 if compressed else train_bytes,
        "bytes_auxiliary": 0,
        "restorer_overlap": 0,
        "train_psnr": sum(record.psnr for record in train) / len(train),
        "test_psnr": sum(record.psnr for record in test) / len(test),
        **metrics,
    }


def _bpp(records: Sequence[Record]) -> float:
    pixels = sum(record.width * record.height for record in records)
    return bits_per_pixel(sum(record.bytes for record in records), pixels, 1)
