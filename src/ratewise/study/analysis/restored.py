"""What restoration did to the images of a run: PSNR and MS-SSIM before and after."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ratewise.metrics.rate import bits_per_pixel
from ratewise.study.cache import Cache
from ratewise.study.channels import AUXILIARY, Configuration, percent
from ratewise.study.outputs import QUALITY
from ratewise.study.plan import Plan
from ratewise.study.quality import read_quality
from ratewise.study.settings import StudySettings
from ratewise.study.stage_stores import StageStores

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    *("codec", "split", "restorer", "channel", "adversarial", "images", "bpp"),
    *("psnr_before", "psnr_after", "ms_ssim_db_before", "ms_ssim_db_after"),
)


def restored_quality(settings: StudySettings, plan: Plan, cache: Cache) -> pd.DataFrame:
    """One row per finished restored store: means over its images, without those that the restorer
    was trained on (with them, where there are no others).

    ``channel`` is ``R``, ``A`` or ``r@12.5%``, ``restorer`` its name, ``adversarial`` whether it
    was trained against discriminators, ``bpp`` the rate of what was restored; PSNR and MS-SSIM
    in dB against the originals, the latter NaN where no image is large enough for it. Empty, with
    these columns, for a study without restoration.
    """
    import pandas as pd

    reader = StageStores(plan, cache)
    restorers = settings.restoration.restorers if settings.restoration else {}
    rows = []
    for name, (restorer, channel) in _stores(plan).items():
        stage = plan.stages[name]
        if not cache.is_complete(stage):
            continue
        made_of = reader.made_of(stage)
        records = reader.records(made_of.fingerprint)
        images = read_quality(cache.folder(stage) / QUALITY)
        chosen = [image for image in images if not image.seen] or images
        row: dict[str, Any] = {
            "codec": made_of.params["codec"],
            "split": plan.stages[stage.inputs["originals"]].params["split"],
            "restorer": restorer,
            "channel": channel,
            "adversarial": restorers[restorer].adversarial,
            "images": len(chosen),
            "bpp": bits_per_pixel(
                sum(r.bytes for r in records), sum(r.width * r.height for r in records), 1
            ),
        }
        for column in COLUMNS[len(row) :]:
            row[column] = _mean(getattr(image, column) for image in chosen)
        rows.append(row)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _stores(plan: Plan) -> dict[str, tuple[str, str]]:
    """The restorer's name and the channel of each restored store that models are trained or tested
    on, or that is analysed."""
    found: dict[str, tuple[str, str]] = {}
    for run in plan.runs:
        configuration = Configuration.parse(run.configuration)
        share = configuration.train.share
        for store, letter in (
            (run.train_store, configuration.train.letter[-1]),
            (run.test_store, configuration.test.letter),
        ):
            if plan.stages[store].kind == "restore":
                shared = share is not None and letter != AUXILIARY
                channel = f"r@{percent(share)}" if shared and share else letter
                found.setdefault(store, (run.restorer, channel))
    for one in plan.analyses:
        if plan.stages[one.images].kind == "restore":
            found.setdefault(one.images, (one.restorer, one.channel))
    return found


def _mean(values: Iterable[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan
