"""The cost of collecting data (driving paper, section V-D and Fig. 9), per point of a study.

The cost of a point is the bytes of its compressed images and of the originals that the task and
its restorers are trained on; those of an auxiliary data set are free, unless they are asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ratewise import codecs
from ratewise.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

ORIGINALS = "originals"
"""The codec of a point that no codec touched."""


@dataclass(frozen=True)
class Sample:
    """One trained model: its number of training images, their cost in bytes, its accuracy (0
    to 1)."""

    seed: int
    images: int
    cost: float
    accuracy: float


@dataclass(frozen=True)
class Point:
    """One configuration at one codec: the models that differ in their seed alone.

    ``configuration`` (``RO#500kB``) is ``curve`` (``RO``) and ``part`` (``#500kB``): points of
    one curve and codec differ in how many images were used. ``test`` is the test channel's letter,
    ``bpp`` the rate of the training images as they were collected.
    """

    curve: str
    part: str
    codec: str
    test: str
    bpp: float
    samples: tuple[Sample, ...]

    @property
    def configuration(self) -> str:
        """The configuration's name."""
        return self.curve + self.part

    @property
    def family(self) -> str:
        """The codec without its operating point."""
        parts = dict.fromkeys(_family(part) for part in self.codec.split(" to "))
        return " to ".join(parts)

    @property
    def images(self) -> float:
        """Training images, the mean over seeds."""
        return fmean(sample.images for sample in self.samples)

    @property
    def cost(self) -> float:
        """Bytes to collect, the mean over seeds."""
        return fmean(sample.cost for sample in self.samples)

    @property
    def accuracy(self) -> float:
        """The mean over seeds."""
        return fmean(sample.accuracy for sample in self.samples)

    @property
    def std(self) -> float:
        """Sample standard deviation over seeds; NaN for one seed."""
        values = [sample.accuracy for sample in self.samples]
        return stdev(values) if len(values) > 1 else float("nan")


_SCORES = ("miou", "top1")
"""The columns that may hold the accuracy: of a segmentation, of a classification."""


def cost_points(results: pd.DataFrame, *, auxiliary: bool = False) -> list[Point]:
    """The points of result rows with an accuracy (mIoU or top-1), in the order of the rows.

    With ``auxiliary`` the bytes of auxiliary data sets are counted too. A model that was not
    trained here has no cost that could be compared, and is left out.
    """
    rows: list[dict[str, Any]] = results.to_dict("records")  # type: ignore[assignment]
    score = next((name for name in _SCORES if name in results and results[name].notna().any()), "")
    rows = [row for row in rows if score and row[score] == row[score] and row["train_images"]]
    varying = {
        name
        for name in ("recipe", "restorer")
        if len({_text(row, name) for row in rows} - {""}) > 1
    }
    found: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault((*_curve(row, varying), _codec(row)), []).append(row)
    return [
        Point(
            curve,
            part,
            codec,
            str(group[0]["test_channel"]),
            fmean(float(row["train_bpp"]) for row in group),
            tuple(_sample(row, score, auxiliary) for row in group),
        )
        for (curve, part, codec), group in found.items()
    ]


def reference_cost(points: Iterable[Point]) -> float | None:
    """The bytes of OO on all originals, which costs are a percentage of; None without it."""
    return next((p.cost for p in points if p.curve[:2] == "OO" and not p.part), None)


class Priced(Protocol):
    """What has a cost in bytes and an accuracy."""

    @property
    def cost(self) -> float: ...
    @property
    def accuracy(self) -> float: ...


P = TypeVar("P", bound=Priced)


def pareto_front(points: Sequence[P]) -> list[P]:
    """Those that nothing else is at most as dear and at least as accurate as; cheapest first."""
    front: list[P] = []
    for point in sorted(points, key=lambda p: (p.cost, -p.accuracy)):
        if not front or point.accuracy > front[-1].accuracy:
            front.append(point)
    return front


def size_text(size: float) -> str:
    """``256.1 kB``: three digits or so, in powers of 1000."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= factor:
            value = size / factor
            return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f} {unit}"
    return f"{size:.0f} bytes"


def _curve(row: Mapping[str, Any], varying: set[str]) -> tuple[str, str]:
    shares, _, images = _text(row, "train_share").partition("#")
    name = f"{row['train_channel']}{row['test_channel']}{shares}"
    notes = [_text(row, key) for key in ("restorer", "recipe") if key in varying]
    notes = [note for note in notes if note]
    return name + (f"({', '.join(notes)})" if notes else ""), f"#{images}" if images else ""


def _codec(row: Mapping[str, Any]) -> str:
    sides = [
        _text(row, f"{side}_codec")
        for side in ("train", "test")
        if str(row[f"{side}_channel"]) not in ("O", "o")
    ]
    return " to ".join(dict.fromkeys(side for side in sides if side)) or ORIGINALS


def _sample(row: Mapping[str, Any], score: str, auxiliary: bool) -> Sample:
    kinds = ("compressed", "privileged", *(("auxiliary",) if auxiliary else ()))
    cost = sum(float(row[f"bytes_{kind}"]) for kind in kinds)
    return Sample(int(row["seed"]), int(row["train_images"]), cost, float(row[score]))


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name, "")
    return value if isinstance(value, str) else ""  # an empty cell of a CSV file is NaN


def _family(codec: str) -> str:
    try:
        return codecs.family(codec)
    except InputError:  # rows of a codec that is not installed here are still compared
        return codec.split(":")[0]
