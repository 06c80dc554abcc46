"""``ratewise store info``, ``list`` and ``verify``: what a store has, and whether it is intact."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ratewise.cli.store_facts import fact_lines
from ratewise.cli.support import (
    AddressOption,
    EngineOption,
    JsonOption,
    QuietOption,
    WorkersOption,
    count,
    fail,
    finite,
    friendly_errors,
    place,
    print_json,
)

StorePath = Annotated[
    Path, typer.Argument(metavar="STORE", parser=place, help="Folder or address of a store.")
]


def info(path: StorePath, json: JsonOption = False) -> None:
    """What is in a store: codec, images, bytes, rate, quality.

    Example:

      ratewise store info photos-j10/
    """
    with friendly_errors():
        from ratewise.data.contents import store_info
        from ratewise.data.store import open_store

        facts = store_info(open_store(path))
        if json:
            print_json(facts)
            return
        for key, value in fact_lines(facts):
            print(f"{key:<10} {value}")


def list_images(
    path: StorePath,
    json: Annotated[
        bool, typer.Option("--json", help="All that the manifest has, as lines of JSON.")
    ] = False,
) -> None:
    """List the images of a store, a line for each, as the manifest has them.

    Columns are separated by tabs: path, size, bytes, bits per pixel, PSNR (dB), codec. A store of
    any size takes no more memory than a small one.

    Example:

      ratewise store list photos-j10/ | sort -k3 -n | head
    """
    with friendly_errors():
        from json import dumps

        from ratewise.data.manifest import MANIFEST, iterate_manifest
        from ratewise.data.store import open_store

        for record in iterate_manifest(open_store(path).path / MANIFEST):
            if json:
                print(dumps(finite(asdict(record)), ensure_ascii=False))
                continue
            size = f"{record.width}x{record.height}"
            numbers = f"{record.bytes}\t{record.bpp:.4f}\t{record.psnr:.2f}"
            print(f"{record.path}\t{size}\t{numbers}\t{record.codec}")


def verify(
    path: StorePath,
    decode: Annotated[bool, typer.Option("--decode", help="Decode every image too.")] = False,
    workers: WorkersOption = 0,
    engine: EngineOption = "local",
    address: AddressOption = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Check every file of a store against its checksum; exit code 1 if something is wrong.

    Example:

      ratewise store verify photos-j10/ --decode
    """
    with friendly_errors():
        from ratewise.data.contents import verify_store
        from ratewise.data.store import open_store
        from ratewise.execution import Resources

        store = open_store(path)
        problems = verify_store(
            store, decode=decode, resources=Resources(workers, engine, address), quiet=quiet
        )
        if json:
            print_json({"path": str(path), "images": len(store), "problems": problems})
        elif not problems:
            print(f"{path}: all {len(store)} images are intact")
        if problems:
            name_problems(problems)
            fail(f"{path}: {count(len(problems), 'problem')}", code=1)


def name_problems(problems: Sequence[str]) -> None:
    """One line for each on standard error."""
    for problem in problems:
        print(problem, file=sys.stderr)
