"""What the finished stages of a study's analyses found, as tables.

Every table has ``codec`` (``png`` for originals), ``bpp`` (of the test images), ``channel`` (``O``,
``C``, ``R``, ``A``, ``r@12.5%``), ``restorer`` and ``adversarial`` (whether that was trained
against a discriminator) first, and a row per set of test images; those of single images and of
channels have more.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ratewise.data.store import open_store
from ratewise.files import read_json, write_atomically
from ratewise.metrics.agreement import concordance, relative_deviation
from ratewise.metrics.information import information_loss
from ratewise.study.analysis.pooled import pooled_recipes
from ratewise.study.cache import Cache
from ratewise.study.channels import COMPRESSED, ORIGINAL
from ratewise.study.image_rows import read_rows, value_of
from ratewise.study.outputs import ANALYSIS, IMAGES, STORE
from ratewise.study.plan import Analysis, Plan
from ratewise.study.settings import StudySettings
from ratewise.study.stage_stores import StageStores

if TYPE_CHECKING:
    import pandas as pd

FOLDER = "analysis"
"""The folder of a run that holds the tables as CSV files."""


@dataclass(frozen=True)
class Findings:
    """Tables, each empty where nothing of it was asked for or finished.

    - ``perception``: images, size, means of hosa, niqe, psnr (dB), ms_ssim_db, rmse (8-bit levels);
      kid, kid_deviation; success_rate with its 95 % interval ``success_low`` to ``success_high``;
    - ``perception_images``: key, hosa, niqe, psnr, ms_ssim_db of each image;
    - ``features``: layer, stride, images, concordance and deviation from the originals' (see
      :mod:`ratewise.metrics.agreement`);
    - ``channels``: the average activation of each channel, and the originals';
    - ``information``: bits per pixel: cross_entropy_oo, cross_entropy_cc, loss with its interval
      ``low`` to ``high``, and loss_uncalibrated; seeds, images, mean temperatures;
    - ``pooled``: expert training against fine-tuning, see
      :mod:`ratewise.study.analysis.pooled`; it has none of the columns above;
    - ``timing``: median milliseconds of encode, decode, restore, segment; images, size, machine.

    ``absent`` are the titles of the stages that were asked for and are not finished; ``notes`` say
    why a perceptual index has no value.
    """

    perception: pd.DataFrame
    perception_images: pd.DataFrame
    features: pd.DataFrame
    channels: pd.DataFrame
    information: pd.DataFrame
    timing: pd.DataFrame
    pooled: pd.DataFrame
    absent: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """The tables that are not empty, by name."""
        import pandas as pd

        found = {field.name: getattr(self, field.name) for field in fields(self)}
        return {k: v for k, v in found.items() if isinstance(v, pd.DataFrame) and not v.empty}


def read_findings(settings: StudySettings, plan: Plan, cache: Cache) -> Findings:
    """What the finished analyses of a plan found."""
    import pandas as pd

    reader = _Reader(settings, plan, cache)
    absent = tuple(
        plan.stages[one.stage].title
        for one in plan.analyses
        if not cache.is_complete(plan.stages[one.stage])
    )
    return Findings(
        pd.DataFrame([reader.perception(*found) for found in reader.finished("perception")]),
        pd.DataFrame([row for one in reader.finished("perception") for row in reader.images(*one)]),
        pd.DataFrame(list(reader.features())),
        pd.DataFrame(list(reader.channels())),
        pd.DataFrame(list(reader.information())),
        pd.DataFrame([reader.timing(*found) for found in reader.finished("timing")]),
        pd.DataFrame(list(pooled_recipes(settings, plan, cache))),
        tuple(dict.fromkeys(absent)),
        reader.notes(),
    )


def write_findings(findings: Findings, folder: Path) -> None:
    """Leave ``analysis/<table>.csv`` in the folder of a run."""
    for name, table in findings.tables.items():
        text = table.to_csv(index=False, float_format="%.6g")
        write_atomically(folder / FOLDER / f"{name}.csv", text)


_Found = tuple[Analysis, dict[str, Any]]


class _Reader:
    def __init__(self, settings: StudySettings, plan: Plan, cache: Cache) -> None:
        self._settings, self._plan, self._cache = settings, plan, cache
        self._stores = StageStores(plan, cache)

    def finished(self, kind: str) -> Iterator[_Found]:
        """The analyses of a kind whose stage is finished, and what it found."""
        for one in self._plan.analyses:
            stage = self._plan.stages[one.stage]
            if one.kind == kind and self._cache.is_complete(stage):
                yield one, read_json(self._cache.folder(stage) / ANALYSIS)

    def perception(self, one: Analysis, found: dict[str, Any]) -> dict[str, Any]:
        kid, rate = found.get("kid") or {}, found.get("success_rate") or {}
        rows = list(self._image_rows(one))
        return {
            **self._of(one),
            "images": found["images"],
            "size": ", ".join(found["sizes"]),
            **{name: _number(found.get(name)) for name in ("hosa", "niqe", "psnr", "ms_ssim_db")},
            "rmse": _mean([255 * 10 ** (-value_of(row["psnr"]) / 20) for row in rows]),
            "kid": _number(kid.get("value")),
            "kid_deviation": _number(kid.get("deviation")),
            "success_rate": _number(rate.get("value")),
            "success_low": _number(rate.get("low")),
            "success_high": _number(rate.get("high")),
        }

    def images(self, one: Analysis, found: dict[str, Any]) -> Iterator[dict[str, Any]]:
        for row in self._image_rows(one):
            values = {name: value_of(row[name]) for name in ("hosa", "niqe", "psnr", "ms_ssim_db")}
            yield {**self._of(one), "key": row["key"], **values}

    def features(self) -> Iterator[dict[str, Any]]:
        for one, found, reference in self._compared():
            yield {
                **self._of(one),
                "layer": found["layer"],
                "stride": found["stride"],
                "images": found["images"],
                "channels": len(found["channels"]),
                "concordance": concordance(reference, found["channels"]),
                "deviation": relative_deviation(reference, found["channels"]),
            }

    def channels(self) -> Iterator[dict[str, Any]]:
        for one, found, reference in self._compared():
            for number, (value, original) in enumerate(
                zip(found["channels"], reference, strict=True)
            ):
                yield {**self._of(one), "number": number, "original": original, "value": value}

    def information(self) -> Iterator[dict[str, Any]]:
        """A row per codec, from the seeds that have both models."""
        found = {
            (one.codec, one.seed): (one, value) for one, value in self.finished("cross_entropy")
        }
        originals = {seed: v for (_, seed), v in found.items() if v[0].channel == ORIGINAL}
        for codec in dict.fromkeys(codec for codec, _ in found):
            compressed = {
                seed: value
                for (spec, seed), value in found.items()
                if spec == codec and value[0].channel == COMPRESSED
            }
            seeds = [seed for seed in compressed if seed in originals]
            if seeds:
                yield self._information(
                    [originals[seed] for seed in seeds], [compressed[seed] for seed in seeds]
                )

    def _information(self, oo: Sequence[_Found], cc: Sequence[_Found]) -> dict[str, Any]:
        rows = [[list(self._image_rows(one)) for one, _ in side] for side in (oo, cc)]

        def column(side: int, name: str) -> Any:
            return np.array([[value_of(row[name]) for row in image] for image in rows[side]])

        pixels = column(0, "pixels")[0]
        _, frames = np.unique([row["frame"] for row in rows[0][0]], return_inverse=True)
        loss = information_loss(column(0, "bits"), column(1, "bits"), pixels, frames)
        plain = column(1, "bits_uncalibrated") - column(0, "bits_uncalibrated")
        of_oo, of_cc = (float(column(i, "bits").sum(1).mean() / pixels.sum()) for i in (0, 1))
        return {
            **self._of(cc[0][0]),
            "seeds": len(loss.seeds),
            "images": len(pixels),
            "frames": loss.units,
            "cross_entropy_oo": of_oo,
            "cross_entropy_cc": of_cc,
            "loss": loss.mean,
            "low": loss.low,
            "high": loss.high,
            "loss_uncalibrated": float(plain.sum(1).mean() / pixels.sum()),
            "temperature_oo": _mean([t for _, f in oo for t in f["temperatures"]]),
            "temperature_cc": _mean([t for _, f in cc for t in f["temperatures"]]),
            "class_weights": getattr(self._settings.task, "class_weights", None) is not None,
        }

    def timing(self, one: Analysis, found: dict[str, Any]) -> dict[str, Any]:
        steps, machine = found["milliseconds"], found["machine"]
        return {
            **self._of(one),
            "images": found["images"],
            "repeats": found["repeats"],
            "size": found["size"],
            **{name: steps.get(name, math.nan) for name in ("encode", "decode", "restore")},
            "segment": steps["segment"],
            "total": sum(steps.values()),
            "machine": f"{machine['processor']}, {machine['threads']} threads, "
            f"{machine['device']}, torch {machine['torch']}",
        }

    def notes(self) -> tuple[str, ...]:
        names = {"hosa": "HOSA", "niqe": "NIQE", "kid": "patch KID", "success_rate": "success rate"}
        said = {
            f"No {names[name]}: {reason}."
            for _, found in self.finished("perception")
            for name, reason in found["missing"].items()
        }
        return tuple(sorted(said))

    def _compared(self) -> Iterator[tuple[Analysis, dict[str, Any], list[float]]]:
        """The features of each set but the originals, with theirs."""
        found = list(self.finished("features"))
        reference = next((v["channels"] for one, v in found if one.channel == ORIGINAL), None)
        for one, value in found:
            if reference is not None and one.channel != ORIGINAL:
                yield one, value, reference

    def _image_rows(self, one: Analysis) -> Iterator[dict[str, str]]:
        return read_rows(self._cache.folder(self._plan.stages[one.stage]) / IMAGES)

    def _of(self, one: Analysis) -> dict[str, Any]:
        made_of = self._stores.made_of(self._plan.stages[one.images])
        restoration = self._settings.restoration
        restorer = restoration.restorers.get(one.restorer) if restoration else None
        return {
            "codec": one.codec,
            "bpp": open_store(self._cache.folder(made_of) / STORE).bpp,
            "channel": one.channel,
            "restorer": one.restorer,
            "adversarial": bool(restorer and restorer.adversarial),
        }


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan
