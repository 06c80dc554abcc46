"""Joint codecs as documents have them, from the files that their training writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import permutations
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING

from ratewise.metrics.paired import student
from ratewise.report.analysis.table import signed_estimate
from ratewise.report.csv_rows import read_rows
from ratewise.report.text import markdown, number, points, signed

if TYPE_CHECKING:
    import pandas as pd

_MODULES = ("aggregation", "quantisation", "enhancement")

_CODEC = ("variant", "lambda", "seed", *_MODULES)

SEGMENTATION = (*_CODEC, "miou", "pixel_accuracy")
"""Columns that tell ``segmentation.csv``."""

PICTURES = (*_CODEC, "images", "bpp", "bpp_semantic", "psnr", "psnr_plain")
"""Columns that tell ``pictures.csv``."""

_CLASS = "iou:"

_MEANS = {"miou": "Cla-IoU", "miou_categories": "Cat-IoU"}


@dataclass(frozen=True)
class JointResults:
    """What was measured of the codecs of a run: their maps and their pictures."""

    segmentation: pd.DataFrame
    pictures: pd.DataFrame

    @property
    def tables(self) -> Mapping[str, Callable[[], str]]:
        """What makes the Markdown of each kind of table."""
        return {
            "ablations": self.ablations,
            "joint-modules": self.modules,
            "joint-rates": self.rates,
        }

    @property
    def figures(self) -> Mapping[str, Callable[[Path], None]]:
        """None."""
        return {}

    def ablations(self) -> str:
        """Per-class IoU, and the means over classes and categories (tables 1 and 2 of Chen et al.
        2021), in points: means over seeds, and of the means the standard deviation too."""
        rows = self.segmentation
        classes = [name for name in rows.columns if name.startswith(_CLASS)]
        means = [name for name in _MEANS if name in rows]
        header = ["variant", "lambda", *(name.removeprefix(_CLASS) for name in classes)]
        header += [*(_MEANS[name] for name in means), "seeds"]
        body = [
            [
                str(variant),
                f"{lambda_:g}",
                *(points(of_seeds[name].mean()) for name in classes),
                *(points(of_seeds[name].mean(), of_seeds[name].std()) for name in means),
                str(len(of_seeds)),
            ]
            for (variant, lambda_), of_seeds in rows.groupby(["variant", "lambda"], sort=False)
        ]
        return markdown(header, body, left=(0,))

    def modules(self) -> str:
        """What each module changes where nothing else differs, paired by seed: in points, with
        Student's interval over the seeds."""
        means = [name for name in _MEANS if name in self.segmentation]
        header = ["with it", "without", "lambda", *(_MEANS[name] for name in means), "seeds"]
        body = []
        for module, lambda_, has, lacks in _pairs(self.segmentation):
            paired = has.set_index("seed").join(
                lacks.set_index("seed"), how="inner", rsuffix=" without"
            )
            if paired.empty:
                continue
            names = [f"{one['variant'].iloc[0]}" for one in (has, lacks)]
            changes = (student(paired[name] - paired[f"{name} without"]) for name in means)
            body.append(
                [module, *names, f"{lambda_:g}", *map(signed_estimate, changes), str(len(paired))]
            )
        return markdown(["module", *header], body, left=(0, 1, 2))

    def rates(self) -> str:
        """Rates of the files and their semantic parts; quality with and without enhancement, and
        what is gained with the map of another image: means over seeds."""
        header = ["images", "variant", "lambda", "bpp", "of it semantic", "PSNR (dB)"]
        header += ["plain", "gain", "with another map", "MS-SSIM (dB)", "plain", "gain", "seeds"]
        body = []
        by = ["images", "variant", "lambda"]
        for (images, variant, lambda_), of_seeds in self.pictures.groupby(by, sort=False):
            one = of_seeds.select_dtypes("number").mean()
            body.append(
                [
                    str(images),
                    str(variant),
                    f"{lambda_:g}",
                    number(one["bpp"], 3),
                    number(one["bpp_semantic"], 3),
                    *_with_and_without(one["psnr"], one["psnr_plain"]),
                    signed(one.get("psnr_other_map", nan) - one["psnr_plain"], 3, ""),
                    *_with_and_without(one["ms_ssim_db"], one["ms_ssim_db_plain"]),
                    str(len(of_seeds)),
                ]
            )
        return markdown(header, body, left=(0, 1))


def _with_and_without(enhanced: float, plain: float) -> list[str]:
    return [number(enhanced, 2), number(plain, 2), signed(enhanced - plain, 3, "")]


def _pairs(rows: pd.DataFrame) -> Iterator[tuple[str, float, pd.DataFrame, pd.DataFrame]]:
    """Module and lambda, and the rows of two variants that differ in that module alone: of the one
    that has it, and of the one that lacks it."""
    for module in _MODULES:
        others = [name for name in _MODULES if name != module]
        for lambda_ in sorted(set(rows["lambda"])):
            same = rows[rows["lambda"] == lambda_]
            variants = [found for _, found in same.groupby("variant", sort=False)]
            for has, lacks in permutations(variants, 2):
                differs = has[module].iloc[0] and not lacks[module].iloc[0]
                if differs and (has[others].iloc[0] == lacks[others].iloc[0]).all():
                    yield module, lambda_, has, lacks


def read_joint(path: Path, segmentation: pd.DataFrame) -> JointResults:
    """The results of ``segmentation``, which is ``NAME.csv``, and of ``NAME-pictures.csv``.

    Raises :class:`ratewise.errors.InputError` for a file that is missing or is something else.
    """
    beside = path.with_name(f"{path.stem}-pictures.csv")
    return JointResults(segmentation, read_rows(beside, "pictures of joint codecs", PICTURES))
