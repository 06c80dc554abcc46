"""Result rows: one per configuration, codec, recipe and seed, from the finished stages of a plan.

The columns are fixed (DESIGN.md), and ``restorer`` (the restorer's name, empty without one) comes
after them; a report, a table or a plot is a query over them. ``originals`` is what originals are
called, where a study says so.

``train_bpp`` and ``test_bpp`` are measured from the files that exist: eight times their bytes by
their pixels, for originals too, which are stored as PNG; those of a restored image are the
compressed file's it was made from. Where a codec is the model itself (recipe ``bitstream``),
``model`` is its name, and the bytes of the test images are those that the recipe counts. What was
collected to train the model, restorers included, is counted in :mod:`ratewise.study.accounting`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ratewise.data.manifest import Record
from ratewise.errors import InputError
from ratewise.files import read_json, write_atomically
from ratewise.metrics.rate import bits_per_pixel
from ratewise.study.accounting import account
from ratewise.study.bitstreams import predicted_bytes
from ratewise.study.cache import Cache
from ratewise.study.channels import AUXILIARY, LOSSLESS, Configuration, percent
from ratewise.study.outputs import ANALYSIS, METRICS
from ratewise.study.outputs import MODEL as MODEL
from ratewise.study.outputs import STORE as STORE
from ratewise.study.outputs import prediction_path as prediction_path
from ratewise.study.outputs import shown_indices as shown_indices
from ratewise.study.plan import Plan, Run, Stage
from ratewise.study.settings import StudySettings
from ratewise.study.stage_stores import StageStores

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
    "restorer",
)


def results_table(settings: StudySettings, plan: Plan, cache: Cache) -> pd.DataFrame:
    """The rows of every run whose stages are finished, in the plan's order."""
    import pandas as pd

    reader = StageStores(plan, cache)
    finished = [run for run in plan.runs if cache.is_complete(plan.stages[run.evaluate])]
    rows = [_row(settings, run, plan, cache, reader) for run in finished]
    table = pd.DataFrame(rows)
    return table if rows else pd.DataFrame(columns=list(COLUMNS))


def rates_table(
    settings: StudySettings, plan: Plan, cache: Cache, *, restored: bool = False
) -> pd.DataFrame:
    """One row per finished store of training or test images: codec, split, images, bpp, psnr
    (dB), bytes. Stores that only restorers are trained on have none.

    With ``restored``, restored stores too: at the rate of what they were made from, the PSNR that
    of the images against their originals (without those that their restorer was trained on). Two
    columns more say how: ``restorer`` and ``channel`` (``R``, ``A``, ``r@12.5%``).
    """
    import pandas as pd

    reader = StageStores(plan, cache)
    names = _restored_stores(plan) if restored else {}
    kinds = ("prepare", "compress", "restore") if restored else ("prepare", "compress")
    used = {
        _originals(plan.stages[store])
        for run in plan.runs
        for store in (run.train_store, run.test_store)
    }
    rows = []
    for stage in plan.stages.values():
        if stage.kind not in kinds or not cache.is_complete(stage):
            continue
        if _originals(stage) not in used:
            continue
        origin = plan.stages[_originals(stage)]
        made_of = reader.made_of(stage)
        records = reader.records(made_of.fingerprint)
        kept = [i for i in range(len(records)) if not reader.seen(stage, i)]
        psnrs = reader.psnrs(stage, kept or range(len(records)))
        row = {
            "codec": made_of.params["codec"] if made_of.kind == "compress" else LOSSLESS,
            "split": origin.params["split"],
            "images": len(records),
            "bpp": _bpp(records),
            "psnr": sum(psnrs) / len(psnrs),
            "bytes": sum(record.bytes for record in records),
        }
        if restored:
            row["restorer"], row["channel"] = names.get(stage.fingerprint, ("", ""))
        rows.append(row)
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


def _originals(stage: Stage) -> str:
    """The fingerprint of the stage that prepared the images of a stage's store."""
    return stage.fingerprint if stage.kind == "prepare" else stage.inputs["originals"]


def _restored_stores(plan: Plan) -> dict[str, tuple[str, str]]:
    """The restorer's name and the channel of each restored store, as the runs call it."""
    names: dict[str, tuple[str, str]] = {}
    for run in plan.runs:
        configuration = Configuration.parse(run.configuration)
        share = configuration.train.share
        for store, side in (
            (run.train_store, configuration.train.letter),
            (run.test_store, configuration.test.letter),
        ):
            label = side if share is None or side == AUXILIARY else f"{side}@{percent(share)}"
            names.setdefault(store, (run.restorer, label))
    for one in plan.analyses:
        names.setdefault(one.images, (one.restorer, one.channel))
    return {store: name for store, name in names.items() if plan.stages[store].kind == "restore"}


def _row(
    settings: StudySettings, run: Run, plan: Plan, cache: Cache, stores: StageStores
) -> dict[str, Any]:
    configuration = Configuration.parse(run.configuration)
    collected = account(run, plan, stores)
    metrics = read_json(cache.folder(plan.stages[run.evaluate]) / METRICS)
    counted = predicted_bytes(run, settings, plan, cache)
    sizes = [record.bytes for record in collected.test] if counted is None else counted
    pixels = sum(record.width * record.height for record in collected.test)
    return {
        "study": settings.name,
        "data": settings.data.name,
        "prepare": settings.prepare.label,
        "task": settings.task.kind,
        "model": settings.task.title if counted is None else run.test_codec.partition(":")[0],
        "recipe": run.recipe,
        "seed": run.seed,
        "train_channel": configuration.train.letter,
        "train_codec": run.train_codec,
        "train_share": configuration.share_name,
        "test_channel": configuration.test.letter,
        "test_codec": run.test_codec,
        "train_images": len(collected.train),
        "train_bpp": _bpp(collected.train),
        "test_bpp": bits_per_pixel(sum(sizes), pixels, 1),
        "bytes_compressed": collected.bytes_compressed,
        "bytes_privileged": collected.bytes_privileged,
        "bytes_auxiliary": collected.bytes_auxiliary,
        "restorer_overlap": collected.overlap,
        "restorer": run.restorer,
        "train_psnr": collected.train_psnr,
        "test_psnr": collected.test_psnr,
        "test_bytes_per_image": sum(sizes) / len(sizes),
        **_similarity(run, plan, cache),
        **({"originals": settings.originals} if settings.originals else {}),
        **metrics,
    }


def _similarity(run: Run, plan: Plan, cache: Cache) -> dict[str, float]:
    """``test_ssim``, where the study has it measured and it is."""
    for one in plan.analyses:
        if (one.kind, one.images) == ("distortion", run.test_store):
            if not cache.is_complete(plan.stages[one.stage]):
                return {"test_ssim": float("nan")}
            return {"test_ssim": read_json(cache.folder(plan.stages[one.stage]) / ANALYSIS)["ssim"]}
    return {}


def _bpp(records: Sequence[Record]) -> float:
    if not records:  # the training images of a model that was not trained here
        return float("nan")
    pixels = sum(record.width * record.height for record in records)
    return bits_per_pixel(sum(record.bytes for record in records), pixels, 1)
