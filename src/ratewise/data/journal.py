"""What a half-finished store knows of itself: one line per source image that is in place.

A line is written after the image's files were renamed into place, so what the journal names is
there. A line that a kill tore off is cut away when the journal is opened again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import fields
from pathlib import Path
from types import TracebackType
from typing import Any

from ratewise.data.manifest import Record
from ratewise.errors import InputError
from ratewise.execution.locks import lock

JOURNAL = "journal.jsonl"
_COLUMNS = [field.name for field in fields(Record)]


class Journal:
    """The journal in a file, open for appending; made if absent.

    ``done`` maps each source path to the size of the file that was read (None if generated).
    Raises :class:`InputError` if another process has it open.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("a+b")
        try:
            lock(self._file)
        except OSError:
            self._file.close()
            raise InputError(f"{path.parent}: another process is writing this store") from None
        self.done: dict[str, int | None] = {}
        self._offsets: dict[str, int] = {}
        self._end = 0
        self._read()

    def _read(self) -> None:
        self._file.seek(0)
        for line in self._file:
            entry = parse_line(line)
            if entry is None or "source" not in entry:
                break
            self._note(entry["source"], entry["size"], len(line))
        self._file.truncate(self._end)

    def _note(self, source: str, size: int | None, length: int) -> None:
        self.done[source] = size
        self._offsets[source] = self._end
        self._end += length

    def clear(self) -> None:
        """Forget everything."""
        self._file.truncate(0)
        self.done, self._offsets, self._end = {}, {}, 0

    def append(self, source: str, size: int | None, records: Iterable[Record]) -> None:
        """Note that the images made of ``source`` are in place."""
        line = _line(source, size, records)
        self._file.write(line)
        self._file.flush()
        self._note(source, size, len(line))

    def records(self, sources: Iterable[str]) -> Iterator[Record]:
        """The records of ``sources``, in that order; those that are not done are left out."""
        for source in sources:
            if source in self._offsets:
                self._file.seek(self._offsets[source])
                for row in json.loads(self._file.readline())["rows"]:
                    yield Record(**row)

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()


def write_journal(path: Path, images: Iterable[tuple[str, int | None, list[Record]]]) -> None:
    """Write the journal of a finished store anew, atomically, so that it can be added to."""
    unfinished = path.with_name(f".tmp-{path.name}")
    with unfinished.open("wb") as file:
        for source, size, records in images:
            file.write(_line(source, size, records))
    unfinished.replace(path)


def _line(source: str, size: int | None, records: Iterable[Record]) -> bytes:
    value = {
        "source": source,
        "size": size,
        "rows": [{name: getattr(r, name) for name in _COLUMNS} for r in records],
    }
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def parse_line(line: bytes) -> dict[str, Any] | None:
    """The object in a line of a journal; None if a kill tore the line off, or it is none."""
    if not line.endswith(b"\n"):
        return None
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
