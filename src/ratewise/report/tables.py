"""Queries over result rows: means and spreads over seeds, and differences paired by seed.

Nothing here formats a number; :mod:`ratewise.report.text` does.

A *point* is one configuration at one codec: the rows that differ only in their seed. In the tables
a metric ``m`` has four columns: ``m`` (mean over seeds), ``m std`` (sample standard deviation, NaN
for one seed), ``m difference`` and ``m difference std`` (to OO, paired by seed; NaN for OO).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from ratewise import codecs
from ratewise.errors import InputError
from ratewise.report.bitstreams import from_bitstreams
from ratewise.report.metric import metric_of
from ratewise.report.naming import REFERENCE, channels_of, on_originals, share

if TYPE_CHECKING:
    import pandas as pd

ORIGINALS = "originals"
"""What stands in the codec column of a point that no codec touched."""

LOSSLESS_ORIGINALS = "lossless"
"""What originals are called, unless a study says what they are."""

SETTINGS = ("data", "prepare", "task", "model", "recipe")
_TEXT = (
    *SETTINGS,
    "train_channel",
    "train_codec",
    "train_share",
    "test_channel",
    "test_codec",
    "restorer",
)
_BYTES = ("bytes_compressed", "bytes_privileged", "bytes_auxiliary")
_NUMBERS = (
    *_BYTES,
    "seed",
    "train_images",
    "train_bpp",
    "test_bpp",
    "train_psnr",
    "test_psnr",
    "test_ssim",
    "test_bytes_per_image",
)
_ORDER = (
    *("OO", "CO", "OC", "CC", "RO", "OR", "RR", "AO", "OA", "AA"),
    *("oO", "rO", "o+cO", "o+rO"),
)


def configuration_table(results: pd.DataFrame) -> pd.DataFrame:
    """One row per point: rates, the main metric and those beside it, PSNR, and the main metric of
    each class group."""
    metric = metric_of(results)
    groups = [f"{metric.of_group}{name}" for name in group_names(results)]
    return summarise(results, [metric.name, *metric.columns(results), *groups])


def class_table(results: pd.DataFrame) -> pd.DataFrame:
    """One row per point, with the score of each class as metrics ``iou:<class>`` or
    ``accuracy:<class>``."""
    prefix = metric_of(results).of_class
    return summarise(results, [f"{prefix}{name}" for name in class_names(results)])


def class_names(results: pd.DataFrame) -> list[str]:
    """The classes that the rows score, in their order."""
    return _suffixes(results, metric_of(results).of_class)


def group_names(results: pd.DataFrame) -> list[str]:
    """The class groups that the rows score, in their order."""
    return _suffixes(results, metric_of(results).of_group)


def name_of_originals(results: pd.DataFrame) -> str:
    """What the rows call their originals: their column ``originals``, ``lossless`` without it."""
    names = [*results["originals"].dropna().unique()] if "originals" in results else []
    named = [str(name) for name in names if name]
    return named[0] if len(named) == 1 else LOSSLESS_ORIGINALS


def tidy(results: pd.DataFrame) -> pd.DataFrame:
    """The rows with empty text instead of NaN, numbers as floats, and five more columns.

    ``pair`` is train and test channel (``RO``, ``o+cO``); ``configuration`` that and the shares
    (``CO#25%``), the restorer where the rows have several (``RO(rdn)``), and those of data,
    prepare, task, model and recipe that vary within ``results``; ``codec`` the codec that makes the
    point what it is (two, if training and test differ); ``family`` its name without options;
    ``rate`` its bits per pixel, on the test side if that is compressed. The rate of a mixture with
    originals is that of its compressed images, if other rows have these alone.
    """
    import pandas as pd

    rows = results.reset_index(drop=True).copy()
    for name in _TEXT:
        values = rows[name] if name in rows else pd.Series("", index=rows.index)
        rows[name] = values.astype(object).where(values.notna(), "").astype(str)
    metric = metric_of(rows)
    numbers = {*_NUMBERS, *metric.scores(rows.columns)}
    for name in rows.columns:
        if name in numbers:
            rows[name] = pd.to_numeric(rows[name], errors="coerce").astype(float)
    for name in {*_NUMBERS, metric.name} - set(rows.columns):
        rows[name] = float("nan")
    vary = [name for name in SETTINGS if rows[name].nunique() > 1]
    several = rows.loc[rows["restorer"] != "", "restorer"].nunique() > 1
    records: list[dict[str, Any]] = rows.to_dict("records")  # type: ignore[assignment]
    rows["pair"] = rows["train_channel"] + rows["test_channel"]
    rows["configuration"] = [_configuration(record, vary, several) for record in records]
    rows["codec"] = [_codec(record) for record in records]
    rows["family"] = [family(_codec(record)) for record in records]
    sent = _rates_of_compressed(rows)
    rows["rate"] = [_rate(record, sent) for record in records]
    return rows


def summarise(results: pd.DataFrame, metrics: Iterable[str]) -> pd.DataFrame:
    """One row per point, ordered for reading: originals, then by codec from high to low rate.

    ``train_percent`` is the bytes collected for training (compressed, privileged and auxiliary) in
    per cent of those of the reference (OO), ``test_percent`` the same of the test images;
    ``seeds`` counts the seeds with a main metric. A metric that no row has is NaN.
    """
    import pandas as pd

    rows = tidy(results)
    main = metric_of(results).name
    metrics = list(dict.fromkeys(metrics))
    for metric in metrics:
        if metric not in rows:
            rows[metric] = float("nan")
    references = rows[rows["pair"] + rows["train_share"] == REFERENCE]
    bases: dict[tuple[str, ...], pd.DataFrame] = {}
    points: list[dict[str, Any]] = []
    for _, group in rows.groupby(["configuration", *SETTINGS, "codec"], sort=False):
        first = group.iloc[0]
        settings = tuple(str(first[name]) for name in SETTINGS)
        if settings not in bases:
            bases[settings] = reference_rows(references, first)
        base = bases[settings]
        point: dict[str, Any] = {name: first[name] for name in (*_TEXT, *_DERIVED)}
        point["seeds"] = int(group.dropna(subset=[main])["seed"].nunique())
        for name in _MEANS:
            point[name] = float(group[name].mean())
        point["train_percent"] = 100 * _ratio(_collected(group), _collected(base))
        point["test_percent"] = 100 * _ratio(group["test_bpp"].mean(), base["test_bpp"].mean())
        # The reference is not compared with itself: its differences stay NaN.
        other = base if len(base.index.difference(group.index)) else base.iloc[:0]
        own, theirs = (part.groupby("seed")[metrics].mean() for part in (group, other))
        differences = own - theirs
        for metric in metrics:
            values, difference = own[metric].dropna(), differences[metric].dropna()
            point[metric], point[f"{metric} std"] = values.mean(), values.std()
            point[f"{metric} difference"] = difference.mean()
            point[f"{metric} difference std"] = difference.std()
        points.append(point)
    spreads = [f"{m}{s}" for m in metrics for s in ("", " std", " difference", " difference std")]
    rates = ("seeds", *_MEANS, "train_percent", "test_percent")
    columns = [*_TEXT, *_DERIVED, *rates, *spreads]
    return _ordered(pd.DataFrame(points, columns=columns))


def by_seed(rows: pd.DataFrame, metric: str) -> pd.Series[float]:
    """The metric of each seed of one point, indexed by seed; seeds without a value are left out."""
    return rows.groupby("seed")[metric].mean().dropna()


def paired_difference(rows: pd.DataFrame, reference: pd.DataFrame, metric: str) -> pd.Series[float]:
    """``rows`` minus ``reference`` for each seed that both have (tidy rows of one point each).

    Runs of one seed share their initial weights and the order of samples, so that what they have
    in common cancels out.
    """
    return (by_seed(rows, metric) - by_seed(reference, metric)).dropna()


def select(rows: pd.DataFrame, configuration: str, codec: str) -> pd.DataFrame:
    """The tidy rows of one configuration at one codec (perhaps none)."""
    return rows[(rows["configuration"] == configuration) & (rows["codec"] == codec)]


def reference_rows(rows: pd.DataFrame, point: pd.Series[Any]) -> pd.DataFrame:
    """The tidy OO rows that ``point`` is compared with: all of the originals, the same settings.

    Where its recipe has no OO of its own, the standard recipe's is taken, or else that of the
    pre-trained model that other recipes begin with.
    """
    pair = rows["train_channel"] + rows["test_channel"] + rows["train_share"]
    chosen = pair == REFERENCE
    for name in SETTINGS[:-1]:
        chosen &= rows[name] == point[name]
    for recipe in (point["recipe"], "standard"):
        same = chosen & (rows["recipe"] == recipe)
        if same.any():
            return rows[same]
    return rows[chosen & (rows["recipe"] == "pretrained")]


def with_missing(
    table: pd.DataFrame,
    codecs: Sequence[str],
    configurations: Sequence[str] = (),
    paired: Collection[str] = (),
) -> pd.DataFrame:
    """``table`` and a row of NaN for each asked combination of which there is no result.

    ``configurations`` defaults to those in the table. Combinations that need no codec are left
    alone, except that a configuration on originals asked for and absent gets its row. Of a codec
    that is a model itself no result is missed at other codecs, nor of the channels ``paired``
    (``CC``), which were asked for with codecs of their own.
    """
    import pandas as pd

    wanted = list(configurations) or list(dict.fromkeys(table["configuration"]))
    have = set(zip(table["configuration"], table["codec"], strict=True))
    read = from_bitstreams(table)  # may need a part of a file only
    rates = table.groupby("codec")["rate"].max().to_dict()
    rates |= table[~read].groupby("codec")["rate"].mean().to_dict()
    own = table[read]
    models = dict(zip(own["configuration"], own["model"], strict=True))
    missing = []
    for configuration in wanted:
        alone = on_originals(channels_of(configuration))
        for codec in [ORIGINALS] if alone else [c for c in codecs if c != "png"]:
            if models.get(configuration, name := codec.partition(":")[0]) != name:
                continue
            if configuration.partition(" · ")[0] in paired:
                continue
            if (configuration, codec) not in have:
                row = {"configuration": configuration, "codec": codec, "family": family(codec)}
                missing.append({**row, "rate": rates.get(codec, float("nan")), "seeds": 0})
    if not missing:
        return table
    extra = pd.DataFrame(missing).reindex(columns=table.columns)
    return _ordered(pd.concat([table, extra], ignore_index=True) if len(table) else extra)


def family(codec: str) -> str:
    """A codec without its operating point; two are joined where training and test differ."""
    return " to ".join(dict.fromkeys(_family(part) for part in codec.split(" to ")))


@cache
def _family(codec: str) -> str:
    try:
        return codecs.family(codec)
    except InputError:  # rows of a codec that is not installed here are still tabulated
        return codec.split(":")[0]


_DERIVED = ("configuration", "pair", "codec", "family")
_MEANS = (
    *("rate", "train_images", "train_bpp", "test_bpp"),
    *("train_psnr", "test_psnr", "test_ssim", "test_bytes_per_image"),
)


def _suffixes(results: pd.DataFrame, prefix: str) -> list[str]:
    if not prefix:
        return []
    return [str(c).removeprefix(prefix) for c in results.columns if str(c).startswith(prefix)]


def _configuration(record: dict[str, Any], vary: list[str], several: bool) -> str:
    name = record["train_channel"] + record["test_channel"] + record["train_share"]
    if several and record["restorer"]:
        name += f"({record['restorer']})"
    return " · ".join([name, *(record[key] for key in vary if record[key])])


def _codec(record: dict[str, Any]) -> str:
    sides = [
        record[f"{side}_codec"]
        for side in ("train", "test")
        if record[f"{side}_channel"].upper() != "O" and record[f"{side}_codec"]
    ]
    return " to ".join(dict.fromkeys(sides)) or ORIGINALS


def _rates_of_compressed(rows: pd.DataFrame) -> dict[tuple[str, ...], float]:
    """Bits per pixel of training sets that came through a codec whole, by settings and codec."""
    whole = rows[rows["train_channel"].isin(["C", "R", "A", "r"])]
    keys = [*SETTINGS[:-1], "train_codec"]
    return {
        tuple(map(str, key)): float(group["train_bpp"].mean())
        for key, group in whole.groupby(keys, sort=False)
    }


def _rate(record: dict[str, Any], sent: Mapping[tuple[str, ...], float]) -> float:
    if record["test_channel"].upper() != "O":
        return float(record["test_bpp"])
    if "+" in record["train_channel"]:
        key = tuple(record[name] for name in (*SETTINGS[:-1], "train_codec"))
        return float(sent.get(key, record["train_bpp"]))
    return float(record["train_bpp"])


def _collected(rows: pd.DataFrame) -> float:
    """Bytes of all that was collected to train one model: every kind of training image counts."""
    return float(rows[list(_BYTES)].sum(axis=1).mean())


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole and whole == whole else float("nan")


def _ordered(table: pd.DataFrame) -> pd.DataFrame:
    families = list(dict.fromkeys([ORIGINALS, *table["family"]]))
    rates = table.groupby("codec")["rate"].mean().fillna(0.0).to_dict()

    def rank(index: int) -> tuple[Any, ...]:
        row = table.iloc[index]
        name, codec = str(row["configuration"]), str(row["codec"])
        channels = channels_of(name)
        known = _ORDER.index(channels) if channels in _ORDER else len(_ORDER)
        rate = 0.0 if codec == ORIGINALS else -rates[codec]
        # Without a rate (no result at all) a codec keeps the place where it was asked for.
        return (families.index(row["family"]), rate, codec, known, -share(name), index)

    return table.iloc[sorted(range(len(table)), key=rank)].reset_index(drop=True)
