"""Digests of the files that a study rests on, remembered by size and modification time."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ratewise.data.dataset import Dataset
from ratewise.execution.progress import progress
from ratewise.files import fingerprint, sha256_file


class Digests:
    """SHA-256 of files. A file of known path, size and modification time is not read again."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def of(self, path: Path) -> str:
        """The digest of a file."""
        stat = path.stat()
        key = str(path.resolve())
        row = self._connection.execute(
            "SELECT sha256 FROM digests WHERE path = ? AND size = ? AND mtime_ns = ?",
            (key, stat.st_size, stat.st_mtime_ns),
        ).fetchone()
        if row:
            return str(row[0])
        digest = sha256_file(path)
        self._connection.execute(
            "INSERT OR REPLACE INTO digests VALUES (?, ?, ?, ?)",
            (key, stat.st_size, stat.st_mtime_ns, digest),
        )
        return digest


@contextmanager
def open_digests(path: Path) -> Iterator[Digests]:
    """The digests remembered in the SQLite file ``path`` (made if absent)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path)
    try:
        connection.execute(
            "CREATE TABLE IF NOT EXISTS digests "
            "(path TEXT PRIMARY KEY, size INTEGER, mtime_ns INTEGER, sha256 TEXT)"
        )
        yield Digests(connection)
        connection.commit()
    finally:
        connection.close()


def split_contents(
    dataset: Dataset, splits: Iterable[str], digests: Digests, *, quiet: bool = False
) -> dict[str, str]:
    """For each split, a fingerprint of its images and masks: their keys, groups and bytes."""
    contents: dict[str, str] = {}
    for split in dict.fromkeys(splits):
        items = dataset.items(split)
        rows = []
        with progress(f"read {split}", len(items), quiet=quiet) as bar:
            for item in items:
                files = [digests.of(path) for path in dataset.files(item)]
                rows.append([item.key, item.mask, item.group, files])
                bar.advance()
        contents[split] = fingerprint({"data": dataset.fingerprint(), "items": rows})
    return contents
