"""The event log of a run: what happened to its stages, as JSON lines in ``events.jsonl``.

Each line is an object with ``time`` (UTC, ISO 8601) and ``event``: ``run`` (how many stages there
are to run, and how many are cached), and with ``kind``, ``title`` and ``fingerprint`` of a stage
``started``, ``finished`` (``seconds``, ``bytes``), ``failed`` (``seconds``, ``why``) or
``elsewhere`` (another run has done it). A later run adds its lines.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ratewise.study.cache import Cache
from ratewise.study.plan import Stage
from ratewise.study.scheduler import Finished

EVENTS = "events.jsonl"


class EventLog:
    """Adds a line to a file for everything that happens to a stage."""

    def __init__(self, path: Path, cache: Cache) -> None:
        self._path, self._cache = path, cache

    def begins(self, to_run: list[Stage], cached: list[Stage]) -> None:
        """The run."""
        self._write("run", to_run=len(to_run), cached=len(cached))

    def started(self, stage: Stage) -> None:
        """A stage was begun."""
        self._write("started", **_named(stage))

    def finished(self, finished: Finished) -> None:
        """A stage was run, or failed."""
        stage, seconds = _named(finished.stage), round(finished.seconds, 3)
        if finished.failure is not None:
            self._write("failed", **stage, seconds=seconds, why=finished.failure)
            return
        size = self._cache.manifest(finished.stage).get("bytes")
        self._write("finished", **stage, seconds=seconds, bytes=size)

    def elsewhere(self, stage: Stage) -> None:
        """Another run finished a stage."""
        self._write("elsewhere", **_named(stage))

    def _write(self, event: str, **more: Any) -> None:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"time": now, "event": event, **more}, ensure_ascii=False)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


def _named(stage: Stage) -> dict[str, str]:
    return {"kind": stage.kind, "title": stage.title, "fingerprint": stage.fingerprint}
