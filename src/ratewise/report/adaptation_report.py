"""The report of a comparison of adaptations: one HTML file that needs nothing but itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ratewise.report.adaptation_plots import Keys, grid_panels, rate_panels
from ratewise.report.adaptation_tables import (
    Rows,
    file_rows,
    forgetting_rows,
    gain_rows,
    grid_rows,
    point_rows,
)
from ratewise.report.adaptation_text import gain_sentences, grid_sentences, headlines
from ratewise.report.html import element, grouped_table, line_key, section, wrap
from ratewise.report.page import write_page
from ratewise.study.adaptation.tables import Comparison


def write_adaptation_report(path: Path, comparison: Comparison) -> None:
    """Write the report of ``comparison`` to ``path``, atomically.

    What was not measured is shown as "-" or left out.
    """
    targets = list(dict.fromkeys(str(name) for name in comparison.points["target"]))
    body = [
        _header(comparison),
        _gain(comparison),
        *(_rates(comparison, target) for target in targets),
        _forgetting(comparison),
        _grid(comparison, targets),
        _files(comparison),
        _points(comparison),
    ]
    write_page(path, f"Adapting {comparison.name}", body)


def _header(comparison: Comparison) -> str:
    said = [element("p", sentence) for sentence in headlines(comparison)]
    return wrap(
        "header",
        [
            element("h1", f"Adapting {comparison.name}"),
            element("p", comparison.description, class_="quiet"),
            wrap("div", said, class_="finding"),
        ],
    )


def _gain(comparison: Comparison) -> str:
    rows = gain_rows(comparison)
    if not rows[1]:
        return ""
    text = (
        "“bits” is BD-rate in PSNR: the mean difference in bits per pixel to the source codec at "
        "equal quality, negative where fewer are needed, from files as they are stored. "
        "“parameters” are those added, or changed by fine-tuning, as a share of the source's. “of "
        "the full gain” is the share of what fine-tuning everything gains in BD-rate. On the "
        "source's domain: coded by the adapted codec; “with auto”, by whichever of source and "
        "adapted codec has the least lambda D + R for an image; “files of the source” says what "
        "those become that the source wrote before."
    )
    return section(
        "What adapting gains",
        _said(gain_sentences(comparison)),
        element("p", text, class_="quiet"),
        _table(rows, (10, 11)),
    )


def _rates(comparison: Comparison, target: str) -> str:
    text = "Means over the test images. On the source's domain the adapted codec codes every image."
    return _panels(f"Adapted to {target}", text, *rate_panels(comparison, target))


def _forgetting(comparison: Comparison) -> str:
    rows = forgetting_rows(comparison)
    if not rows[1]:
        return ""
    text = (
        "Files that the source wrote before, decoded afterwards. What is added beside a source "
        "leaves it in place, and the coder that holds both decodes each file with what wrote it. A "
        "fine-tuned codec takes its source's place: its decoder meets the old symbols, if its "
        "entropy model can still read them. “encoded as before” are images whose file is the same, "
        "byte for byte. Drift is the mean squared difference of the latents over their variance "
        "in the source. Means over the qualities; PSNR in dB to the originals."
    )
    return section("What is forgotten", element("p", text, class_="quiet"), _table(rows, (3,)))


def _grid(comparison: Comparison, targets: Sequence[str]) -> str:
    rows = grid_rows(comparison)
    if not rows[1]:
        return ""
    text = (
        "At one quality: the change of lambda D + R, and the bits more or fewer than the source's "
        "own curve has at the PSNR that is reached (“-” outside of that curve)."
    )
    plots = []
    for target in targets:
        keys, panels = grid_panels(comparison, target)
        if panels:
            plots += [element("h3", target), _figures(keys, panels)]
    return section(
        "Gain by images and size",
        _said(grid_sentences(comparison)),
        element("p", text, class_="quiet"),
        *plots,
        _table(rows),
    )


def _files(comparison: Comparison) -> str:
    rows = file_rows(comparison)
    text = "“held out” is lambda D + R on the training images held out, before and after."
    shown = [element("summary", f"{len(rows[1])} adaptations"), element("p", text, class_="quiet")]
    return section("The adaptations", wrap("details", [*shown, _table(rows)]))


def _points(comparison: Comparison) -> str:
    rows = point_rows(comparison)
    shown = [element("summary", f"{len(rows[1])} points"), _table(rows, (4, 5))]
    return section("All operating points", wrap("details", shown))


def _panels(title: str, text: str, keys: Keys, panels: Sequence[tuple[str, str]]) -> str:
    if not panels:
        return ""
    return section(title, element("p", text, class_="quiet"), _figures(keys, panels))


def _figures(keys: Keys, panels: Sequence[tuple[str, str]]) -> str:
    legend = [
        wrap("span", [line_key(style), element("span", name)]) for name, style in keys.items()
    ]
    figures = [wrap("figure", [svg, element("figcaption", caption)]) for caption, svg in panels]
    return wrap("div", legend, class_="legend") + wrap("div", figures, class_="plots")


def _said(sentences: Sequence[str]) -> str:
    return wrap("ul", [element("li", sentence) for sentence in sentences], class_="quiet")


def _table(rows: Rows, words: tuple[int, ...] = ()) -> str:
    """A table in parts, one for each target."""
    return grouped_table(*rows, (1, *words))
