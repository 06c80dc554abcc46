"""The cache: what stages leave behind, in a folder addressed by their fingerprints.

A stage is complete when its ``stage.json`` is there. It is written last and holds the hashes of
the stage's files, so a killed run resumes where it stopped and nothing half-written is read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from ratewise.errors import InputError, StageError
from ratewise.execution.locks import lock
from ratewise.files import read_json, sha256_file, write_atomically
from ratewise.study.plan import Stage

MANIFEST = "stage.json"
_CLAIM = ".claim"


class Claim(Protocol):
    """The right to run a stage, which no other run has until it is released."""

    def release(self) -> None:
        """Give it back."""


class _FileClaim:
    """A lock of a file; it goes with the process, however that ends."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def release(self) -> None:
        """Close the file."""
        self._file.close()


class Cache:
    """Stage folders under one folder; made on first use."""

    def __init__(self, folder: Path) -> None:
        self.path = folder

    def folder(self, stage: Stage) -> Path:
        """Where a stage keeps its files, finished or not."""
        return self.path / f"{stage.kind}-{stage.fingerprint[:24]}"

    def is_complete(self, stage: Stage) -> bool:
        """Whether the stage was finished."""
        return (self.folder(stage) / MANIFEST).is_file()

    def claim(self, stage: Stage) -> Claim | None:
        """The right to run a stage; None while another run has it. See whether it is complete then.

        Where the system has no file locks, every run gets it.
        """
        folder = self.folder(stage)
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / _CLAIM).open("a+b")
        try:
            lock(file)
        except OSError:
            file.close()
            return None
        return _FileClaim(file)

    def state(self, stage: Stage) -> str:
        """``done``, ``started`` (killed half-way; it will go on) or ``to do``."""
        if self.is_complete(stage):
            return "done"
        return "started" if self.folder(stage).is_dir() else "to do"

    def complete(self, stage: Stage, files: Sequence[Path], seconds: float) -> None:
        """Record that ``stage`` is finished and that ``files`` in its folder are its result."""
        write_atomically(self.folder(stage) / MANIFEST, self.describe(stage, files, seconds))

    def describe(self, stage: Stage, files: Sequence[Path], seconds: float) -> str:
        """The manifest of a stage that is finished: its hashes, its seconds, its bytes, as JSON."""
        folder = self.folder(stage)
        hashes = {path.relative_to(folder).as_posix(): sha256_file(path) for path in sorted(files)}
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        manifest = {
            "stage": asdict(stage),
            "files": hashes,
            "seconds": round(seconds, 3),
            "bytes": size,
        }
        return json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"

    def manifest(self, stage: Stage) -> dict[str, Any]:
        """What :meth:`complete` recorded.

        That is ``stage``, ``files`` (path to SHA-256), ``seconds``, and ``bytes``, those of all
        files of the folder (absent in what was made before they were counted).
        """
        path = self.folder(stage) / MANIFEST
        try:
            value = read_json(path)
        except (OSError, ValueError) as error:
            raise StageError(f"{path}: the stage's manifest cannot be read ({error})") from None
        return dict(value)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold ``folder`` for this process; InputError if another run holds it.

    The lock goes with the process, however it ends. Where the system has no file locks, nothing is
    locked.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        try:
            lock(file)
        except OSError:
            raise InputError(
                f"{folder}: another run is using this folder; two runs can share a cache "
                "(--cache DIR) with a folder of results each"
            ) from None
        yield
