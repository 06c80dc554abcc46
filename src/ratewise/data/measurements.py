"""What was measured of the images while a store is fitted to a budget: ``budget.jsonl``.

A line per source image and round: for each of its tiles the rungs that were encoded, with their
bytes and distortion. Rounds follow from the lines of earlier ones alone, so a run that goes on
after a kill repeats them from the file, and ends like one that was not killed. A torn last line
is cut away. Who holds the store's journal open is the only one to write here.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeAlias

from ratewise.data.journal import parse_line
from ratewise.data.sources import Entry
from ratewise.files import fingerprint

MEASUREMENTS = "budget.jsonl"

Point: TypeAlias = tuple[int, int, float]
"""Rung, bytes, distortion."""

Tiles: TypeAlias = list[list[Point]]
"""What was measured of each image that a source image becomes."""


class Measurements:
    """The file, open for appending; made if absent.

    What it says of a source with other images, or images of other sizes, is dropped; ``new`` says
    that nothing is left.
    """

    def __init__(self, path: Path, entries: Sequence[Entry]) -> None:
        self._file = path.open("a+b")
        self._offsets: dict[tuple[int, str], int] = {}
        self._end = 0
        of = fingerprint({"entries": [[entry.key, entry.size] for entry in entries]})
        self._file.seek(0)
        for number, line in enumerate(self._file):
            value = parse_line(line)
            if value is None or (number == 0 and value.get("of") != of):
                break
            if number:
                self._offsets[value["round"], value["source"]] = self._end
            self._end += len(line)
        self._file.truncate(self._end)
        self.new = not self._end
        if self.new:
            self._write({"of": of})

    def find(self, round_: int, source: str) -> Tiles | None:
        """What was measured of an image in a round; None if nothing was."""
        offset = self._offsets.get((round_, source))
        if offset is None:
            return None
        self._file.seek(offset)
        tiles = json.loads(self._file.readline())["tiles"]
        return [[(rung, size, value) for rung, size, value in points] for points in tiles]

    def append(self, round_: int, source: str, tiles: Tiles) -> None:
        """Note what was measured."""
        self._offsets[round_, source] = self._end
        self._write({"round": round_, "source": source, "tiles": tiles})

    def _write(self, value: dict[str, Any]) -> None:
        line = json.dumps(value, separators=(",", ":")).encode() + b"\n"
        self._file.write(line)
        self._file.flush()
        self._end += len(line)

    def __enter__(self) -> Measurements:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
