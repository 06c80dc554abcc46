"""``ratewise data``: which data sets there are, and whether one is sound."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ratewise.cli.support import (
    JsonOption,
    QuietOption,
    WorkersOption,
    count,
    fail,
    friendly_errors,
    print_json,
    print_table,
)
from ratewise.errors import InputError

if TYPE_CHECKING:
    from ratewise.data.classes import Classes
    from ratewise.data.dataset import Dataset, SplitCheck

app = typer.Typer(no_args_is_help=True)

_MOST_LABELS = 20
"""Of more classes of whole images than these, only those with fewest and most have rows."""

_NamedOption = Annotated[str, typer.Option(help="Data set: see `ratewise data list`.")]


@app.command("list")
def list_datasets(json: JsonOption = False) -> None:
    """The data sets that ratewise reads, and their options.

    Example:

      ratewise data list
    """
    with friendly_errors():
        from ratewise.data.datasets import describe, names

        facts = {name: describe(name) for name in names()}
        if json:
            print_json([{"name": n, "about": a, "options": o} for n, (a, o) in facts.items()])
            return
        for name, (about, options) in facts.items():
            print(f"{name}: {about}")
            for key, meaning in options.items():
                print(f"    {key:<12} {meaning}")


@app.command()
def check(
    path: Annotated[Path, typer.Argument(help="Root of the data set (- for a generated one).")],
    data: _NamedOption,
    option: Annotated[
        list[str] | None,
        typer.Option("--set", help="Option of the data set, KEY=VALUE; may be repeated."),
    ] = None,
    workers: WorkersOption = 0,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Read every mask and every image's header; count, and name every problem.

    Where images have labels, those of each class are counted.

    Exit code 1 if there are problems.

    Examples:

      ratewise data check camvid/ --data camvid

      ratewise data check photos/ --data folder --set masks=labels
    """
    with friendly_errors():
        from ratewise.data.dataset import inspect_split
        from ratewise.execution import Resources

        dataset = open_named(data, None if str(path) == "-" else path, option or [])
        checks = [
            inspect_split(dataset, split, resources=Resources(workers), quiet=quiet)
            for split in dataset.splits
        ]
        problems = [problem for found in checks for problem in found.problems]
        if json:
            print_json(_as_json(dataset, checks))
        else:
            _print_checks(dataset, checks)
        if problems:
            for problem in problems:
                print(problem, file=sys.stderr)
            fail(f"{dataset.root or dataset.name}: {count(len(problems), 'problem')}", code=1)


def open_named(name: str, root: Path | None, options: list[str]) -> Dataset:
    """The data set of a name, a root as typed and ``KEY=VALUE`` options."""
    import yaml

    from ratewise.data.datasets import GENERATED, dataset_settings, open_dataset

    value: dict[str, Any] = {"name": name}
    if root is not None and name not in GENERATED:
        value["root"] = str(root)
    for option in options:
        key, equals, text = option.partition("=")
        if not equals:
            raise InputError(f"--set {option!r}: must be KEY=VALUE")
        try:
            value[key] = yaml.safe_load(text)
        except yaml.YAMLError:
            raise InputError(f"--set {option!r}: the value cannot be read as YAML") from None
    return open_dataset(dataset_settings(value), Path())


def _as_json(dataset: Dataset, checks: list[SplitCheck]) -> dict[str, Any]:
    return {
        "name": dataset.name,
        "classes": list(dataset.classes.names) if dataset.classes else None,
        "labels": None if dataset.labels is None else list(dataset.labels),
        "splits": [
            {
                "split": found.split,
                "images": found.images,
                "masks": found.masks,
                "sizes": {f"{w}x{h}": n for (w, h), n in found.sizes.most_common()},
                "class_pixels": None
                if found.class_pixels is None
                else [int(count) for count in found.class_pixels[:-1]],
                "ignored_pixels": None
                if found.class_pixels is None
                else int(found.class_pixels[-1]),
                "label_images": found.label_images,
                "problems": found.problems,
            }
            for found in checks
        ],
    }


def _print_checks(dataset: Dataset, checks: list[SplitCheck]) -> None:
    rows = []
    for found in checks:
        sizes = ", ".join(f"{w}x{h} ({n})" for (w, h), n in found.sizes.most_common(3))
        more = len(found.sizes) - 3
        sizes += f", {more} more" if more > 0 else ""
        counts = (found.images, found.masks, len(found.problems))
        rows.append([found.split, *(str(count) for count in counts), sizes])
    print_table(dataset.name, ["split", "images", "masks", "problems", "sizes"], rows)
    if dataset.classes is not None:
        _print_shares(dataset.classes, checks)
    if dataset.labels is not None:
        _print_labels(dataset.labels, checks)


def _print_shares(classes: Classes, checks: list[SplitCheck]) -> None:
    labelled = [found for found in checks if found.class_pixels is not None and found.masks]
    rows = []
    for index, name in enumerate([*classes.names, "(ignored)"]):
        shares = [
            100 * found.class_pixels[index] / max(1, found.class_pixels.sum())
            for found in labelled
            if found.class_pixels is not None
        ]
        rows.append([name, *(f"{share:.2f}%" for share in shares)])
    print_table("share of pixels", ["class", *(found.split for found in labelled)], rows)


def _print_labels(labels: Sequence[str], checks: list[SplitCheck]) -> None:
    """Images per class, in the order of the class ids; of many classes the smallest and largest."""
    counts = list(zip(*(found.label_images or [] for found in checks), strict=True))
    rows = [[label, *map(str, images)] for label, images in zip(labels, counts, strict=True)]
    if len(rows) > _MOST_LABELS:
        by_size = sorted(range(len(rows)), key=lambda label: sum(counts[label]))
        ends = _MOST_LABELS // 2
        between = by_size[ends:-ends]
        sums = [str(sum(counts[label][split] for label in between)) for split in range(len(checks))]
        rows = [
            *(rows[label] for label in by_size[:ends]),
            [f"({len(between)} others)", *sums],
            *(rows[label] for label in by_size[-ends:]),
        ]
    print_table("images per class", ["class", *(found.split for found in checks)], rows)
