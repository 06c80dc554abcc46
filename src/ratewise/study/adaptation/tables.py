"""The tables of a comparison of adaptations, from what was measured of each image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ratewise.codecs.bdrate import compare
from ratewise.errors import InputError
from ratewise.files import write_atomically
from ratewise.metrics.bjontegaard import curve
from ratewise.metrics.crossing import rate_at
from ratewise.study.adaptation.settings import Cell, ForgettingSettings

if TYPE_CHECKING:
    import pandas as pd

SOURCE = "source"
"""The domain that the codecs were trained for, and the label of the codec as it was."""

BEFORE, ADAPTED, AUTO = "source", "adapted", "auto"
"""Who codes an image: the source, the adapted codec, or for each image whichever of the two has the
least lambda D + R."""

_CELL = ("target", "label", "method", "size", "images")
POINTS = (
    *(*_CELL, "quality", "domain", "choice"),
    *("bpp", "psnr", "ms_ssim", "ms_ssim_db", "cost", "test_images"),
)
"""The columns of points.csv, means over the test images. ``method`` has ``cawf_maps`` beside
``cawf``; ``size`` is the share of the source's parameters that is added or changed, ``domain``
target or source, ``cost`` lambda D + R."""

BDRATE = (
    *(*_CELL, "domain", "choice", "qualities"),
    *("bd_rate_percent", "bd_psnr_db", "ms_ssim_bd_rate_percent"),
    *("cost_before", "cost_after", "cost_change_percent", "rate_change_percent"),
    *("kept_percent", "note"),
)
"""The columns of bdrate.csv, against the source codec. A row of several ``qualities`` ("1 2 3 4 5")
has BD-rates. One of a single quality has lambda D + R and ``rate_change_percent``: how many more
bits than the source's own curve has at the PSNR that the adapted codec reaches.
``kept_percent`` is the share of what fine-tuning everything gains from as many images."""

FORGETTING = (
    *(*_CELL, "quality", "domain", "old_files"),
    *("identical", "undecodable", "same_bytes", "psnr", "psnr_before", "drift_y", "drift_z"),
)
"""The columns of forgetting.csv: what becomes of files that the source wrote before
(:func:`ratewise.study.adaptation.measures.old_files`), and how far latents move."""

ADAPTATIONS = (
    *(*_CELL, "quality", "parameters", "file_bytes", "fingerprint", "steps"),
    *("holdout_before", "holdout_after", "helped", "file"),
)
"""The columns of adaptations.csv; ``holdout_*`` are lambda D + R of the training images held out,
before and after."""

FEWEST = 4
"""Fewer qualities have no BD-rate."""

_WHOLE = ("finetune", "all")
_MEANS = ("bpp", "psnr", "ms_ssim", "ms_ssim_db", "cost")


@dataclass(frozen=True)
class Comparison:
    """The four tables of a comparison (:data:`POINTS`, :data:`BDRATE`, :data:`FORGETTING`,
    :data:`ADAPTATIONS`)."""

    name: str
    description: str
    points: pd.DataFrame
    bdrate: pd.DataFrame
    forgetting: pd.DataFrame
    adaptations: pd.DataFrame

    def save(self, folder: Path) -> None:
        """Write them as CSV files."""
        for name in ("points", "bdrate", "forgetting", "adaptations"):
            write_atomically(folder / f"{name}.csv", getattr(self, name).to_csv(index=False))


def make_tables(
    settings: ForgettingSettings,
    cells: Sequence[tuple[Cell, Mapping[str, Any]]],
    sources: Mapping[int, Mapping[str, list[dict[str, Any]]]],
) -> Comparison:
    """The tables of what was measured of ``cells``, and of the sources of each quality."""
    import pandas as pd

    points = [
        row
        for target in (one.name for one in settings.targets)
        for row in _source_points(target, sources)
    ]
    for cell, record in cells:
        points += _points(cell, record, sources[cell.quality])
    table = pd.DataFrame(points, columns=list(POINTS))
    return Comparison(
        settings.name,
        settings.description,
        table,
        _compared(
            table, {entry.label: _is_whole(entry.settings) for entry in settings.adaptations}
        ),
        pd.DataFrame([row for c, r in cells for row in _forgetting(c, r)], columns=[*FORGETTING]),
        pd.DataFrame([_adaptation(c, r) for c, r in cells], columns=[*ADAPTATIONS]),
    )


def _is_whole(settings: Any) -> bool:
    return (settings.method, settings.part) == _WHOLE


def _cell(cell: Cell, record: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "target": cell.target,
        "label": cell.label,
        "method": cell.settings.way,
        "size": record["size"],
        "images": cell.images,
        "quality": cell.quality,
    }


def _source_points(
    target: str, sources: Mapping[int, Mapping[str, list[dict[str, Any]]]]
) -> Iterator[dict[str, Any]]:
    same = {"target": target, "label": SOURCE, "method": SOURCE, "size": 0.0, "images": 0}
    for quality, records in sources.items():
        for domain, name in (("target", target), (SOURCE, SOURCE)):
            row = {"quality": quality, "domain": domain, "choice": BEFORE}
            yield same | row | _means(records[name])


def _points(
    cell: Cell, record: Mapping[str, Any], source: Mapping[str, list[dict[str, Any]]]
) -> Iterator[dict[str, Any]]:
    for domain, name in (("target", cell.target), (SOURCE, SOURCE)):
        coded = record[domain]["coded"]
        same = _cell(cell, record) | {"domain": domain}
        yield same | {"choice": ADAPTED} | _means(coded)
        if cell.settings.method != "finetune":  # both codecs are at hand
            pairs = zip(source[name], coded, strict=True)
            best = [before if before["cost"] <= after["cost"] else after for before, after in pairs]
            yield same | {"choice": AUTO} | _means(best)


def _means(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    count = len(records)
    means = {name: sum(record[name] for record in records) / count for name in _MEANS}
    return means | {"test_images": count}


def _forgetting(cell: Cell, record: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for domain in ("target", SOURCE):
        found = record[domain]
        old = {key: value for key, value in found["old"].items() if key != "images"}
        drift = {key: found[key] for key in ("drift_y", "drift_z")}
        row = {"domain": domain, "old_files": found["old"]["images"]}
        yield _cell(cell, record) | row | old | drift


def _adaptation(cell: Cell, record: Mapping[str, Any]) -> dict[str, Any]:
    about = record["about"]
    return _cell(cell, record) | {
        **{key: record[key] for key in ("parameters", "file_bytes", "fingerprint", "file")},
        "steps": about["steps"],
        "holdout_before": about["before"]["holdout_loss"],
        "holdout_after": about["after"]["holdout_loss"],
        "helped": about["helped"],
    }


def _compared(points: pd.DataFrame, whole: Mapping[str, bool]) -> pd.DataFrame:
    """A row (:data:`BDRATE`) for each curve of enough points, and for each point."""
    import pandas as pd

    rows: list[dict[str, Any]] = []
    own = points[points["label"] != SOURCE]
    for key, group in own.groupby([*_KEYS], sort=False):
        known = dict(zip(_KEYS, key, strict=True))
        same = (points["target"] == known["target"]) & (points["domain"] == known["domain"])
        before = points[same & (points["label"] == SOURCE)]
        known["size"] = float(group["size"].mean())
        if len(group) >= FEWEST:
            rows.append(known | _curves(before, group))
        rows += [known | _point(before, row) for row in _records(group)]
    table = pd.DataFrame(rows, columns=list(BDRATE))
    numbers = [name for name in BDRATE if name.endswith(("percent", "db")) or "cost" in name]
    table = table.astype(dict.fromkeys(numbers, float))
    table["note"] = table["note"].fillna("")
    table["kept_percent"] = [_kept(table, row, whole) for row in _records(table)]
    return table


_KEYS = ("target", "label", "method", "images", "domain", "choice")


def _curves(before: pd.DataFrame, after: pd.DataFrame) -> dict[str, Any]:
    """BD-rates of a family of codecs against its source's."""
    import pandas as pd

    means = pd.concat([before, after], keys=["before", "after"]).set_index("quality", append=True)
    means.index = pd.Index([f"{which} {quality}" for which, _, quality in means.index])
    anchor = [name for name in means.index if name.startswith("before")]
    other = [name for name in means.index if name.startswith("after")]
    psnr = compare(means, anchor, other, "psnr")
    structural = compare(means, anchor, other, "ms_ssim_db")
    return {
        "qualities": " ".join(str(quality) for quality in sorted(after["quality"])),
        "bd_rate_percent": psnr.get("bd_rate_percent"),
        "bd_psnr_db": psnr.get("bd_quality_db"),
        "ms_ssim_bd_rate_percent": structural.get("bd_rate_percent"),
        "note": psnr["note"],
    }


