"""A cache at an address: stages work in a folder of this machine, and their results are there too.

A stage of the address is copied here when it is first looked into. What a stage leaves is copied
there, its manifest last. Runs on different machines share the work through claims: small objects
that only one of them can create.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ratewise.files import write_atomically
from ratewise.study.cache import MANIFEST, Cache, Claim
from ratewise.study.plan import Stage

_BEAT_SECONDS = 30.0
_STALE_SECONDS = 300.0
"""A claim that was not renewed for so long is that of a run that was killed or cut off."""

_SETTLE_SECONDS = 1.0
"""Between taking over a stale claim and believing it, as two runs may take it over at once."""

_CLAIM = "claim.json"
_STAYS = frozenset({MANIFEST, _CLAIM, ".claim", ".lock", "error.txt", "checkpoint.pt"})
"""Files of a stage that are not copied with the others."""


class MirroredCache(Cache):
    """The cache at ``remote``, with a copy of what was needed of it in ``folder``."""

    def __init__(self, folder: Path, remote: Path) -> None:
        super().__init__(folder)
        self.remote = remote

    def _there(self, stage: Stage) -> Path:
        return self.remote / super().folder(stage).name

    def is_complete(self, stage: Stage) -> bool:
        """Whether the stage was finished, here or elsewhere."""
        return super().is_complete(stage) or (self._there(stage) / MANIFEST).is_file()

    def folder(self, stage: Stage) -> Path:
        """The stage's folder here; filled from the address if the stage was finished elsewhere."""
        here = super().folder(stage)
        if not (here / MANIFEST).is_file() and (self._there(stage) / MANIFEST).is_file():
            self._fetch(self._there(stage), here)
        return here

    def _fetch(self, there: Path, here: Path) -> None:
        for source in there.rglob("*"):
            if source.is_file() and not _stays(source):
                write_atomically(here / str(source.relative_to(there)), source.read_bytes())
        write_atomically(here / MANIFEST, (there / MANIFEST).read_bytes())

    def complete(self, stage: Stage, files: Sequence[Path], seconds: float) -> None:
        """Copy the stage's folder to the address, and record that it is finished."""
        here, there = super().folder(stage), self._there(stage)
        for source in sorted(here.rglob("*")):
            if source.is_file() and not _stays(source):
                (there / source.relative_to(here).as_posix()).write_bytes(source.read_bytes())
        manifest = self.describe(stage, files, seconds)
        write_atomically(there / MANIFEST, manifest)
        write_atomically(here / MANIFEST, manifest)

    def claim(self, stage: Stage) -> Claim | None:
        """The right to run a stage, among all runs that use the address."""
        here = super().claim(stage)  # among those of this machine
        if here is None:
            return None
        claim = _RemoteClaim(self._there(stage) / _CLAIM, here)
        if claim.take():
            return claim
        here.release()
        return None


def _stays(path: Path) -> bool:
    return path.name in _STAYS or path.name.startswith(".tmp-")


@dataclass(frozen=True)
class _Held:
    """What the object of a claim says: who has it, and when it was last renewed."""

    token: str
    time: float


class _RemoteClaim:
    """An object that is created only where there is none, and renewed while it is held."""

    def __init__(self, path: Path, here: Claim) -> None:
        self._path, self._here = path, here
        self._token = uuid.uuid4().hex
        self._released = threading.Event()
        self._beats = threading.Thread(target=self._beat, name="claim", daemon=True)

    def take(self) -> bool:
        """Create the object, or take over one that is stale; False if another run holds it."""
        if not self._create():
            held = self._read()
            if held is not None and time.time() - held.time < _STALE_SECONDS:
                return False
            self._write("overwrite")
            time.sleep(_SETTLE_SECONDS)
            if not self._is_held():
                return False
        self._beats.start()
        return True

    def _create(self) -> bool:
        try:
            self._write("create")
        except FileExistsError:
            return False
        return True

    def _write(self, mode: str) -> None:
        data = json.dumps({"token": self._token, "time": time.time()}).encode()
        remote: Any = self._path  # fsspec's conditional create has no name among those of paths
        remote.fs.pipe_file(remote.path, data, mode=mode)

    def _read(self) -> _Held | None:
        try:
            value = json.loads(self._path.read_bytes())
            return _Held(str(value["token"]), float(value["time"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _is_held(self) -> bool:
        held = self._read()
        return held is not None and held.token == self._token

    def _beat(self) -> None:
        while not self._released.wait(_BEAT_SECONDS):
            with suppress(OSError):  # the network is gone: perhaps it is back at the next beat
                if self._is_held():  # else it was stale, and another run has taken it over
                    self._write("overwrite")

    def release(self) -> None:
        """Delete the object."""
        self._released.set()
        self._beats.join()  # a beat under way would create it again
        with suppress(OSError):  # what is not deleted becomes stale
            if self._is_held():
                self._path.unlink()
        self._here.release()


def open_cache(place: Path, here: Path) -> Cache:
    """The cache at ``place``: a folder, or an address, whose copy is then ``here``."""
    return Cache(place) if isinstance(place, Path) else MirroredCache(here, place)
