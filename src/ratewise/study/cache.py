"""The cache: what stages leave behind, in a folder addressed by their fingerprints.

A stage is complete when its ``stage.json`` is there. It is written last and holds the hashes of
the stage's files, so a killed run resumes where it stopped and nothing half-written is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ratewise.errors import InputError, StageError
from ratewise.files import read_json, sha256_file, write_json
from ratewise.study.plan import Stage

_MANIFEST = "stage.json"


class Cache:
    """Stage folders under one folder; made on first use."""

    def __init__(self, folder: Path) -> None:
        self.path = folder

    def folder(self, stage: Stage) -> Path:
        """Where a stage keeps its files, finished or not."""
        return self.path / f"{stage.kind}-{stage.fingerprint[:24]}"

    def is_complete(self, stage: Stage) -> bool:
        """Whether the stage was finished."""
        return (self.folder(stage) / _MANIFEST).is_file()

    def state(self, stage: Stage) -> str:
        """``done``, ``started`` (killed half-way; it will go on) or ``to do``."""
        if self.is_complete(stage):
            return "done"
        return "started" if self.folder(stage).is_dir() else "to do"

    def complete(self, stage: Stage, files: Sequence[Path], seconds: float) -> None:
        """Record that ``stage`` is finished and that ``files`` in its folder are its result."""
        folder = self.folder(stage)
        hashes = {path.relative_to(folder).as_posix(): sha256_file(path) for path in sorted(files)}
        manifest = {"stage": asdict(stage), "files": hashes, "seconds": round(seconds, 3)}
        write_json(folder / _MANIFEST, manifest)

    def manifest(self, stage: Stage) -> dict[str, Any]:
        """What :meth:`complete` recorded: ``stage``, ``files`` (path to SHA-256), ``seconds``."""
        path = self.folder(stage) / _MANIFEST
        try:
            value = read_json(path)
        except (OSError, ValueError) as error:
            raise StageError(f"{path}: the stage's manifest cannot be read ({error})") from None
        return dict(value)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold ``folder`` for this process; InputError if another run holds it.

    The lock goes with the process, however it ends. Where the system has no ``flock``, nothing
    is locked.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        import fcntl
    except ImportError:
        yield
        return
    with (folder / ".lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InputError(f"{folder}: another run is using this folder") from None
        yield
