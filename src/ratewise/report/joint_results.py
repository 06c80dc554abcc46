"""Joint codecs as documents have them, from the files that their training writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ratewise.report.csv_rows import read_rows
from ratewise.report.text import markdown, number, points

if TYPE_CHECKING:
    import pandas as pd

SEGMENTATION = ("variant", "lambda", "miou", "pixel_accuracy")
"""Columns that tell ``segmentation.csv``."""

PICTURES = ("variant", "lambda", "images", "bpp", "bpp_semantic", "psnr", "psnr_plain")
"""Columns that tell ``pictures.csv``."""

_CLASS = "iou:"


@dataclass(frozen=True)
class JointResults:
    """What was measured of the codecs of a run: their maps and their pictures."""

    segmentation: pd.DataFrame
    pictures: pd.DataFrame

    @property
    def tables(self) -> Mapping[str, Callable[[], str]]:
        """What makes the Markdown of each kind of table."""
        return {"ablations": self.ablations, "joint-rates": self.rates}

    @property
    def figures(self) -> Mapping[str, Callable[[Path], None]]:
        """None."""
        return {}

    def ablations(self) -> str:
        """Per-class IoU, and the means over classes and categories (tables 1 and 2 of Chen et al.
        2021), in points."""
        rows = self.segmentation
        classes = [name for name in rows.columns if name.startswith(_CLASS)]
        means = ["miou", *(["miou_categories"] if "miou_categories" in rows else [])]
        titles = {"miou": "Cla-IoU", "miou_categories": "Cat-IoU"}
        header = ["variant", "lambda", *(name.removeprefix(_CLASS) for name in classes)]
        header += [titles[name] for name in means]
        body = [
            [
                str(row["variant"]),
                f"{row['lambda']:g}",
                *(points(row[name]) for name in (*classes, *means)),
            ]
            for _, row in rows.iterrows()
        ]
        return markdown(header, body, left=(0,))

    def rates(self) -> str:
        """Rates of the files and their semantic parts; quality with and without enhancement."""
        header = ["images", "variant", "lambda", "bpp", "of it semantic", "PSNR (dB)"]
        header += ["plain", "gain", "MS-SSIM (dB)", "plain"]
        body = [
            [
                str(row["images"]),
                str(row["variant"]),
                f"{row['lambda']:g}",
                number(row["bpp"], 3),
                number(row["bpp_semantic"], 3),
                number(row["psnr"], 2),
                number(row["psnr_plain"], 2),
                number(row["psnr"] - row["psnr_plain"], 2),
                number(row["ms_ssim_db"], 2),
                number(row["ms_ssim_db_plain"], 2),
            ]
            for _, row in self.pictures.iterrows()
        ]
        return markdown(header, body, left=(0, 1))


def read_joint(path: Path, segmentation: pd.DataFrame) -> JointResults:
    """The results of ``segmentation``, which is ``NAME.csv``, and of ``NAME-pictures.csv``.

    Raises :class:`ratewise.errors.InputError` for a file that is missing or is something else.
    """
    beside = path.with_name(f"{path.stem}-pictures.csv")
    return JointResults(segmentation, read_rows(beside, "pictures of joint codecs", PICTURES))
