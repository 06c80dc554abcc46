"""The sections of a report about numbers: each takes rows and returns HTML (perhaps none)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ratewise.report.bitstreams import NOTE, from_bitstreams
from ratewise.report.finding import main_finding
from ratewise.report.html import element, facts, line_key, section, table_of, wrap
from ratewise.report.metric import MIOU, Metric, metric_of
from ratewise.report.model import StageCost, StudySummary
from ratewise.report.naming import channels_of, spelled
from ratewise.report.palette import configuration_styles
from ratewise.report.plots import accuracy_panels, rate_distortion_panel
from ratewise.report.tables import (
    LOSSLESS_ORIGINALS,
    ORIGINALS,
    SETTINGS,
    class_names,
    class_table,
    configuration_table,
    group_names,
    name_of_originals,
    with_missing,
)
from ratewise.report.text import MISSING, number, points, signed_points

if TYPE_CHECKING:
    import pandas as pd

_CHANNELS = {
    "O": "original: the image as captured, stored losslessly",
    "C": "compressed: encoded to a real file by the codec, and decoded again",
    "R": "restored: compressed, then repaired by a network trained on originals of the same domain",
    "A": "restored, auxiliary: the repairing network was trained on another domain",
}
_MEANING = {
    "OO": "trained and tested on originals: the reference.",
    "CO": "compression before training, originals in use. OO to CO: what a compressed training "
    "set costs.",
    "OC": "a model that never saw compression gets compressed images. OO to OC: what compression "
    "in use costs.",
    "CC": "compressed on both sides. OC to CC: what training on compressed images gives back.",
    "RO": "trained on restored images, tested on originals. CO to RO: what restoring the training "
    "set gives back.",
    "OR": "trained on originals, tested on restored images. OC to OR: what restoring in use gives "
    "back.",
    "RR": "restored on both sides.",
    "AO": "as RO, without originals of the domain: restored by a network of another domain.",
    "OA": "as OR, by a network of another domain.",
    "oO": "oO@12.5% is trained on that share of the originals alone.",
    "rO": "rO@12.5% is RO with a restorer that was trained on that share of the originals.",
    "o+cO": "that share of originals among compressed images.",
    "o+rO": "that share of originals among restored images.",
}
_STAGES_SHOWN = 500
_HEAT_FULL = 0.30  # a difference of 30 points has the full colour


def header(study: StudySummary, results: pd.DataFrame) -> str:
    """Name, description, the main finding, and what the letters mean."""
    sentences = [element("p", sentence) for sentence in main_finding(results, study.restorers)]
    parts = [
        element("h1", study.name),
        element("p", study.description, class_="quiet") if study.description else "",
        wrap("div", sentences, class_="finding"),
        _letters(study, results),
    ]
    return wrap("header", parts)


def configurations(study: StudySummary, results: pd.DataFrame) -> str:
    """The configuration table: rates, bytes, scores and differences of every point."""
    if results.empty:
        return ""
    table = _complete(configuration_table(results), study, results)
    groups, metric = group_names(results), metric_of(results)
    further = metric.columns(results)
    scores = [metric.title, "to OO", *further.values(), *groups]
    beside = [*further, *(f"{metric.of_group}{name}" for name in groups)]
    titles = [*scores, "train bpp", "train bytes", "test bpp", "test bytes", "seeds"]
    rows = [_configuration_cells(row, metric, beside) for _, row in table.iterrows()]
    note = (
        f"{metric.reading} in points (0 to 100), as mean ± sample standard deviation over seeds. "
        "“to OO” is the difference to the model trained and tested on originals with the same "
        "seed. Bytes are in per cent of the losslessly stored (PNG) originals' of the full "
        "training or test set. A number without ± comes from one seed; “-” means no result."
    )
    if from_bitstreams(results).any():
        note += f" {NOTE}"
    return section(
        "What each bit buys",
        _point_table(table, titles, rows),
        element("p", note, class_="quiet"),
    )


def classes(study: StudySummary, results: pd.DataFrame) -> str:
    """The score of each class, coloured by its difference to OO."""
    names, metric = class_names(results), metric_of(results)
    if results.empty or not names:
        return ""
    table = _complete(class_table(results), study, results)
    columns = [f"{metric.of_class}{name}" for name in names]
    rows = [[_heat_cell(row, column) for column in columns] for _, row in table.iterrows()]
    note = (
        f"{metric.class_title} of each class in points, mean ± spread over seeds. Orange: below "
        "OO; blue: above OO; full colour at 30 points. Hover over a cell for the difference."
    )
    return section(
        "Which classes pay",
        _point_table(table, names, rows),
        element("p", note, class_="quiet"),
    )


def accuracy(results: pd.DataFrame) -> str:
    """The main metric against rate, a panel per codec family and group of configurations."""
    drawn = accuracy_panels(results) if not results.empty else []
    if not drawn:
        return ""
    parts = []
    for group, panels in drawn:
        keys = [
            wrap("span", [line_key(style), element("span", name)])
            for name, style in configuration_styles(group.names).items()
        ]
        figures = [wrap("figure", [element("figcaption", name), svg]) for name, svg in panels]
        parts += [
            element("h3", group.title) if group.title else "",
            wrap("div", keys, class_="legend"),
            wrap("div", figures, class_="plots"),
        ]
    text = (
        "Horizontal lines are models that saw no compression, their band the spread over seeds. "
        "The rate is that of the test images where these are compressed, else of the training "
        "images. Error bars are one standard deviation."
    )
    if len(drawn) > 1 and metric_of(results) is MIOU:
        text += " Privileged shares and further restorers have sections of their own."
    return section("Accuracy against rate", element("p", text, class_="quiet"), *parts)


def rate_distortion(rates: pd.DataFrame) -> str:
    """PSNR against bits per pixel of the stores."""
    drawn = rate_distortion_panel(rates) if not rates.empty else None
    if drawn is None:
        return ""
    split, svg = drawn
    caption = f"Mean PSNR over RGB of the {split} images, each family of codecs a line"
    figure = wrap("figure", [element("figcaption", caption), svg])
    return section("Rate and distortion", wrap("div", [figure], class_="plots"))


def how_it_was_made(study: StudySummary, rates: pd.DataFrame) -> str:
    """Data, task, model, command, environment, stage times, and the bytes of each store."""
    settings = {
        "data": study.data,
        "task": study.task,
        "model": study.model,
        "seeds": ", ".join(map(str, study.seeds)),
        "codecs": ", ".join(study.codecs),
    }
    parts = [facts(settings)]
    if study.command:
        parts += [element("h3", "Run it again"), wrap("pre", [element("code", study.command)])]
    if study.environment:
        parts += [element("h3", "Environment"), facts(study.environment)]
    if study.stages:
        parts += [element("h3", "Stages"), *_stages(study.stages)]
    if not rates.empty:
        stores = [
            [
                str(row["codec"]),
                str(row["split"]),
                number(row["images"], 0),
                number(row["bpp"], 3),
                "lossless" if row["psnr"] == float("inf") else number(row["psnr"], 2),
                f"{int(row['bytes']):,}" if row["bytes"] == row["bytes"] else MISSING,
            ]
            for _, row in rates.iterrows()
        ]
        titles = ["codec", "split", "images", "bpp", "PSNR (dB)", "bytes"]
        parts += [element("h3", "Compressed stores"), table_of(titles, stores)]
    return section("How it was made", *parts)


def _stages(stages: Sequence[StageCost]) -> list[str]:
    """Time and bytes by kind of stage; folded, of each of the longest."""
    kinds = []
    for kind in dict.fromkeys(one.kind for one in stages):
        own = [one for one in stages if one.kind == kind]
        sizes = [one.bytes for one in own]
        size = None if None in sizes else sum(filter(None, sizes))
        seconds = sum(one.seconds for one in own)
        kinds.append([kind, str(len(own)), _duration(seconds), _bytes(size)])
    longest = sorted(stages, key=lambda one: -one.seconds)[:_STAGES_SHOWN]
    rows = [[one.kind, one.title, _duration(one.seconds), _bytes(one.bytes)] for one in longest]
    summary = f"The {len(rows)} longest of {len(stages)} stages"
    if len(rows) == len(stages):
        summary = f"All {len(stages)} stages"
    each = table_of(["kind", "stage", "time", "bytes"], rows, words=(0, 1))
    return [
        table_of(["kind", "stages", "time", "bytes"], kinds),
        wrap("details", [element("summary", summary), each]),
    ]


def _bytes(size: int | None) -> str:
    return MISSING if size is None else f"{size:,}"


def _complete(table: pd.DataFrame, study: StudySummary, results: pd.DataFrame) -> pd.DataFrame:
    """``table`` with a row for what was asked for and has no result."""
    return with_missing(table, study.codecs, _asked(study, results), study.paired)


def _asked(study: StudySummary, results: pd.DataFrame) -> list[str]:
    """The study's configurations under the names that the tables give them.

    None where these say more, such as the recipe: each recipe has configurations of its own, and
    those that have results are known by the tables.
    """
    if any(results[name].nunique() > 1 for name in SETTINGS if name in results):
        return []
    return spelled(study.configurations, results, next(iter(study.restorers), ""))


def _letters(study: StudySummary, results: pd.DataFrame) -> str:
    names = list(study.configurations)
    if not results.empty:
        names += list(configuration_table(results)["configuration"])
    pairs = dict.fromkeys(channels_of(name) for name in names)
    used = dict.fromkeys(letter for pair in pairs for letter in pair.upper() if letter.isalpha())
    meanings = {x: _CHANNELS[x] for x in used if x in _CHANNELS}
    named = name_of_originals(results)
    if "O" in meanings and named != LOSSLESS_ORIGINALS:
        meanings["O"] = f"original: the image as collected, which is {named} already"
    meanings |= {x: _MEANING[x] for x in pairs if x in _MEANING}
    parts = [name.partition("#")[2].partition("(")[0] for name in names if "#" in name]
    if any(part.endswith("%") for part in parts):
        meanings["#25%"] = "a share of the training images, such as a small budget would collect."
    if any(part.endswith("B") for part in parts):
        meanings["#500kB"] = "as many training images as so many bytes buy."
    if not meanings:
        return ""
    intro = "The first letter says what the model was trained on, the second what it was tested on."
    terms = [element("dt", key) + element("dd", value) for key, value in meanings.items()]
    return element("p", intro) + wrap("dl", terms, class_="letters")


def _configuration_cells(row: pd.Series[Any], metric: Metric, beside: list[str]) -> list[str]:
    cells = [
        number(row["train_bpp"], 3),
        _percent(row["train_percent"]),
        number(row["test_bpp"], 3),
        _percent(row["test_percent"]),
        number(row["seeds"], 0),
    ]
    return [
        element("td", points(row[metric.name], row[f"{metric.name} std"]), class_="main"),
        _difference_cell(row, metric.name),
        *(element("td", points(row[name], row[f"{name} std"])) for name in beside),
        *(element("td", cell) for cell in cells),
    ]


def _difference_cell(row: pd.Series[Any], metric: str) -> str:
    value, std = row[f"{metric} difference"], row[f"{metric} difference std"]
    if value != value:
        return element("td", MISSING)
    return element("td", signed_points(value, std), style=_heat(value))


def _heat_cell(row: pd.Series[Any], metric: str) -> str:
    text = points(row[metric], row[f"{metric} std"])
    value = row[f"{metric} difference"]
    if value != value:
        return element("td", text)
    tip = f"{signed_points(value, row[f'{metric} difference std'])} to OO"
    return element("td", text, style=_heat(value), title=tip)


def _heat(difference: float) -> str:
    strength = min(abs(difference) / _HEAT_FULL, 1.0) * 0.75
    if strength < 0.005:
        return ""
    return f"background:rgb(var(--{'down' if difference < 0 else 'up'}) / {strength:.2f})"


def _point_table(table: pd.DataFrame, titles: list[str], cells: list[list[str]]) -> str:
    """A table with a row per point under a line that names its codec and rate."""
    head = element("th", "configuration", class_="text")
    parts = [wrap("thead", [wrap("tr", [head, *(element("th", title) for title in titles)])])]
    for codec, rows in table.groupby("codec", sort=False):
        rate = _own_rate(rows)
        label = "originals, no codec" if codec == ORIGINALS else str(codec)
        if len(rate) and codec != ORIGINALS:
            label += f", {number(float(rate.iloc[-1]), 2)} bpp"
        name = element("span", label)
        lines = [wrap("tr", [f'<th class="text" colspan="{len(titles) + 1}">{name}</th>'])]
        for index, configuration in zip(rows.index, rows["configuration"], strict=True):
            first = element("th", configuration, class_="text")
            lines.append(wrap("tr", [first, *cells[int(index)]]))
        parts.append(wrap("tbody", lines))
    return wrap("div", [wrap("table", parts, class_="points")], class_="scroll")


def _own_rate(rows: pd.DataFrame) -> pd.Series[float]:
    """The rates of a codec's files; masks that are read from them may need only a part."""
    own: pd.Series[float] = rows.loc[~from_bitstreams(rows), "rate"].dropna()
    return own if len(own) else rows["rate"].dropna().sort_values()


def _percent(value: float) -> str:
    return MISSING if value != value else f"{number(value, 1 if value < 10 else 0)} %"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02d} min"