def _point(before: pd.DataFrame, after: Mapping[str, Any]) -> dict[str, Any]:
    """What one quality gains against its source, and against the curve of all sources."""
    cost = float(before[before["quality"] == after["quality"]]["cost"].iloc[0])
    row = {
        "qualities": str(after["quality"]),
        "cost_before": cost,
        "cost_after": after["cost"],
        "cost_change_percent": 100 * (after["cost"] / cost - 1),
    }
    try:
        level = rate_at(curve(before["bpp"].to_list(), before["psnr"].to_list()), after["psnr"])
    except InputError as error:
        return row | {"note": f"no rate at equal PSNR: {error}"}
    return row | {"rate_change_percent": 100 * (after["bpp"] / level - 1)}


def _kept(table: pd.DataFrame, row: Mapping[str, Any], whole: Mapping[str, bool]) -> float:
    """The share of the gain that fine-tuning everything has where all else is the same.

    In BD-rate, of one quality in lambda D + R; NaN where fine-tuning gains nothing. On the source's
    domain there is nothing to keep.
    """
    what = "bd_rate_percent" if row["cost_after"] != row["cost_after"] else "cost_change_percent"
    if row["domain"] != "target":
        return float("nan")
    same = table["label"].map(whole).astype(bool) & (table["choice"] == ADAPTED)
    for key in ("target", "images", "domain", "qualities"):
        same &= table[key] == row[key]
    found = table[same][what].dropna()
    if found.empty or not found.iloc[0] < 0:
        return float("nan")
    return float(100 * row[what] / found.iloc[0])


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]
